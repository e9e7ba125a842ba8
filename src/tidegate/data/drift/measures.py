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
#: Cells of which fewer rows than this are expected on the smaller side are taken as one: the
#: chi-square distribution needs about five.
EXPECTED = 5
#: Tables of two by two with fewer expected anywhere are worked out exactly.
EXACT_BELOW = 10
#: A number that so many rows share is looked at by itself.
ATOM = 0.01


@dataclass(frozen=True)
class Look:
    """One way of looking at a column: ``effect``, a difference in a share of rows, and the
    ``p_value`` of that."""

    effect: float
    p_value: float


@dataclass(frozen=True)
class Measured:
    """All looks at a column, and further measures by name.

    ``retyped``: it held something of another kind before, which no look can compare.
    """

    looks: list[Look]
    others: dict[str, float] = field(default_factory=dict)
    retyped: bool = False

    @property
    def effect(self) -> float:
        """The largest effect of any look."""
        return max((look.effect for look in self.looks), default=0.0)

    @property
    def p_value(self) -> float:
        """The surest look's, corrected for having looked several times (Bonferroni)."""
        surest = min((look.p_value for look in self.looks), default=1.0)
        return min(1.0, len(self.looks) * surest)

    def told(self, effect: float, significance: float) -> Look:
        """The look that speaks for the column, its p-value corrected for all looks.

        The largest that is as large as ``effect`` and as sure as ``significance``; else the surest
        that is as large; else the largest. Size and certainty are those of one and the same look:
        a large difference that may be chance beside a sure one that is small says nothing. Never
        surer than the surest of all, so the correction holds.
        """
        corrected = [
            Look(look.effect, min(1.0, len(self.looks) * look.p_value)) for look in self.looks
        ]
        large = [look for look in corrected if look.effect >= effect]
        sure = [look for look in large if look.p_value < significance]
        if large and not sure:
            return min(large, key=lambda look: look.p_value)
        return max(sure or corrected, key=lambda look: look.effect, default=Look(0.0, 1.0))

    def plus(self, *looks: Look, **others: float) -> "Measured":
        """The same with further looks and measures."""
        return Measured([*self.looks, *looks], self.others | others, self.retyped)


def measure(reference: ColumnProfile, current: ColumnProfile) -> Measured:
    """How far the column has moved.

    Numbers and dates: the Kolmogorov-Smirnov distance, and the change in how many rows hold one
    single value. Texts: the total variation distance, less what chance alone shows. Prose: its
    length. Embeddings: the distance in a few directions. For all: the change in the share of
    missing values. A shift of a normal column by d standard deviations has an effect of about
    0.4 d.
    """
    gone = missing_look(reference, current)
    found = _held(reference, current)
    return found if gone is None else found.plus(gone, missing=gone.effect)


def missing_look(a: ColumnProfile, b: ColumnProfile) -> Look | None:
    """The change in the share of missing values; None where none is missing."""
    if not (a.missing or b.missing):
        return None
    return Look(
        abs(a.missing_share - b.missing_share), two_by_two(a.missing, a.rows, b.missing, b.rows)
    )


def _held(a: ColumnProfile, b: ColumnProfile) -> Measured:
    if not (a.held and b.held):  # the share of missing values tells of it
        return Measured([])
    if (a.kind is Kind.EMBEDDING) is not (b.kind is Kind.EMBEDDING):
        return _RETYPED
    if a.kind is Kind.EMBEDDING:
        sides = [
            _moved(a.numbers[side], b.numbers[side]) for side in a.numbers if side in b.numbers
        ]
        return Measured([look for side in sides for look in side.looks], sides[0].others)
    if a.kind is b.kind and a.value is not None and b.value is not None:
        return _moved(a.value, b.value)
    if not (a.has_texts and b.has_texts):
        return _RETYPED
    before, after = a.texts(), b.texts()
    if Kind.TEXT in (a.kind, b.kind):
        return _stepped(_lengths(before), _lengths(after))
    return _categories(before, after)


_RETYPED = Measured([Look(1.0, 0.0)], retyped=True)


def _moved(a: NumberBrief, b: NumberBrief) -> Measured:
    found = _stepped(a.summary, b.summary)
    width = a.moments.sd or b.moments.sd
    if not (width and a.summary.rows and b.summary.rows):
        return found
    lines = Lines.of(a.summary, b.summary)
    with np.errstate(over="ignore"):
        steps = np.diff(lines.values)
        far = float(np.sum(np.abs(lines.before - lines.after)[:-1] * (steps / width)))
    return found.plus(wasserstein=min(far, float(np.finfo(np.float64).max)))


def _stepped(a: Summary, b: Summary) -> Measured:
    n, m = a.rows, b.rows
    if not (n and m):
        return Measured([])
    lines = Lines.of(a, b)
    apart = float(np.max(np.abs(lines.before - lines.after)))
    # What thinning may have added to the distance is no evidence.
    unsure = a.error + b.error
    sure = max(0.0, apart - unsure)
    looks = [Look(apart, float(special.kolmogorov(sure * np.sqrt(n * m / (n + m)))))]
    single = lines.single(n, m)
    if single is not None:
        less = 2 * unsure * np.sign(single.after - single.before)
        after = max(0, round((single.after - less) * m)) if single.apart > 2 * unsure else None
        p = 1.0 if after is None else two_by_two(round(single.before * n), n, min(m, after), m)
        looks.append(Look(single.apart, min(1.0, single.tested * p)))
    before, now = lines.binned(n, m)
    return Measured(looks, {"kolmogorov_smirnov": apart, **_informed(before, now)})


class Single(NamedTuple):
    """A value by itself: its shares of rows, and how many such values there are to look at."""

    value: float
    before: float
    after: float
    tested: int

    @property
    def apart(self) -> float:
        """The change in its share."""
        return abs(self.before - self.after)


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

    def single(self, n: int, m: int) -> Single | None:
        """The value whose own share differs most; None where no value stands out."""
        before = np.diff(self.before, prepend=0)
        after = np.diff(self.after, prepend=0)
        often = (np.maximum(before, after) >= ATOM) & (before * n + after * m >= 2 * EXPECTED)
        if not often.any():
            return None
        most = int(np.argmax(np.where(often, np.abs(before - after), -1.0)))
        told = float(self.values[most]), float(before[most]), float(after[most])
        return Single(*told, int(often.sum()))

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
        return Measured([])
    before, after = aligned(a, b)
    n, m = before.sum(), after.sum()
    p, q = before / n, after / m
    # A difference of two shares is spread by chance, and its size is then sqrt(2 / pi) of that.
    middle = (before + after) / (n + m)
    chance = np.sqrt(2 / np.pi * middle * (1 - middle) * (1 / n + 1 / m))
    apart = float(np.abs(p - q).sum() / 2)
    sure = max(0.0, apart - float(chance.sum()) / 2)
    others = {"total_variation": apart, **_informed(before, after)}
    return Measured([Look(sure, chi_square(before, after))], others)


def aligned(a: Tally, b: Tally) -> tuple[Counts, Counts]:
    """Rows per category on both sides, rare ones together; per group where not all are named."""
    if a.more is not None or b.more is not None:
        return pooled(a.beyond.groups, b.beyond.groups)
    _, before, after = by_name(a, b)
    return pooled(before, after)


def pooled(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """The same with cells taken as one of which too few rows are expected on the smaller side."""
    total = before + after
    n, m = int(before.sum()), int(after.sum())
    often = total * (min(n, m) / max(1, n + m)) >= EXPECTED
    sides = [np.append(side[often], side[~often].sum()) for side in (before, after)]
    rest = sides[0][-1] + sides[1][-1]
    if len(sides[0]) > 2 and rest * (min(n, m) / max(1, n + m)) < EXPECTED:
        # What is left is too little to stand alone: it goes to the rarest of the others.
        rarest = int(np.argmin((sides[0] + sides[1])[:-1]))
        for side in sides:
            side[rarest] += side[-1]
        sides = [side[:-1] for side in sides]
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
    if table.shape[1] == 2:
        (a, b), (c, d) = table.astype(np.int64).tolist()
        return two_by_two(a, a + b, c, c + d)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    distance = float(((table - expected) ** 2 / expected).sum())
    return float(special.chdtrc(table.shape[1] - 1, distance))


def two_by_two(k: int, n: int, j: int, m: int) -> float:
    """The chance of ``k`` of ``n`` beside ``j`` of ``m`` where there is no difference, two-sided.

    Exact where few are expected (Fisher 1922, both tails by doubling the smaller), else by
    chi-square.
    """
    told, rows = k + j, n + m
    if not (n and m) or told in (0, rows):
        return 1.0
    if min(told, rows - told) * min(n, m) / rows >= EXACT_BELOW:
        expected = told * n / rows
        share = told / rows
        spread = n * share * (1 - share) * m / (rows - 1)
        return float(special.chdtrc(1, (k - expected) ** 2 / spread))
    low, high = max(0, told - m), min(told, n)
    counts = np.arange(low, high + 1, dtype=np.float64)
    chances = np.exp(
        _log_choose(n, counts) + _log_choose(m, told - counts) - _log_choose(rows, float(told))
    )
    place = k - low
    return float(min(1.0, 2 * min(chances[: place + 1].sum(), chances[place:].sum())))


def _log_choose(n: int, k: Floats | float) -> Floats:
    return np.asarray(special.gammaln(n + 1.0) - special.gammaln(k + 1.0)
                      - special.gammaln(n - k + 1.0))  # fmt: skip


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
