"""How many rows break a rule, and the first of them: counted batch by batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tidegate.domain.messages import Message
from tidegate.domain.schema import Breach

#: Rows and values that a breach shows.
EXAMPLES = 5
#: Characters of a value that a breach shows: enough to find it again.
_SHOWN = 100


@dataclass
class Tally:
    """The rows where ``bad`` is true: how many, and of the first few number and ``shown`` value."""

    bad: pl.Expr
    shown: pl.Expr
    count: int = 0
    rows: list[int] = field(default_factory=list)
    examples: list[Any] = field(default_factory=list)

    @property
    def wants(self) -> int:
        """How many examples it still takes."""
        return EXAMPLES - len(self.rows)

    def keep(self, row: int, value: Any) -> None:
        """Keep a row as an example; the caller counts."""
        self.rows.append(row)
        self.examples.append(plain(value))


def count_up(frame: pl.DataFrame, start: int, tallies: Sequence[Tally]) -> None:
    """Add a batch whose first row is row ``start``; all rules are counted in one go."""
    named = [tally.bad.sum().alias(str(place)) for place, tally in enumerate(tallies)]
    if not named or not frame.height:
        return
    counts = frame.select(named).row(0)
    wanting = [t for t, count in zip(tallies, counts, strict=True) if count and t.wants]
    for tally, (rows, values) in zip(wanting, _examples(frame, wanting), strict=True):
        for row, value in zip(rows, values, strict=True):
            tally.keep(start + row, value)
    for tally, count in zip(tallies, counts, strict=True):
        tally.count += count or 0


def _examples(frame: pl.DataFrame, tallies: Sequence[Tally]) -> list[tuple[list[int], list[Any]]]:
    """The first rows that break each rule, and what they show; again all rules in one go."""
    if not tallies:
        return []
    rows = [
        pl.arg_where(t.bad).head(t.wants).implode().alias(f"r{n}") for n, t in enumerate(tallies)
    ]
    values = [
        t.shown.filter(t.bad).head(t.wants).implode().alias(f"v{n}") for n, t in enumerate(tallies)
    ]
    found = frame.select(rows + values).row(0)
    return list(zip(found[: len(tallies)], found[len(tallies) :], strict=True))


def every(rows: int) -> Tally:
    """The tally of what is wrong with all rows alike."""
    return Tally(pl.lit(True), pl.lit(None), count=rows)


def breach(
    column: str, rule: str, severity: str, tally: Tally, rows: int, message: Message
) -> Breach:
    """The breach that a tally over ``rows`` rows (or days, or values) shows; of none, the whole."""
    return Breach(
        column=column,
        rule=rule,
        severity=severity,
        count=tally.count,
        share=tally.count / rows if rows else 1.0,
        rows=tally.rows,
        examples=tally.examples,
        message=message,
    )


def plain(value: Any) -> Any:
    """A value as JSON has it; long texts and embeddings are cut."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
