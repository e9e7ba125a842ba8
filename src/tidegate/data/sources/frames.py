"""Tables that are in memory: of Arrow, pandas or polars."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from tidegate.data.sources.arrow import canonical_type, conformed
from tidegate.data.sources.names import check_names
from tidegate.data.sources.rows import Source, batch_rows, cut
from tidegate.data.table import canonical_column
from tidegate.domain.errors import DataError, WrongUsage


class FrameSource(Source):
    """The rows of a table in memory, whose texts count as they are, empty ones too.

    The index of a pandas frame is no column. Raises DataError for one that is no plain table.
    """

    columnar = True

    def __init__(self, given: Any):
        self._frame, self.name = _polars(given)
        check_names([name.strip() for name in self._frame.columns], self.name)
        self._frame = self._frame.rename({name: name.strip() for name in self._frame.columns})
        self.rows, self.size_bytes = self._frame.height, int(self._frame.estimated_size())
        if not self.rows:
            raise DataError(
                "{file} names its columns and holds no rows",
                do="add rows, or leave the file out",
                file=self.name,
            )
        self.schema = {
            series.name: _type(series, self.name) for series in self._frame.get_columns()
        }

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = {name: self.schema[name] for name in columns or self.columns}
        done = 0
        for frame in cut(self._frame, batch_rows(wanted)):
            yield conformed(frame, wanted, self.name, done)
            done += frame.height


def is_frame(given: Any) -> bool:
    """Whether this is a table that ``FrameSource`` takes."""
    return isinstance(given, (pl.DataFrame, pa.Table, pa.RecordBatch)) or _is_pandas(given)


def _is_pandas(given: Any) -> bool:
    # Whoever holds one has the library; nobody else needs it.
    return type(given).__module__.partition(".")[0] == "pandas" and hasattr(given, "columns")


def _polars(given: Any) -> tuple[pl.DataFrame, str]:
    if isinstance(given, pl.DataFrame):
        return given, "the polars frame"
    name = "the Arrow table"
    if _is_pandas(given):
        name = "the pandas frame"
        check_names([str(column).strip() for column in given.columns], name)
        try:
            given = pa.Table.from_pandas(given, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                "{file} holds a column of mixed types ({reason})",
                do="give each column one type, with astype",
                file=name,
                reason=" ".join(str(part) for part in error.args),
            ) from None
    if not isinstance(given, (pa.Table, pa.RecordBatch)):
        raise WrongUsage(
            "{given} is no table", do="give an Arrow table, a pandas or a polars frame",
            given=type(given).__name__,
        )  # fmt: skip
    check_names([column.strip() for column in given.schema.names], name)
    for field in given.schema:
        canonical_type(field, name)
    return pl.DataFrame(pl.from_arrow(given)), name


def _type(series: pl.Series, name: str) -> pl.DataType:
    """What a column becomes; of lists, the first one's length counts."""
    if isinstance(series.dtype, pl.List):
        series = series.drop_nulls().head(1)
        return canonical_column(series).dtype if len(series) else pl.Array(pl.Float64, 1)
    if series.dtype in (pl.UInt64, pl.Int128):
        return canonical_column(series).dtype
    try:
        return canonical_column(series.head(0)).dtype
    except DataError as error:
        raise DataError(
            "{file}: column '{column}' is of type {dtype}, which is neither a number, a text, "
            "a truth value nor a time",
            do=error.do,
            file=name,
            column=series.name,
            dtype=str(series.dtype),
        ) from None
