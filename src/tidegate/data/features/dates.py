"""Dates: their places in the cycles they go through, and how far they lie from a fixed day."""

import math
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Literal

import numpy as np
import polars as pl
from pydantic import model_validator

from tidegate.data.features.numeric import NumericFeature, fit_numeric
from tidegate.data.features.values import Floats, texts
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError
from tidegate.domain.features import FeatureRule
from tidegate.domain.messages import Frozen

Cycle = Literal["hour", "weekday", "yearday"]

_LENGTHS: dict[Cycle, int] = {"hour": 24, "weekday": 7, "yearday": 366}
_PLACES: dict[Cycle, Callable[[pl.Series], pl.Series]] = {
    "hour": lambda times: times.dt.hour().cast(pl.Int64),
    "weekday": lambda times: times.dt.weekday().cast(pl.Int64) - 1,
    "yearday": lambda times: times.dt.ordinal_day().cast(pl.Int64) - 1,
}
_DAY_US = 86_400_000_000
_1970 = date(1970, 1, 1)


class TimeFeature(Frozen):
    """A cycle in time: its place in the cycle, 0 to 1, and that as a point on a circle."""

    part: Cycle

    def names(self, of: str) -> list[str]:
        """Names of the features, where ``of`` is what the time belongs to."""
        return [f"{of}.{self.part}{point}" for point in ("", ".sine", ".cosine")]

    def put(self, block: Floats, times: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, 3)``; zeros, or NaN, without a time."""
        place = _PLACES[self.part](times)
        block[:] = _table(self.part)[place.fill_null(0).to_numpy()]
        if place.null_count():
            block[place.is_null().to_numpy()] = np.nan if keep_missing else 0.0


class DateFeature(Frozen):
    """A date becomes the days since ``since``, as a number, and its places in ``cycles``."""

    name: str
    since: date
    cycles: list[TimeFeature]
    days: NumericFeature | None = None
    keep: bool = False

    @model_validator(mode="after")
    def _once_each(self) -> "DateFeature":
        parts = [cycle.part for cycle in self.cycles]
        if len(set(parts)) < len(parts):
            raise ValueError("a cycle is named twice")
        return self

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        days = self.days.names if self.days is not None else []
        return days + [name for cycle in self.cycles for name in cycle.names(self.name)]

    def put(self, block: Floats, column: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, len(names))``."""
        times, at = _times(column), 0
        if self.days is not None:
            at = len(self.days.names)
            self.days.put_values(block[:, :at], _days(times, self.since), keep_missing=self.keep)
        for cycle in self.cycles:
            cycle.put(block[:, at : at + 3], times, keep_missing=self.keep)
            at += 3


def fit_date(column: pl.Series, rule: FeatureRule, *, keep_missing: bool) -> DateFeature:
    """The feature of a column of dates; by default all of its cycles, and its days.

    The days count from the earliest date unless the rule says since when. Raises DataError for
    what is no date.
    """
    times = _times(column)
    first = times.min()
    if first is None:
        raise DataError(
            "column '{column}' is declared a date and holds none",
            do="leave it out with 'exclude', or add rows with dates",
            column=column.name,
        )
    since = rule.since or first.date()  # type: ignore[union-attr]
    plain = keep_missing if rule.missing is None else rule.missing == "keep"
    days = None
    if rule.parts is None or "days" in rule.parts:
        days = fit_numeric(
            f"{column.name}.days", _days(times, since), rule, keep_missing=keep_missing
        )
    parts = rule.parts or [cycle.part for cycle in fit_cycles(times)]
    cycles = [TimeFeature(part=part) for part in parts if part != "days"]
    return DateFeature(name=column.name, since=since, days=days, cycles=cycles, keep=plain)


def _times(column: pl.Series) -> pl.Series:
    """When each row's date is; a text of blanks is none."""
    known = texts(column) if column.dtype == pl.String else column
    return time_of(known.to_frame(), [column.name])


def fit_cycles(times: pl.Series) -> list[TimeFeature]:
    """The cycles that the data goes through: within less than one, it is a trend in disguise."""
    seen = times.drop_nulls()
    if seen.is_empty():
        return []
    found: list[TimeFeature] = []
    if seen.dt.hour().n_unique() > 1:
        found.append(TimeFeature(part="hour"))
    days = (seen.max() - seen.min()).total_seconds() / 86400  # type: ignore[operator, union-attr]
    if days >= 7:
        found.append(TimeFeature(part="weekday"))
    if days >= 365:
        found.append(TimeFeature(part="yearday"))
    return found


def _days(times: pl.Series, since: date) -> Floats:
    """Days since midnight of ``since``, NaN without a time."""
    # In whole microseconds first: as floats they would be rounded where one is missing, and only
    # there.
    apart = times.cast(pl.Int64).fill_null(0).to_numpy() - (since - _1970).days * _DAY_US
    days = apart / _DAY_US
    return np.where(times.is_null().to_numpy(), np.nan, days) if times.null_count() else days


@cache
def _table(part: Cycle) -> Floats:
    """A cycle's points, one a row.

    Sines from a table, rounded: vector and scalar routines differ in the last bit.
    """
    length = _LENGTHS[part]
    return np.array([_point(step / length) for step in range(length)])


def _point(turn: float) -> tuple[float, float, float]:
    angle = 2 * math.pi * turn
    return turn, round(math.sin(angle), 12), round(math.cos(angle), 12)
