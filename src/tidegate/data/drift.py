"""Whether new rows come from where the old ones came: column by column, and all together."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special

from tidegate.data.distribution import Distribution, distribution, quantile
from tidegate.data.joint import Separation, separation
from tidegate.domain.errors import DataError
from tidegate.domain.evidence import ColumnDrift, Consistency, JointDrift
from tidegate.domain.messages import Message, say
from tidegate.domain.schema import Kind

Pair = tuple[Distribution, Distribution]
Counts = NDArray[np.int64]

#: The index from which a column counts as drifted. Usual lines are 0.1, 0.2 and 0.25; a shift by
#: half a standard deviation has 0.238 on ten bins and would never reach the last of them.
EFFECT = 0.2
#: Fewer rows on a side are too few to tell: below 50 even a shift by one standard deviation is
#: missed more often than one time in ten at the usual significance.
MIN_ROWS = 50
#: At most ten bins, the usual number for the index, and ten rows a bin or more on average.
BINS, ROWS_PER_BIN = 10, 10
#: Categories that occur fewer times on both sides together are taken as one: the chi-square
#: distribution, and the correction of the index below, need about five expected on each side.
MIN_CATEGORY_ROWS = 10


def drift_report(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    columns: Sequence[str],
    *,
    effect: float = EFFECT,
    significance: float = 0.01,
    min_rows: int = MIN_ROWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Consistency:
    """How ``current`` differs from ``reference`` in ``columns``, ranked by effect.

    A column has drifted where its index reaches ``effect`` and its p-value, corrected over all
    columns (Holm 1979), lies below ``significance``: the first keeps 10 million rows from making
    news of nothing, the second keeps 100 columns from it. The columns together have drifted where
    a classifier tells the sides apart as well as one column at ``effect`` would let it.
    """
    began = time.monotonic()
    for name in columns:
        if name not in reference.columns or name not in current.columns:
            raise DataError(
                "column '{column}' is not on both sides",
                do="compare columns that both have",
                column=name,
            )
    if min(reference.height, current.height) < min_rows or not columns:
        return _too_little(reference.height, current.height, began)
    pairs: list[Pair] = []
    for done, name in enumerate(columns, start=1):
        pairs.append((distribution(reference[name]), distribution(current[name])))
        if progress is not None:
            progress(done, len(columns) + 1)
    together = separation(reference, current, list(columns), seed=seed)
    if progress is not None:
        progress(len(columns) + 1, len(columns) + 1)
    return consistency(pairs, together, effect, significance, began)


def consistency(
    pairs: Sequence[Pair],
    together: Separation | None,
    effect: float,
    significance: float,
    began: float,
) -> Consistency:
    """The verdict on compared columns; ``began`` is ``time.monotonic()`` at the start."""
    raw = [p_value(a, b) for a, b in pairs] + ([together.p_value] if together else [])
    corrected = holm(raw)
    columns = []
    for (a, b), p in zip(pairs, corrected, strict=False):
        size = effect_size(a, b)
        drifted = size >= effect and p < significance
        columns.append(
            ColumnDrift(
                name=a.name,
                drifted=drifted,
                effect=size,
                p_value=p,
                detail=_detail(a, b) if drifted else None,
            )
        )
    joint = JointDrift(drifted=False, score=0.5, columns=[])
    if together is not None:
        told = together.score >= auc_at(effect) and corrected[-1] < significance
        joint = JointDrift(drifted=told, score=together.score, columns=together.columns)
    moved = joint.drifted or any(column.drifted for column in columns)
    return Consistency(
        verdict="drifted" if moved else "consistent",
        columns=sorted(columns, key=lambda column: (-column.effect, column.p_value, column.name)),
        joint=joint,
        rows_reference=pairs[0][0].rows,
        rows_current=pairs[0][1].rows,
        seconds=round(time.monotonic() - began, 3),
    )


def effect_size(reference: Distribution, current: Distribution) -> float:
    """The population stability index, ``sum((p - q) ln(p / q))`` over bins, freed of its bias.

    Numbers are binned at quantiles of both sides taken with equal weight, so that bins exist
    wherever either side has values; missing values are a bin of their own. Without any drift the
    index is about ``(bins - 1) (1/n + 1/m)`` (twice a chi-square, Yurdakul 2018), which a batch
    of 100 rows would show as 0.2: that much is taken off.
    """
    before, after = _binned(reference, current)
    bins, n, m = len(before), before.sum(), after.sum()
    # Half a row in every bin keeps the logarithm finite where one side has none.
    p, q = (before + 0.5) / (n + bins / 2), (after + 0.5) / (m + bins / 2)
    index = float(np.sum((p - q) * np.log(p / q)))
    return max(0.0, float(index - (bins - 1) * (1 / n + 1 / m)))


def p_value(reference: Distribution, current: Distribution) -> float:
    """The chance of such a difference without drift, not yet corrected for many columns.

    Numbers: Kolmogorov-Smirnov in its asymptotic form (conservative where values repeat), doubled
    and set against a chi-square test of missing values where any are missing. Texts: chi-square
    over categories, missing values being one.
    """
    if Kind.CATEGORICAL in (reference.kind, current.kind):
        return _chi_square(*_binned(reference, current))
    missing = np.array([reference.missing, current.missing])
    held = np.array([reference.held, current.held])
    if not missing.any():
        return _kolmogorov_smirnov(reference, current)
    apart = _chi_square(np.array([missing[0], held[0]]), np.array([missing[1], held[1]]))
    if not held.all():
        return apart
    return min(1.0, 2 * min(apart, _kolmogorov_smirnov(reference, current)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected so that any false alarm among all is as rare as one alone (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, float(p_values[place]) * (len(p_values) - rank)))
        corrected[place] = highest
    return corrected


def auc_at(effect: float) -> float:
    """The AUC that one normal column reaches when shifted so far that its index is ``effect``.

    For a shift by d standard deviations the index tends to d squared with ever finer bins, and
    the AUC is the normal probability of ``d / sqrt(2)``: 0.2 gives about 0.62.
    """
    return float(special.ndtr(np.sqrt(effect / 2)))


def _too_little(rows_reference: int, rows_current: int, began: float) -> Consistency:
    return Consistency(
        verdict="too_little_data",
        rows_reference=rows_reference,
        rows_current=rows_current,
        seconds=round(time.monotonic() - began, 3),
    )


def _binned(reference: Distribution, current: Distribution) -> tuple[Counts, Counts]:
    """Rows per bin on both sides; bins that are empty on both are left out."""
    if Kind.CATEGORICAL in (reference.kind, current.kind):
        before, after = _by_category(reference.as_categories(), current.as_categories())
    else:
        before, after = _by_quantile(reference, current)
    before = np.append(before, reference.missing)
    after = np.append(after, current.missing)
    seen = before + after > 0
    return before[seen], after[seen]


def _by_category(reference: Distribution, current: Distribution) -> tuple[Counts, Counts]:
    values = np.unique(np.concatenate([reference.values, current.values]).astype(str))
    before, after = (_counts_of(values, side) for side in (reference, current))
    often = before + after >= MIN_CATEGORY_ROWS
    return (
        np.append(before[often], before[~often].sum()),
        np.append(after[often], after[~often].sum()),
    )


def _counts_of(values: NDArray[np.str_], side: Distribution) -> Counts:
    counts = np.zeros(len(values), np.int64)
    counts[np.searchsorted(values, side.values.astype(str))] = side.counts
    return counts


def _by_quantile(reference: Distribution, current: Distribution) -> tuple[Counts, Counts]:
    sides = [side for side in (reference, current) if side.held]
    if not sides:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    values = np.concatenate([side.values for side in sides])
    weights = np.concatenate([side.counts / side.held for side in sides])
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weights[order]) / len(sides)
    bins = int(np.clip(min(reference.rows, current.rows) // ROWS_PER_BIN, 2, BINS))
    at = np.searchsorted(mass, np.arange(1, bins) / bins - 1e-12)
    edges = np.unique(values[order][np.minimum(at, len(order) - 1)])
    return _counts_between(edges, reference), _counts_between(edges, current)


def _counts_between(edges: NDArray[np.float64], side: Distribution) -> Counts:
    """Rows up to the first edge, from there up to the second, ..., above the last."""
    places = np.searchsorted(edges, side.values)
    return np.bincount(places, weights=side.counts, minlength=len(edges) + 1).astype(np.int64)


def _chi_square(before: Counts, after: Counts) -> float:
    table = np.vstack([before, after])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    distance = float(((table - expected) ** 2 / expected).sum())
    return float(special.chdtrc(table.shape[1] - 1, distance))


def _kolmogorov_smirnov(reference: Distribution, current: Distribution) -> float:
    values = np.union1d(reference.values, current.values)
    shares = [
        np.append(0, np.cumsum(side.counts))[np.searchsorted(side.values, values, side="right")]
        / side.held
        for side in (reference, current)
    ]
    # What thinning may have added to the distance is no evidence.
    apart = float(np.max(np.abs(shares[0] - shares[1]))) - reference.error - current.error
    n, m = reference.held, current.held
    return float(special.kolmogorov(max(0.0, apart) * np.sqrt(n * m / (n + m))))


def _detail(a: Distribution, b: Distribution) -> Message:
    """In a sentence, what moved most: missing values, the middle, or one category's share."""
    gone = (a.missing / a.rows, b.missing / b.rows)
    if abs(gone[0] - gone[1]) >= 0.1 or not (a.held and b.held):
        return say("missing: {before:.1%} before, {after:.1%} now", before=gone[0], after=gone[1])
    if Kind.CATEGORICAL not in (a.kind, b.kind):
        return say(
            "median: {before:.4g} before, {after:.4g} now; middle half {low:.4g} to {high:.4g} "
            "before, {low_now:.4g} to {high_now:.4g} now",
            before=quantile(a, 0.5),
            after=quantile(b, 0.5),
            low=quantile(a, 0.25),
            high=quantile(a, 0.75),
            low_now=quantile(b, 0.25),
            high_now=quantile(b, 0.75),
        )
    a, b = a.as_categories(), b.as_categories()
    values = np.unique(np.concatenate([a.values, b.values]).astype(str))
    before, after = _counts_of(values, a) / a.rows, _counts_of(values, b) / b.rows
    most = int(np.argmax(np.abs(before - after)))
    return say(
        "'{value}': {before:.1%} before, {after:.1%} now",
        value=str(values[most]),
        before=float(before[most]),
        after=float(after[most]),
    )
