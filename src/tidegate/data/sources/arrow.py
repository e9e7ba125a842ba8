"""What the types of Arrow are here."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from tidegate.data.sources.rows import changed
from tidegate.data.table import canonical_column, vectors
from tidegate.domain.errors import DataError

types = pa.types


def canonical_type(field: pa.Field, source: str) -> pl.DataType | None:
    """What a column of this type becomes; None where its values decide it.

    Those are whole numbers that may be too large for Int64, and lists, whose first one tells the
    width. Raises DataError for what is no column of numbers, texts, truth values, times or
    vectors.
    """
    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    if is_vector(kind):
        return pl.Array(pl.Float64, kind.list_size) if types.is_fixed_size_list(kind) else None
    if types.is_uint64(kind):
        return None
    if types.is_integer(kind):
        return pl.Int64()
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        return pl.Float64()
    if types.is_temporal(kind) and not (types.is_duration(kind) or types.is_interval(kind)):
        return pl.String()
    if is_text(kind) or types.is_boolean(kind):
        return pl.String()
    raise DataError(
        "{file}: column '{column}' is of type {dtype}, which is neither a number, a text, "
        "a truth value nor a time",
        do="leave the column out, or spread it over plain columns",
        file=source,
        column=field.name,
        dtype=str(kind),
    )


def is_plain(kind: pa.DataType) -> bool:
    """Whether a type of Arrow is a number, truth value or text as every reader knows them."""
    numbers = types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)
    whole = is_text(kind) and not types.is_dictionary(kind)
    return bool((numbers and not types.is_float16(kind)) or whole)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type of Arrow is text, or a dictionary of texts."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_vector(kind: pa.DataType) -> bool:
    """Whether a type of Arrow is a list of floats; whole numbers in lists are no vector."""
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and types.is_floating(kind.value_type))


def conformed(
    frame: pl.DataFrame, schema: Mapping[str, pl.DataType], source: str, first_row: int
) -> pl.DataFrame:
    """A frame as it came, with the columns and the canonical types of ``schema``."""
    return frame.select(
        _conformed(frame[name], dtype, source, first_row) for name, dtype in schema.items()
    )


def _conformed(series: pl.Series, dtype: pl.DataType, source: str, first_row: int) -> pl.Series:
    if isinstance(dtype, pl.Array) != isinstance(series.dtype, (pl.List, pl.Array)):
        raise changed(source)
    if isinstance(dtype, pl.Array):
        return vectors(series, dtype.size, source=source, first_row=first_row)
    found = canonical_column(series, source=source, first_row=first_row)
    if found.dtype == dtype:
        return found
    # Batches of whole numbers where others hold larger ones, or none at all.
    if (found.dtype, dtype) != (pl.Int64(), pl.Float64()) and found.null_count() < len(found):
        raise changed(source)
    return found.cast(dtype)
