"""How far one column has moved between two profiles, and how sure that is."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special

from tidegate.data.profile.categories import Tally
from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.numbers import NumberBrief, Summary
from tidegate.domain.schema import Kind

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: At most ten bins, the usual number for the stability index, and ten rows a bin or more.
BINS, ROWS_PER_BIN = 10, 10
#: Categories and single values with fewer rows than this on both sides together are taken as one:
#: the chi-square distribution needs about five expected on each side.
MIN_ROWS = 10
#: A number that so many rows share is looked at by itself.
ATOM = 0.01


@dataclass(frozen=True)
class Measured:
    """``effect``: the largest difference in the share of rows, 0 to 1; ``p_value`` of this column
    alone; ``others``: further measures by name."""

    effect: float
    p_value: float
    others: dict[str, float] = field(default_factory=dict)


def measure(reference: ColumnProfile, current: ColumnProfile) -> Measured:
    """How far the column has moved.

    Numbers and dates: the Kolmogorov-Smirnov distance, or the change in how many rows hold one
    single value, if larger. Texts: the total variation distance, less what chance alone shows.
    Prose: by its length. Embeddings: the largest distance over a few directions. For all: or the
    change in the share of missing values, if larger. A shift of a normal column by d standard
    deviations has an effect of about 0.4 d.
    """
    gone = _missing(reference, current)
    if Kind.EMBEDDING in (reference.kind, current.kind):
        return _worst([_moved(reference.numbers[side], current.numbers[side])
                       for side in reference.numbers if side in current.numbers], gone)  # fmt: skip
    if _numeric(reference) and _numeric(current):
        assert reference.value is not None and current.value is not None  # noqa: S101, PT018
        return _worst([_moved(reference.value, current.value)], gone)
    before, after = reference.texts(), current.texts()
    if Kind.TEXT in (reference.kind, current.kind):
        return _worst([_stepped(_lengths(before), _lengths(after))], gone)
    return _worst([_categories(before, after)], gone)


def _numeric(column: ColumnProfile) -> bool:
    return column.kind in (Kind.NUMERIC, Kind.DATE)


def _worst(parts: list[Measured], gone: Measured | None) -> Measured:
    """The largest effect and the surest sign, corrected for having looked at several."""
    looks = [*parts, gone] if gone is not None else parts
    if not looks:
        return Measured(0.0, 1.0)
    others = dict(parts[0].others) if parts else {}
    if gone is not None:
        others["missing"] = gone.effect
    return Measured(
        max(look.effect for look in looks),
        min(1.0, len(looks) * min(look.p_value for look in looks)),
        others,
    )


def _missing(a: ColumnProfile, b: ColumnProfile) -> Measured | None:
    if not (a.missing or b.missing):
        return None
    table = np.array([[a.missing, a.held], [b.missing, b.held]])
    apart = abs(a.missing / a.rows - b.missing / b.rows) if a.rows and b.rows else 0.0
    return Measured(apart, chi_square(table[0], table[1]))


def _moved(a: NumberBrief, b: NumberBrief) -> Measured:
    found = _stepped(a.summary, b.summary)
    if not (a.summary.rows and b.summary.rows):
        return found
    width = a.moments.sd or b.moments.sd
    lines = Lines.of(a.summary, b.summary)
    if width:
        with np.errstate(over="ignore"):
            steps = np.diff(lines.values)
            far = float(np.sum(np.abs(lines.before - lines.after)[:-1] * (steps / width)))
        found.others["wasserstein"] = min(far, float(np.finfo(np.float64).max))
    return found


def _stepped(a: Summary, b: Summary) -> Measured:
    n, m = a.rows, b.rows
    if not (n and m):  # the share of missing values tells of it
        return Measured(0.0, 1.0)
    lines = Lines.of(a, b)
    apart = float(np.max(np.abs(lines.before - lines.after)))
    before, after = lines.binned(n, m)
    # What thinning may have added to the distance is no evidence.
    sure = max(0.0, apart - a.error - b.error)
    return Measured(
        max(apart, lines.single(n, m)[1]),
        float(special.kolmogorov(sure * np.sqrt(n * m / (n + m)))),
        {"kolmogorov_smirnov": apart, **_informed(before, after)},
    )


class Lines(NamedTuple):
    """Shares of rows up to each of ``values`` (ascending), on both sides."""

    values: Floats
    before: Floats
    after: Floats

    @classmethod
    def of(cls, a: Summary, b: Summary) -> "Lines":
        """Of two summaries that both hold rows."""
        values = np.union1d(a.values, b.values)
        shares = [
            np.append(0, np.cumsum(side.counts))[np.searchsorted(side.values, values, side="right")]
            / side.rows
            for side in (a, b)
        ]
        return cls(values, *shares)

    def single(self, n: int, m: int) -> tuple[float, float]:
        """The value whose own share differs most, and by how much; 0 where none stands out."""
        before = np.diff(self.before, prepend=0)
        after = np.diff(self.after, prepend=0)
        often = (np.maximum(before, after) >= ATOM) & (before * n + after * m >= MIN_ROWS)
        apart = np.where(often, np.abs(before - after), 0.0)
        most = int(np.argmax(apart))
        return float(self.values[most]), float(apart[most])

    def binned(self, n: int, m: int) -> tuple[Counts, Counts]:
        """Rows between quantiles of both sides taken with equal weight."""
        bins = int(np.clip(min(n, m) // ROWS_PER_BIN, 2, BINS))
        middle = (self.before + self.after) / 2
        at = np.unique(np.searchsorted(middle, np.arange(1, bins) / bins - 1e-12))
        at = at[at < len(self.values) - 1]
        sides = [
            np.diff(np.rint(np.concatenate([[0.0], side[at], [1.0]]) * rows))
            for side, rows in ((self.before, n), (self.after, m))
        ]
        return sides[0].astype(np.int64), sides[1].astype(np.int64)


def _categories(a: Tally, b: Tally) -> Measured:
    if not (a.held and b.held):
        return Measured(0.0, 1.0)
    before, after = aligned(a, b)
    n, m = before.sum(), after.sum()
    p, q = before / n, after / m
    # A difference of two shares is spread by chance, and its size is then sqrt(2 / pi) of that.
    middle = (before + after) / (n + m)
    chance = np.sqrt(2 / np.pi * middle * (1 - middle) * (1 / n + 1 / m))
    apart = float(np.abs(p - q).sum() / 2)
    found = {"total_variation": apart, **_informed(before, after)}
    return Measured(max(0.0, apart - float(chance.sum()) / 2), chi_square(before, after), found)


def aligned(a: Tally, b: Tally) -> tuple[Counts, Counts]:
    """Rows per category on both sides, rare ones together; per group where not all are named."""
    if a.more is not None or b.more is not None:
        return a.beyond.groups, b.beyond.groups
    _, before, after = by_name(a, b)
    often = before + after >= MIN_ROWS
    sides = [np.append(side[often], side[~often].sum()) for side in (before, after)]
    seen = sides[0] + sides[1] > 0
    return sides[0][seen], sides[1][seen]


def by_name(a: Tally, b: Tally) -> tuple[list[str], Counts, Counts]:
    """Every category that either side names, and its rows on both."""
    sides = [
        pl.DataFrame({"name": side.names, rows: side.counts}, {"name": pl.String, rows: pl.Int64})
        for side, rows in ((a, "before"), (b, "after"))
    ]
    both = sides[0].join(sides[1], on="name", how="full", coalesce=True).fill_null(0).sort("name")
    return both["name"].to_list(), both["before"].to_numpy(), both["after"].to_numpy()


def chi_square(before: Counts, after: Counts) -> float:
    """The chance of such counts per bin on two sides that do not differ (Pearson 1900)."""
    table = np.vstack([before, after]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    distance = float(((table - expected) ** 2 / expected).sum())
    return float(special.chdtrc(table.shape[1] - 1, distance))


def _informed(before: Counts, after: Counts) -> dict[str, float]:
    """Population stability index, freed of its bias, and Jensen-Shannon distance (base 2)."""
    bins, n, m = len(before), before.sum(), after.sum()
    # Half a row in every bin keeps the logarithm finite where one side has none.
    p, q = (before + 0.5) / (n + bins / 2), (after + 0.5) / (m + bins / 2)
    index = float(np.sum((p - q) * np.log(p / q)))
    # Without any drift it is about (bins - 1) (1/n + 1/m), twice a chi-square (Yurdakul 2018).
    index = max(0.0, float(index - (bins - 1) * (1 / n + 1 / m)))
    middle = (before / n + after / m) / 2
    divergence = (
        special.entr(middle).sum() - (special.entr(before / n) + special.entr(after / m)).sum() / 2
    )
    apart = float(np.sqrt(np.clip(divergence / np.log(2), 0, 1)))
    return {"psi": index, "jensen_shannon": apart}


def _lengths(tally: Tally) -> Summary:
    counts = tally.beyond.lengths
    held = np.flatnonzero(counts)
    return Summary(held.astype(np.float64), counts[held])
