"""Freshness and coverage: how new the newest row is, and what of the world the rows show."""

import datetime as dt

import polars as pl

from tidegate.data.contract.tally import EXAMPLES, breach, every
from tidegate.data.table import as_text
from tidegate.domain.messages import say
from tidegate.domain.schema import Breach, Coverage, Freshness, Presence, moment

_DAY = dt.timedelta(days=1)


class TimeCover:
    """When rows happened, in bounded memory: the newest, the days with a row, the stretches.

    A stretch is a run of rows with no more than ``gap`` between neighbours in time; there are at
    most (last - first) / gap of them, and as many days as there are days.
    """

    def __init__(self, gap: dt.timedelta | None, days: bool) -> None:
        self.gap = gap
        self.newest: tuple[dt.datetime, int] | None = None
        self.days: pl.Series | None = pl.Series([], dtype=pl.Date) if days else None
        self._stretches = pl.DataFrame(
            schema={"low": pl.Datetime("us"), "high": pl.Datetime("us"), "row": pl.Int64}
        )

    def add(self, times: pl.Series, start: int) -> None:
        """Take in the times of a batch whose first row is row ``start``."""
        rows = pl.DataFrame({"low": times}).with_row_index("row", offset=start).drop_nulls()
        rows = rows.select("low", high="low", row=pl.col("row").cast(pl.Int64))
        if rows.is_empty():
            return
        last = rows.sort("low", "row", descending=[True, False]).row(0)
        if self.newest is None or last[0] > self.newest[0]:
            self.newest = (last[0], last[2])
        if self.days is not None:
            self.days = pl.concat([self.days, rows["low"].dt.date().unique()]).unique()
        if self.gap is not None:
            self._stretches = _merged(pl.concat([self._stretches, rows]), self.gap)

    def gaps(self) -> pl.DataFrame:
        """Stretches without a row, in time: ``before``, ``after``, and the ``row`` that ends it."""
        parts = self._stretches.with_columns(before=pl.col("high").shift(1))
        return parts.drop_nulls().select("before", after="low", row="row")

    def missing_days(self, days: pl.Series) -> pl.Series:
        """The days between the first row's and the last one's that have no row."""
        first, last = days.min(), days.max()
        calendar = pl.Series(pl.date_range(first, last, eager=True))  # type: ignore[arg-type]
        return calendar.filter(~calendar.is_in(days.implode()))


def _merged(stretches: pl.DataFrame, gap: dt.timedelta) -> pl.DataFrame:
    """Stretches that lie no more than ``gap`` apart as one, with the row that begins it."""
    ordered = stretches.sort("low", "row").with_columns(reach=pl.col("high").cum_max())
    begins = (pl.col("low") - pl.col("reach").shift(1) > gap).fill_null(True)
    return (
        ordered.group_by(begins.cum_sum().alias("stretch"), maintain_order=True)
        .agg(pl.col("low").first(), pl.col("high").max(), pl.col("row").first())
        .select("low", "high", "row")
    )


def freshness_breach(
    rule: Freshness, cover: TimeCover, column: str, rows: int, now: str
) -> Breach | None:
    """The newest row is older than the rule allows, or no row has a time. ``now``: ISO 8601."""
    tally = every(rows)
    if cover.newest is None:
        message = say(
            "the contract limits the age of the newest row, and no row has a time: name the "
            "columns that hold it under 'time'"
        )
        return breach(column, "freshness", rule.severity, tally, rows, message)
    newest, row = cover.newest
    age = (moment(now) - newest) / _DAY
    if age <= rule.max_age_days:
        return None
    tally.keep(row, newest.isoformat())
    message = say(
        "the newest row ({newest}, row {row}) is {age:.1f} days old; the contract allows "
        "{allowed:g}: bring newer data, or raise max_age_days",
        newest=newest.isoformat(),
        row=row,
        age=age,
        allowed=rule.max_age_days,
    )
    return breach(column, "freshness", rule.severity, tally, rows, message)


def coverage_breaches(rule: Coverage, cover: TimeCover, column: str, rows: int) -> list[Breach]:
    """Too few rows, and times without any; which values are there, ``Present`` counts."""
    found = []
    if rows < rule.min_rows:
        message = say(
            "there are {rows:,} rows; the contract asks for {needed:,}: bring more, or lower "
            "min_rows",
            rows=rows,
            needed=rule.min_rows,
        )
        short = every(rule.min_rows - rows)
        found.append(breach("", "coverage", rule.severity, short, rule.min_rows, message))
    asked = rule.max_gap_days is not None or rule.min_days_share > 0
    if asked and cover.newest is None:
        message = say(
            "the contract asks which times the rows cover, and no row has a time: name the "
            "columns that hold it under 'time'"
        )
        none = every(rows)
        return [*found, breach(column, "coverage", rule.severity, none, rows, message)]
    return [*found, *_gap_breach(rule, cover, column), *_days_breach(rule, cover, column)]


def _gap_breach(rule: Coverage, cover: TimeCover, column: str) -> list[Breach]:
    gaps = cover.gaps()
    if gaps.is_empty():
        return []
    tally = every(gaps.height)
    for before, after, row in gaps.head(EXAMPLES).iter_rows():
        tally.keep(row, f"{before.isoformat()} / {after.isoformat()}")
    longest = max(after - before for before, after, _ in gaps.iter_rows())
    message = say(
        "{count} times no row came for more than {allowed:g} days, the longest {longest:.1f} days: "
        "{examples} (rows {rows}); bring the rows between, or raise max_gap_days",
        count=gaps.height,
        allowed=rule.max_gap_days,
        longest=longest / _DAY,
        examples=tally.examples,
        rows=tally.rows,
    )
    # Of the steps from one stretch to the next there is no whole to be a share of: all are wrong.
    return [breach(column, "coverage", rule.severity, tally, gaps.height, message)]


def _days_breach(rule: Coverage, cover: TimeCover, column: str) -> list[Breach]:
    if cover.days is None or cover.days.is_empty():
        return []
    without = cover.missing_days(cover.days)
    days = len(cover.days) + len(without)
    if len(cover.days) / days >= rule.min_days_share:
        return []
    tally = every(len(without))
    tally.examples = [day.isoformat() for day in without.head(EXAMPLES)]
    message = say(
        "{share:.1%} of {days:,} days have a row; the contract asks for {needed:.1%}: bring the "
        "days that are missing ({examples}), or lower min_days_share",
        share=len(cover.days) / days,
        days=days,
        needed=rule.min_days_share,
        examples=tally.examples,
    )
    return [breach(column, "coverage", rule.severity, tally, days, message)]


class Present:
    """How many rows hold each of the values that a rule asks for."""

    def __init__(self, rule: Presence, severity: str) -> None:
        self.rule, self.severity = rule, severity
        self.counts = dict.fromkeys(rule.values, 0)

    def add(self, values: pl.Series) -> None:
        """Take in a batch of the column."""
        text = as_text(values)
        counts = text.filter(text.is_in(self.rule.values)).value_counts()
        for value, count in counts.iter_rows():
            self.counts[value] += count

    def breaches(self, rows: int) -> list[Breach]:
        """The values of which there are too few rows."""
        needed = max(self.rule.min_rows, self.rule.min_share * rows)
        short = {value: count for value, count in self.counts.items() if count < needed}
        if not short:
            return []
        tally = every(len(short))
        tally.examples = [f"{value}: {count}" for value, count in short.items()][:EXAMPLES]
        message = say(
            "column '{column}' holds too few rows of {count} values, {needed:g} being asked for: "
            "{examples}; bring rows of them, or lower min_rows and min_share",
            column=self.rule.column,
            count=len(short),
            needed=needed,
            examples=tally.examples,
        )
        asked = len(self.counts)
        return [breach(self.rule.column, "coverage", self.severity, tally, asked, message)]
