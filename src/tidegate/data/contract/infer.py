"""A contract inferred from a reference, with room for noise: one pass, in bounded memory."""

import math
from collections.abc import Iterable

import polars as pl

from tidegate.data.contract.contract import slices
from tidegate.data.contract.repeats import Repeats
from tidegate.data.table import bare, canonical, kind_of
from tidegate.data.time import readable_time_of
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import ColumnRule, Contract, Kind, UniqueRule

#: A range is widened by this share of the reference's own on either side: with n rows the next
#: value falls outside the old range with probability 2 / (n + 1) even where nothing has changed.
RANGE_ROOM = 0.25
#: Lengths of texts spread by factors, not by sums: the longest may be doubled.
LENGTH_ROOM = 2
#: Missing values may be this much more frequent: three standard errors, and never less than a
#: share that a small batch shows by chance.
MISSING_ROOM = 0.05
#: A list of allowed values is inferred only where unseen ones are rare. The chance that the next
#: value is a new one is about the share of values seen once (Good 1953, Turing's estimate).
MAX_UNSEEN = 0.01
MAX_ALLOWED = 100
#: Values of more than one word are text that someone wrote; of a column's, this share at least.
WORDY = 0.5


def infer_contract(frame: pl.DataFrame, spec: ModelSpec) -> Contract:
    """``infer`` from a whole frame, canonical or not."""
    return infer(slices(canonical(frame)), spec)


def infer(batches: Iterable[pl.DataFrame], spec: ModelSpec) -> Contract:
    """A contract that canonical ``batches`` of one schema keep, with room for noise.

    Values outside a range or list only warn: one reference cannot tell an error from a rare
    event (electricity prices leave last week's range by 30 times its width), so refusing them is
    for people to write down. A missing column or another kind is always refused. Where the model
    names key and time, and no two rows are alike in them, that is a rule too.
    """
    seen: dict[str, _Seen] | None = None
    rows = 0
    # The same entity cannot be seen twice at one moment.
    key = [spec.key, *spec.time] if spec.key is not None and spec.time else []
    with Repeats(key) as repeats:
        for given in batches:
            batch = bare(given)
            columns = [s for s in batch.get_columns() if s.name not in spec.exclude]
            seen = seen or {series.name: _Seen(series.name, series.dtype) for series in columns}
            for series in columns:
                seen[series.name].add(series)
            if key and set(key) <= set(batch.columns):
                repeats.add(batch, rows)
            rows += batch.height
        told_apart = bool(key) and set(key) <= set(seen or {}) and repeats.tally().count == 0
    rules = [column.rule(spec, rows) for column in (seen or {}).values()]
    unique = [UniqueRule(columns=key)] if told_apart and rows else []
    return Contract(columns=rules, unique=unique)


class _Seen:
    """What one column has held so far: never more than a list that a contract could hold."""

    def __init__(self, name: str, dtype: pl.DataType) -> None:
        self.name, self.dtype = name, dtype
        self.missing = self.held = self.wordy = self.longest = 0
        self.low: float | None = None
        self.high: float | None = None
        self.endless: set[float] = set()
        self.counts: dict[str, int] | None = {}
        self.dates = dtype == pl.String

    def add(self, series: pl.Series) -> None:
        """Take in a batch."""
        self.missing += series.null_count()
        self.held += len(series) - series.null_count()
        if self.dtype == pl.String:
            self._add_texts(series.drop_nulls())
        elif kind_of(self.dtype) is Kind.NUMERIC:
            self._add_numbers(series)

    def rule(self, spec: ModelSpec, rows: int) -> ColumnRule:
        """The rule that ``rows`` rows suggest."""
        name, kind = self.name, self._kind()
        if name == spec.key or name in spec.time:
            return ColumnRule(name=name, kind=kind)  # new values are these columns' nature
        low, high = self._widened() if kind is Kind.NUMERIC else (None, None)
        allowed = self._allowed() if kind is Kind.CATEGORICAL else None
        free = kind in (Kind.CATEGORICAL, Kind.TEXT) and allowed is None and self.held > 0
        return ColumnRule(
            name=name,
            kind=kind,
            # Rows without a label are fine: they are served and never trained on.
            max_missing_share=1.0 if name == spec.target else self._missing_limit(rows),
            minimum=low,
            maximum=high,
            allowed=allowed,
            max_length=self.longest * LENGTH_ROOM if free else None,
            width=self.dtype.shape[0] if isinstance(self.dtype, pl.Array) else None,
        )

    def _add_texts(self, texts: pl.Series) -> None:
        if texts.is_empty():
            return
        self.longest = max(self.longest, int(texts.str.len_chars().max()))  # type: ignore[arg-type]
        self.wordy += int(texts.str.contains(r"\S\s+\S").sum())
        if self.dates:
            times = readable_time_of(texts.alias("time").to_frame(), ["time"])
            self.dates = times.null_count() == 0
        if self.counts is not None:
            for value, count in texts.value_counts().head(MAX_ALLOWED + 1).iter_rows():
                self.counts[value] = self.counts.get(value, 0) + count
            if len(self.counts) > MAX_ALLOWED:
                self.counts = None

    def _add_numbers(self, numbers: pl.Series) -> None:
        self.endless.update(numbers.filter(numbers.is_infinite()).unique())
        finite = numbers.filter(numbers.is_finite())
        if finite.is_empty():
            return
        low, high = float(finite.min()), float(finite.max())  # type: ignore[arg-type]
        self.low = low if self.low is None else min(low, self.low)
        self.high = high if self.high is None else max(high, self.high)

    def _kind(self) -> Kind:
        if isinstance(self.dtype, pl.Array):
            return Kind.EMBEDDING
        if self.dtype != pl.String:
            return Kind.NUMERIC
        if not self.held:
            return Kind.CATEGORICAL
        if self.counts is not None and set(self.counts) <= {"true", "false"}:
            return Kind.BOOLEAN
        if self.dates:
            return Kind.DATE
        if self._allowed() is None and self.wordy >= WORDY * self.held:
            return Kind.TEXT
        return Kind.CATEGORICAL

    def _widened(self) -> tuple[float | None, float | None]:
        if self.low is None or self.high is None:
            return None, None
        low, high = self.low, self.high
        # A constant column says nothing of its spread: its own size stands in, then 1.
        spread = (high / 2 - low / 2) * 2 or abs(low) or 1.0
        room = RANGE_ROOM * spread
        lowest, highest = low - room, high + room
        # What has never been below zero is an amount, and never is; so for what never was above.
        lowest = max(lowest, 0.0) if low >= 0 else lowest
        highest = min(highest, 0.0) if high <= 0 else highest
        if self.dtype == pl.Int64 and max(abs(lowest), abs(highest)) < 2**53:
            lowest, highest = float(math.ceil(lowest)), float(math.floor(highest))
        # No finite end takes in an infinity that the reference holds.
        below = math.isfinite(lowest) and -math.inf not in self.endless
        above = math.isfinite(highest) and math.inf not in self.endless
        return lowest if below else None, highest if above else None

    def _allowed(self) -> list[str] | None:
        if not self.counts:
            return None
        once = sum(count == 1 for count in self.counts.values())
        return sorted(self.counts) if once / self.held <= MAX_UNSEEN else None

    def _missing_limit(self, rows: int) -> float:
        rows = max(rows, 1)
        share = self.missing / rows
        noise = 3 * math.sqrt(share * (1 - share) / rows)
        return round(min(1.0, share + max(noise, MISSING_ROOM)), 4)
