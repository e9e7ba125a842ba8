"""The types a table holds here: whole numbers, numbers, text, vectors; anything may be missing."""

from collections.abc import Sequence

import polars as pl

from tidegate.domain.errors import DataError
from tidegate.domain.schema import Column, Kind

#: Fields of a CSV that mean "missing", blanks around them aside; those with a "#" are what Excel
#: writes for a formula that failed. Kept short on purpose: a word such as "None" or "unknown" may
#: be an answer.
MISSING = (
    "", "NA", "N/A", "NaN", "nan", "null", "NULL",
    "#N/A", "#N/A N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!",
)  # fmt: skip

_INT64_MAX = 2**63 - 1
#: The first and last day, counted from 1970, that ISO text (and SQL, and Python) has a year for,
#: and the units of a day that times are counted in. Nanoseconds in 64 bits end long before.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_A_DAY = {"ms": 86_400_000, "us": 86_400_000_000}


def kind_of(dtype: pl.DataType) -> Kind:
    """Numeric for numbers, an embedding for vectors, categorical for everything else."""
    if isinstance(dtype, pl.Array):
        return Kind.EMBEDDING
    return Kind.NUMERIC if dtype.is_numeric() else Kind.CATEGORICAL


def bare(frame: pl.DataFrame) -> pl.DataFrame:
    """A canonical frame without blanks around its texts; texts of nothing else are missing."""
    texts = [series for series in frame.get_columns() if series.dtype == pl.String]
    stripped = [series.str.strip_chars() for series in texts]
    return frame.with_columns([series.set(series == "", None) for series in stripped])


def columns_of(frame: pl.DataFrame) -> list[Column]:
    """The columns of a canonical frame, in order, with how many values each misses."""
    return [
        Column(
            name=series.name,
            kind=kind_of(series.dtype),
            dtype=str(series.dtype),
            missing=series.null_count(),
        )
        for series in frame.get_columns()
    ]


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with every column as Int64, Float64, String or Array, and NaN as missing.

    Booleans become "true" and "false", dates and times their ISO text (UTC where a zone is
    named), lists of one length of floats Array(Float64, length), so a table means the same
    however it was stored. Raises DataError for a column of other lists, structures, bytes or
    durations, and for times outside the years 1 to 9999.
    """
    return frame.select([canonical_column(series) for series in frame.get_columns()])


def canonical_column(
    series: pl.Series, *, source: str = "the table", first_row: int = 0
) -> pl.Series:
    """One column in canonical form; see ``canonical``, and for the names ``vectors``."""
    dtype = series.dtype
    if dtype in (pl.Int64, pl.String):
        return series
    if dtype.is_float() or dtype.is_decimal() or dtype == pl.Null:
        return series.cast(pl.Float64).fill_nan(None)
    if dtype.is_integer():
        too_large = dtype in (pl.UInt64, pl.Int128) and not _fits(series)
        return series.cast(pl.Float64 if too_large else pl.Int64)
    if dtype == pl.Boolean or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return series.cast(pl.String)
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        _refuse_times(series, dtype, source, first_row)
    if dtype == pl.Date:
        return series.dt.strftime("%Y-%m-%d")
    if dtype == pl.Time:
        return series.dt.strftime("%H:%M:%S%.f")
    if isinstance(dtype, pl.Datetime):
        return _time_text(series, dtype)
    if isinstance(dtype, (pl.List, pl.Array)) and dtype.inner.is_float():
        return vectors(series)
    raise _not_plain(series)


def _not_plain(series: pl.Series) -> DataError:
    return DataError(
        "column '{column}' is of type {dtype}, which is neither a number, a text, a truth value "
        "nor a time",
        do="leave the column out, or spread it over plain columns",
        column=series.name,
        dtype=str(series.dtype),
    )


def vectors(
    series: pl.Series, width: int | None = None, *, source: str = "the table", first_row: int = 0
) -> pl.Series:
    """A column of lists of numbers as Array(Float64, width); by default the first one's length.

    Raises DataError where one is of another length or misses a number; ``source`` and
    ``first_row`` are what the message calls the table, and the number of its first row here.
    """
    if isinstance(series.dtype, pl.List):
        lengths = series.list.len()
        width = max(1, width or next(iter(lengths.drop_nulls().head(1)), 1))
        _refuse_vectors(series, lengths != width, source, first_row)
        series = series.list.to_array(width)
    assert isinstance(series.dtype, pl.Array)  # noqa: S101 - the other type a caller may give
    gaps = series.arr.contains(None, nulls_equal=True)
    _refuse_vectors(series, gaps, source, first_row)
    return series.cast(pl.Array(pl.Float64, series.dtype.size))


def _refuse_vectors(series: pl.Series, bad: pl.Series, source: str, first_row: int) -> None:
    rows = bad.fill_null(False).arg_true().head(3) + first_row
    if len(rows):
        raise DataError(
            "{file}: column '{column}' holds vectors of different lengths, or with gaps "
            "(rows {rows})",
            do="give every vector as many numbers as the first, or leave it out whole",
            file=source,
            column=series.name,
            rows=rows.to_list(),
        )


def _refuse_times(series: pl.Series, dtype: pl.DataType, source: str, first_row: int) -> None:
    a_day = _A_DAY.get(dtype.time_unit) if isinstance(dtype, pl.Datetime) else 1
    if a_day is None:
        return
    counted = series.to_physical()
    bad = (counted < _FIRST_DAY * a_day) | (counted >= (_LAST_DAY + 1) * a_day)
    rows = bad.fill_null(False).arg_true().head(3) + first_row
    if len(rows):
        raise DataError(
            "{file}: column '{column}' holds times outside the years 1 to 9999 (rows {rows})",
            do="correct them, or leave them out; a unit may have been taken for another",
            file=source,
            column=series.name,
            rows=rows.to_list(),
        )


def as_text(series: pl.Series) -> pl.Series:
    """A canonical column as text; whole numbers lose their ".0", so 1 and 1.0 are one category.

    Raises DataError for vectors.
    """
    if isinstance(series.dtype, pl.Array):
        raise _not_plain(series)
    if series.dtype != pl.Float64:
        return series.cast(pl.String)
    # Beyond 2**53 a float64 no longer tells neighbouring whole numbers apart.
    whole = (series == series.floor()) & (series.abs() < 2.0**53)
    text = series.cast(pl.String)
    as_whole = series.set(~whole, None).cast(pl.Int64, strict=False).cast(pl.String)
    return text.zip_with(~whole.fill_null(False), as_whole)


def stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of canonical frames, in order; the first one's columns, text where one has text.

    A column of codes may hold digits alone in one file and letters in the next.
    """
    names = frames[0].columns
    text = {n for n in names if any(frame.schema[n] == pl.String for frame in frames)}
    alike = [
        frame.select(as_text(frame[n]) if n in text else frame[n] for n in names)
        for frame in frames
    ]
    rows: pl.DataFrame = pl.concat(alike, how="vertical_relaxed")
    return rows


def taken(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """These columns of a frame, whatever they are called: polars would read "^.*$" as a pattern."""
    return pl.DataFrame([frame[name] for name in names])


def finite(series: pl.Series) -> pl.Series:
    """A numeric column as Float64 with infinities as missing too."""
    floats = series.cast(pl.Float64)
    return floats.set(floats.is_infinite() | floats.is_nan(), None)


def _fits(series: pl.Series) -> bool:
    low, high = series.min(), series.max()
    if low is None or high is None:
        return True
    return int(low) >= -_INT64_MAX - 1 and int(high) <= _INT64_MAX  # type: ignore[arg-type]


def _time_text(series: pl.Series, dtype: pl.Datetime) -> pl.Series:
    if dtype.time_zone is None:
        return series.dt.strftime("%Y-%m-%d %H:%M:%S%.f")
    return series.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
