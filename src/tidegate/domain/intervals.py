"""How sure one may be: Wilson's interval for a share, the bootstrap for everything else, and
p-values corrected over many looks."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tidegate.domain.metrics import METRICS, Task, alike
from tidegate.domain.validation import Interval

Array = NDArray[np.float64]

#: Draws of a bootstrap: the ends of a 95% interval then stand on 50 draws each.
REPLICATES = 2000
#: Units that are drawn. More rows than this are dealt at random into so many blocks, whose sums
#: are drawn instead: means of equal blocks vary as means of rows do, and the cost stays bounded.
BLOCKS = 4096


def wilson(right: int, rows: int, confidence: float) -> Interval:
    """Interval of a share, after Wilson 1927, doi:10.1080/01621459.1927.10502953.

    >>> interval = wilson(0, 10, 0.95)
    >>> interval.low, round(interval.high, 4)
    (0.0, 0.2775)
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(
        share * (1 - share) / rows + z * z / (4 * rows * rows)
    )  # fmt: skip
    # At the ends the bound is the share itself; rounding must not put it beyond.
    low = 0.0 if right == 0 else max(0.0, centre - half)
    high = 1.0 if right == rows else min(1.0, centre + half)
    return Interval(value=share, low=low, high=high)


def interval_of(
    metric: str,
    task: Task,
    truth: NDArray,  # type: ignore[type-arg]
    predicted: NDArray,  # type: ignore[type-arg]
    *,
    confidence: float,
    seed: int,
) -> Interval:
    """A metric of ``(n_rows,)`` predictions with its interval: Wilson's for accuracy, else the
    bootstrap's percentiles."""
    value = METRICS[metric][1](truth, predicted)
    if metric == "accuracy":
        return wilson(round(value * len(truth)), len(truth), confidence)
    found = sums(task, truth, predicted, deal(len(truth), seed))
    return percentile(value, found.score[metric](draws(found.blocks, seed)), confidence)


class Sums(NamedTuple):
    """What metrics are made of: sums over rows, ``(blocks, n_sums)``, that simply add up."""

    blocks: Array
    score: Mapping[str, Callable[[Array], Array]]  # totals (n_draws, n_sums) to (n_draws,)


def deal(rows: int, seed: int, together: int = 1) -> NDArray[np.int64]:
    """The block of each row, ``(rows,)``, block sizes differing by one at most: at random, or
    ``together`` neighbours and more where rows hang together with those that follow."""
    if together > 1:
        blocks = max(2, min(BLOCKS, rows // together))
        return np.arange(rows) * blocks // rows
    if rows <= BLOCKS:
        return np.arange(rows)
    return np.asarray(np.random.default_rng(seed).permutation(np.arange(rows) % BLOCKS))


def sums(task: Task, truth: NDArray, predicted: NDArray, block: NDArray[np.int64]) -> Sums:  # type: ignore[type-arg]
    """The sums that the metrics of a task need, block by block."""
    if task is Task.REGRESSION:
        return _error_sums(truth.astype(float), predicted.astype(float), block)
    return _count_sums(truth, predicted, block)


def _count_sums(truth: NDArray, predicted: NDArray, block: NDArray[np.int64]) -> Sums:  # type: ignore[type-arg]
    """True positives, predicted and actual rows of each class."""
    _, codes = np.unique(np.concatenate(alike(truth, predicted)), return_inverse=True)
    t, p = codes[: len(truth)], codes[len(truth) :]
    k, m = int(codes.max()) + 1, int(block.max()) + 1
    counts = [
        np.bincount(block[rows] * k + of[rows], minlength=m * k).reshape(m, k)
        for of, rows in ((t, t == p), (p, slice(None)), (t, slice(None)))
    ]

    def parts(total: Array) -> tuple[Array, Array, Array]:
        return total[:, :k], total[:, k : 2 * k], total[:, 2 * k :]

    def macro(part: Array, whole: Array, actual: Array) -> Array:
        ratio = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        seen = actual > 0
        return np.asarray((ratio * seen).sum(axis=1) / seen.sum(axis=1))

    def precision(total: Array) -> Array:
        right, said, actual = parts(total)
        return macro(right, said, actual)

    def recall(total: Array) -> Array:
        right, _, actual = parts(total)
        return macro(right, actual, actual)

    def f1(total: Array) -> Array:
        right, said, actual = parts(total)
        return macro(2 * right, said + actual, actual)

    def accuracy(total: Array) -> Array:
        right, _, actual = parts(total)
        return np.asarray(right.sum(axis=1) / actual.sum(axis=1))

    score = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
    return Sums(np.concatenate(counts, axis=1).astype(float), score)


def _error_sums(truth: Array, predicted: Array, block: NDArray[np.int64]) -> Sums:
    """Rows, absolute and squared errors, and the target's first two moments."""
    error = truth - predicted
    # About the overall mean, or the spread would drown in the square of a large mean.
    away = truth - truth.mean()
    columns = (np.ones_like(truth), np.abs(error), error**2, away, away**2)
    added = [np.bincount(block, weights=column) for column in columns]
    blocks = np.column_stack(added).astype(np.float64)

    def mae(total: Array) -> Array:
        return np.asarray(total[:, 1] / total[:, 0])

    def rmse(total: Array) -> Array:
        return np.sqrt(total[:, 2] / total[:, 0])

    def r2(total: Array) -> Array:
        spread = total[:, 4] - total[:, 3] ** 2 / total[:, 0]
        varies = spread > 1e-12 * np.maximum(total[:, 4], 1e-300)
        ratio = np.divide(total[:, 2], spread, out=np.ones_like(spread), where=varies)
        return np.asarray(1 - ratio)

    return Sums(blocks, {"mae": mae, "rmse": rmse, "r2": r2})


def draws(blocks: Array, seed: int) -> Array:
    """Totals ``(REPLICATES, n_sums)`` of blocks drawn with replacement (Efron 1979)."""
    rng, m = np.random.default_rng(seed), len(blocks)
    totals = np.empty((REPLICATES, blocks.shape[1]))
    step = max(1, 2_000_000 // m)  # 16 MB of weights at a time
    for at in range(0, REPLICATES, step):
        n = min(step, REPLICATES - at)
        drawn = rng.integers(0, m, (n, m)) + np.arange(n)[:, None] * m
        weights = np.bincount(drawn.ravel(), minlength=n * m).reshape(n, m)
        totals[at : at + n] = weights @ blocks
    return totals


def percentile(value: float, drawn: Array, confidence: float, units: int | None = None) -> Interval:
    """The interval that leaves out equal shares of the draws at both ends, around ``value``.

    Draws of few ``units`` are too narrow, as a normal interval is beside Student's: the shares
    are then as much smaller (the expanded interval of Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789).
    """
    outside = (1 - confidence) / 2
    if units is not None and units > 1:
        reach = math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, 1 - outside))
        outside = NormalDist().cdf(-reach)
    low, high = np.quantile(drawn, [outside, 1 - outside])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))


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
