"""A stream of numbers in brief: exact counts, quantiles within a bound, and mergeable."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tidegate.data.profile.grid import Grid, grid_for

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Values that stand for one batch, and for the whole once it is kept: shares are then known to a
#: twentieth of a percent, a fortieth of the smallest drift that is told (2 percent).
POINTS = 2048
#: Values that stand for what was merged while a stream runs: finer, so that merging costs little.
FINE = 2 * POINTS
#: Values held before they are thinned again: half a megabyte a column.
PENDING = 16 * POINTS
#: Of a batch, so many numbers apart are sorted to see which cells would suit it; a column that no
#: cells suit is not looked at for ever.
LOOK, LOOKS = 8, 4
#: How unlikely it is that a share is further off than the bound says: one in 10**12.
_SURE = math.log(2e12) / 2


@dataclass(frozen=True)
class Summary:
    """Distinct ``values``, ascending (float64), each standing for ``counts`` rows.

    In rows, how far a count up to some point may be off: ``fixed`` surely at most; ``gaps`` surely
    at most from thinning, by draws whose ranges squared sum to ``squares``. With all at 0 every
    value that occurred is there, with its exact count.
    """

    values: Floats
    counts: Counts
    fixed: float = 0.0
    gaps: float = 0.0
    squares: float = 0.0

    @property
    def rows(self) -> int:
        """Rows counted, exactly."""
        return int(self.counts.sum())

    @property
    def error(self) -> float:
        """How far the share of rows up to any point may be from the truth.

        Which row stands for its neighbours is drawn, so over many thinnings Hoeffding's bound
        (1963) holds, but for once in 10**12; it is never more than their sum.
        """
        drawn = min(self.gaps, math.sqrt(_SURE * self.squares))
        return min(1.0, (self.fixed + drawn) / max(1, self.rows))


NOTHING = Summary(np.empty(0), np.empty(0, np.int64))


@dataclass(frozen=True)
class Moments:
    """Count, mean, standard deviation, smallest and largest of finite numbers."""

    rows: int = 0
    mean: float = 0.0
    sd: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def plus(self, other: "Moments") -> "Moments":
        """Of both together (Chan, Golub and LeVeque 1983, in deviations, which do not overflow)."""
        if not (self.rows and other.rows):
            return self if self.rows else other
        rows = self.rows + other.rows
        mine, theirs = self.rows / rows, other.rows / rows
        # The factor is at most 1: the halves' difference is finite, and stays so.
        between = (other.mean / 2 - self.mean / 2) * (2 * math.sqrt(mine * theirs))
        return _within(
            rows,
            self.mean * mine + other.mean * theirs,
            math.hypot(self.sd * math.sqrt(mine), other.sd * math.sqrt(theirs), between),
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )


def moments(values: Floats) -> Moments:
    """Of finite numbers."""
    if not len(values):
        return Moments()
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    # Squares of numbers far from 1 overflow or vanish; those are worked on in a unit of their own.
    unit = 1.0 if size == 0 or 1e-100 < size < 1e100 else size
    scaled = values if unit == 1.0 else values / unit
    mean = float(scaled.mean())
    apart = scaled - mean
    # Not a dot product: BLAS would use threads for it, and they would wait for each other.
    spread = float(np.multiply(apart, apart, out=apart).mean())
    return _within(len(values), mean * unit, math.sqrt(spread) * unit, low, high)


def _within(rows: int, mean: float, sd: float, low: float, high: float) -> Moments:
    """Moments that rounding has not moved beyond what numbers from ``low`` to ``high`` can have."""
    return Moments(rows, min(max(mean, low), high), min(sd, sys.float_info.max), low, high)


def summary(ascending: Floats, points: int, random: np.random.Generator) -> Summary:
    """Of numbers in ascending order, by at most ``points`` values."""
    if not len(ascending):
        return NOTHING
    starts = np.flatnonzero(ascending[1:] != ascending[:-1])
    if len(starts) < points:
        ends = np.append(starts, len(ascending) - 1)
        return Summary(ascending[ends], np.diff(ends, prepend=-1))
    return _drawn(ascending, np.arange(1, len(ascending) + 1), points, random)


def merged(parts: Sequence[Summary], points: int, random: np.random.Generator) -> Summary:
    """The summary of all rows of ``parts``, by at most ``points`` values."""
    parts = [part for part in parts if len(part.values)]
    if not parts:
        return NOTHING
    values = np.concatenate([part.values for part in parts])
    order = np.argsort(values, kind="stable")
    counts = np.concatenate([part.counts for part in parts])[order]
    whole = _summed(values[order], counts)
    whole = replace(
        whole,
        fixed=sum(part.fixed for part in parts),
        gaps=sum(part.gaps for part in parts),
        squares=sum(part.squares for part in parts),
    )
    return thinned(whole, points, random)


def thinned(given: Summary, points: int, random: np.random.Generator) -> Summary:
    """The same rows by at most ``points`` values."""
    if len(given.values) <= points:
        return given
    fewer = _drawn(given.values, np.cumsum(given.counts), points, random)
    return replace(
        fewer,
        fixed=given.fixed,
        gaps=given.gaps + fewer.gaps,
        squares=given.squares + fewer.squares,
    )


def _drawn(values: Floats, ends: Counts, points: int, random: np.random.Generator) -> Summary:
    """Of every so many rows one, drawn; ``ends``: rows up to each value, the value's included."""
    bounds = np.linspace(0, int(ends[-1]), points + 1).astype(np.int64)
    counts = np.diff(bounds)
    ranks = bounds[:-1] + (random.random() * counts).astype(np.int64)
    gap = float(counts.max())
    found = _summed(values[np.searchsorted(ends, ranks, side="right")], counts)
    return replace(found, gaps=gap, squares=gap * gap)


def _summed(ascending: Floats, counts: Counts) -> Summary:
    """Equal values taken together."""
    last = np.append(ascending[1:] != ascending[:-1], True)
    totals = np.cumsum(counts)[last]
    return Summary(ascending[last], np.diff(totals, prepend=0))


@dataclass(frozen=True)
class NumberBrief:
    """A stream of numbers that has ended.

    ``missing`` counts NaN, ``infinite`` both infinities; all else is about the finite ones.
    ``rising``: no number was below the one before it, as in counters and clocks.
    """

    summary: Summary = NOTHING
    moments: Moments = Moments()
    missing: int = 0
    infinite: int = 0
    rising: bool = True
    first: float | None = None
    last: float | None = None

    def plus(self, other: "NumberBrief") -> "NumberBrief":
        """Both streams, ``other`` coming after this one."""
        follows = self.last is None or other.first is None or self.last <= other.first
        return NumberBrief(
            merged([self.summary, other.summary], POINTS, np.random.default_rng(2)),
            self.moments.plus(other.moments),
            self.missing + other.missing,
            self.infinite + other.infinite,
            self.rising and other.rising and follows,
            other.first if self.first is None else self.first,
            self.last if other.last is None else other.last,
        )


class Numbers:
    """Numbers as they stream by: ``add`` batches, then take the ``brief``.

    They are counted in even cells, which a few of the first ones suggest; batches that cells do not
    suit are sorted.
    """

    def __init__(self) -> None:
        self._so_far = NumberBrief()
        self._grid: Grid | None = None
        self._looks = LOOKS
        self._parts: list[Summary] = []
        self._held = 0
        # Which rows stand for others is drawn anew each time, and the same for the same stream.
        self._random = np.random.default_rng(0)

    def add(self, values: Floats) -> None:
        """Take in float64 values in row order, NaN where one is missing; they are not changed."""
        finite, before = values, self._so_far
        missing = infinite = 0
        # One look at the sum tells whether a look at each is needed.
        with np.errstate(over="ignore", invalid="ignore"):
            sound = math.isfinite(float(values.sum()))
        if not sound:
            finite = values[np.isfinite(values)]
            missing = int(np.isnan(values).sum())
            infinite = len(values) - len(finite) - missing
        self._so_far = NumberBrief(
            NOTHING,
            before.moments.plus(moments(finite)),
            before.missing + missing,
            before.infinite + infinite,
            before.rising and _rising(before.last, finite),
            float(finite[0]) if before.first is None and len(finite) else before.first,
            float(finite[-1]) if len(finite) else before.last,
        )
        if len(finite):
            self._count(finite)

    def brief(self) -> NumberBrief:
        """What was taken in."""
        # The cells are thinned by themselves first: merging tens of thousands would take longer.
        parts = [*self._parts, thinned(_of_grid(self._grid), FINE, self._random)]
        return replace(self._so_far, summary=merged(parts, POINTS, self._random))

    def _count(self, finite: Floats) -> None:
        if self._grid is None and self._looks:
            self._looks -= 1
            self._grid = grid_for(np.sort(finite[::LOOK]))
        rest = self._grid.add(finite) if self._grid is not None else None
        self._take(np.sort(finite if rest is None else rest))

    def _take(self, ascending: Floats) -> None:
        # No negative zero: it equals zero.
        self._parts.append(summary(ascending + 0.0, POINTS, self._random))
        self._held += len(self._parts[-1].values)
        if self._held > PENDING:
            self._parts = [merged(self._parts, FINE, self._random)]
            self._held = len(self._parts[0].values)


def _of_grid(grid: Grid | None) -> Summary:
    if grid is None:
        return NOTHING
    values, counts = grid.cells()
    return Summary(values, counts, fixed=0.0 if grid.whole else float(counts.max(initial=0)))


def _rising(last: float | None, seen: Floats) -> bool:
    if not len(seen):
        return True
    # Most columns are out of order at once: a look at a few spares one at all.
    few = seen[:64]
    follows = last is None or last <= seen[0]
    return bool(follows and (few[1:] >= few[:-1]).all() and (seen[1:] >= seen[:-1]).all())
