"""When each row happened, from the one or several columns that say so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from tidegate.data.table import canonical_column
from tidegate.domain.errors import DataError

#: Texts that are read as times, tried in this order on every value by itself, so that a row's
#: time never hangs on its neighbours. 1/2/2011 is month first, always: 13/1/2011 is an error.
FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M",
)  # fmt: skip
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z")

#: The parts of a time, the names they go by, and the values they may take.
_PARTS = {
    "year": (("year", "yyyy", "yr"), 1, 9999),
    "month": (("month", "mnth", "mon", "mm"), 1, 12),
    "day": (("day", "dd", "dom"), 1, 31),
    "hour": (("hour", "hr", "hh"), 0, 23),
    "minute": (("minute", "min", "mi"), 0, 59),
    "second": (("second", "sec", "ss"), 0, 59),
}
_DEFAULT = {"year": 1970, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}


def time_of(frame: pl.DataFrame, time: Sequence[str], *, first_row: int = 0) -> pl.Series:
    """When each row happened: Datetime in microseconds, in UTC where a zone is named; else as is.

    ``time`` names one column of times as text (ISO 8601, or month/day/year) or as seconds or
    milliseconds since 1970; or several that form one, such as year, month, day, hour, or a date
    and an hour. A row that misses any of them has no time. Raises DataError naming row and value
    for anything else; ``first_row`` is the number of the frame's first row in the whole table.
    """
    return _times(frame, time, _Strict(first_row))


def readable_time_of(frame: pl.DataFrame, time: Sequence[str]) -> pl.Series:
    """As ``time_of``, and a row whose values are no time has none."""
    return _times(frame, time, _pass_over)


#: What happens to values that are no times: they are refused, or passed over.
_Judge = Callable[[pl.Series, pl.Series, str], None]


def _times(frame: pl.DataFrame, time: Sequence[str], judge: _Judge) -> pl.Series:
    absent = [name for name in time if name not in frame.columns]
    if absent or not time:
        raise DataError(
            "the time column '{column}' is missing",
            do="add it, or change 'time' in the model file; the columns are: {columns}",
            column=", ".join(absent),
            columns=frame.columns,
        )
    columns = [canonical_column(frame[name]) for name in time]
    if any(column.null_count() == len(column) for column in columns):
        # No row has a time. Without values a text column has no type either, and which column is
        # which part could only be guessed.
        return pl.Series("time", [None] * frame.height, dtype=pl.Datetime("us"))
    texts = [column for column in columns if column.dtype == pl.String]
    numbers = [column for column in columns if column.dtype != pl.String]
    if not texts and len(numbers) == 1 and _part_named(numbers[0].name) != "year":
        return _since_1970(numbers[0], judge)
    parts = _parts_of(numbers, judge, after_date=bool(texts))
    if texts:
        return _with_parts(_parsed(texts, judge), parts)
    return _from_parts(parts, judge)


def span(times: pl.Series) -> tuple[str | None, str | None]:
    """The earliest and the latest time in ISO 8601; None where no row has one."""
    first, last = times.min(), times.max()
    if first is None or last is None:
        return None, None
    return first.isoformat(), last.isoformat()  # type: ignore[union-attr]


def _parsed(texts: list[pl.Series], judge: _Judge) -> pl.Series:
    given = pl.select(
        pl.concat_str([t.str.strip_chars() for t in texts], separator=" ")
    ).to_series()
    times = pl.Series("time", [None] * len(given), dtype=pl.Datetime("us"))
    for form in (*FORMATS, *_ZONED):
        if times.null_count() == given.null_count():
            break
        left = given.set(times.is_not_null(), None)
        if form in _ZONED:
            zoned = left.str.strptime(pl.Datetime("us", "UTC"), form, strict=False)
            found = zoned.dt.replace_time_zone(None)
        else:
            found = left.str.strptime(pl.Datetime("us"), form, strict=False)
        times = times.zip_with(times.is_not_null(), found)
    judge(given.is_not_null() & times.is_null(), given, ", ".join(t.name for t in texts))
    return times.alias("time")


@dataclass(frozen=True)
class _Strict:
    """Refuses values that are no times."""

    first_row: int

    def __call__(self, bad: pl.Series, values: pl.Series, column: str) -> None:
        rows = bad.fill_null(False).arg_true().head(3).to_list()
        if rows:
            raise DataError(
                "column '{column}' holds values that are no times: {values} (rows {rows})",
                do="write times as 2011-12-31 23:59:00, dates as 2011-12-31 or 12/31/2011",
                column=column,
                values=[str(values[row]) for row in rows],
                rows=[self.first_row + row for row in rows],
            )


def _pass_over(_bad: pl.Series, _values: pl.Series, _column: str) -> None:
    """What is no time is missing already."""


def _since_1970(column: pl.Series, judge: _Judge) -> pl.Series:
    seconds = column.cast(pl.Float64)
    # 1e8 is 1973 in seconds, 1e11 is 1973 in milliseconds; the bands do not meet.
    in_seconds, in_ms = seconds.is_between(1e8, 1e10), seconds.is_between(1e11, 1e13)
    judge(~(in_seconds | in_ms), column, column.name)
    us = (seconds * 1e6).zip_with(in_seconds, (seconds * 1e3).set(~in_ms, None))
    return us.round(0).cast(pl.Int64).cast(pl.Datetime("us")).alias("time")


def _part_named(name: str) -> str | None:
    plain = name.strip().lower()
    return next((part for part, (known, _, _) in _PARTS.items() if plain in known), None)


def _parts_of(numbers: list[pl.Series], judge: _Judge, *, after_date: bool) -> dict[str, pl.Series]:
    """Which number column is which part: by its name, else by its place."""
    order = list(_PARTS)[3:] if after_date else list(_PARTS)
    named = [_part_named(column.name) for column in numbers]
    if None in named or len(set(named)) < len(named) or not set(named) <= set(order):
        named = [*order[: len(numbers)], *[None] * (len(numbers) - len(order))]
    parts: dict[str, pl.Series] = {}
    for part, column in zip(named, numbers, strict=True):
        if part is None:
            raise DataError(
                "the time columns {columns} do not form a time",
                do="name one column of times, or: year, month, day, hour, minute, second",
                columns=[number.name for number in numbers],
            )
        _, low, high = _PARTS[part]
        fits = column.is_between(low, high) & (column == column.floor())
        if isinstance(judge, _Strict):
            _check_part(column, fits, part, low, high, judge.first_row)
        parts[part] = column.set(~fits, None).cast(pl.Int64)
    return parts


def _check_part(
    column: pl.Series, fits: pl.Series, part: str, low: int, high: int, first_row: int
) -> None:
    rows = (~fits).fill_null(False).arg_true().head(3).to_list()
    if rows:
        raise DataError(
            "column '{column}' is read as the {part} and holds {values} (rows {rows})",
            do="give whole numbers from {low} to {high}",
            column=column.name,
            part=part,
            values=[column[row] for row in rows],
            rows=[first_row + row for row in rows],
            low=low,
            high=high,
        )


def _from_parts(parts: dict[str, pl.Series], judge: _Judge) -> pl.Series:
    rows = pl.DataFrame([column.alias(part) for part, column in parts.items()])
    year, month, day = (
        pl.col(part) if part in parts else pl.lit(_DEFAULT[part], pl.Int64)
        for part in ("year", "month", "day")
    )
    # A day beyond the end of its month runs on into the next one, and is known by that.
    first = pl.date(year, month, 1).cast(pl.Datetime("us"))
    found = rows.select(first=first, day=day - 1, month=month)
    later = {part: of for part, of in parts.items() if part not in ("year", "month", "day")}
    times = _with_parts(found["first"], {"day": found["day"], **later})
    bad = (times.dt.month() != found["month"]).fill_null(False)
    if bad.any():
        digits = [pl.col(part).cast(pl.String).str.zfill(2) for part in parts]
        judge(bad, rows.select(pl.concat_str(digits, separator="-")).to_series(), ", ".join(parts))
    return times.set(bad, None)


def _with_parts(date: pl.Series, parts: dict[str, pl.Series]) -> pl.Series:
    scale = {
        "day": 86_400_000_000,
        "hour": 3_600_000_000,
        "minute": 60_000_000,
        "second": 1_000_000,
    }
    us = date.cast(pl.Int64)
    for part, column in parts.items():
        us = us + column * scale[part]
    return us.cast(pl.Datetime("us")).alias("time")
