"""Two models on the same rows: whether the rows that tell them apart lean to one side."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, expit, logit, stdtr

from tidegate.domain.intervals import wilson
from tidegate.domain.validation import Interval

Floats = NDArray[np.float64]


def mcnemar(better: int, worse: int) -> float:
    """Two-sided p-value of the exact test of McNemar 1947, doi:10.1007/BF02295996.

    ``better`` and ``worse``: rows that only one of the two models gets right. Without a
    difference each of them falls on either side like a coin.

    >>> round(mcnemar(1, 9), 4), mcnemar(0, 0)
    (0.0215, 1.0)
    """
    rows = better + worse
    return min(1.0, 2 * float(bdtr(min(better, worse), rows, 0.5))) if rows else 1.0


def even(sums: Floats) -> float:
    """Two-sided p-value of Student's test that ``sums`` of independent blocks lean to no side.

    >>> round(even(np.array([3.0, -1.0, 2.0, 4.0])), 3), even(np.zeros(5))
    (0.161, 1.0)
    """
    blocks, mean, spread = len(sums), float(np.mean(sums)), float(np.std(sums, ddof=1))
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return 2 * float(stdtr(blocks - 1, -abs(mean) / (spread / math.sqrt(blocks))))


class Areas(NamedTuple):
    """Areas under k ROC curves on the same rows, ``(k,)``, and their covariance ``(k, k)``."""

    values: Floats
    covariance: Floats


def areas(truth: NDArray[np.bool_], scores: Floats) -> Areas:
    """AUCs of ``scores``, ``(k, n_rows)``, after DeLong et al. 1988, doi:10.2307/2531595.

    Through ranks, in n log n (Sun and Xu 2014, doi:10.1109/LSP.2014.2337313). ``truth`` holds
    both a true and a false row; with one of either the covariance is infinite.
    """
    positive, negative = scores[:, truth], scores[:, ~truth]
    m, n = positive.shape[1], negative.shape[1]
    ranks = [np.stack([_midranks(row) for row in part]) for part in (positive, negative)]
    together = np.stack([_midranks(row) for row in np.hstack([positive, negative])])
    above = (together[:, :m] - ranks[0]) / n  # share of negatives that each positive outranks
    below = 1 - (together[:, m:] - ranks[1]) / m
    if min(m, n) < 2:  # one row has no spread to be seen
        return Areas(above.mean(axis=1), np.full((len(scores), len(scores)), np.inf))
    covariance = _covariance(above) / m + _covariance(below) / n
    return Areas(above.mean(axis=1), covariance)


def area_interval(area: float, variance: float, rows: int, confidence: float) -> Interval:
    """An AUC with its interval, normal on the logit scale, which keeps it within 0 and 1.

    ``rows``: of the rarer class. Where no pair is out of order the variance says nothing; the
    Wilson interval of so many rows stands in.
    """
    if not 0 < area < 1 or variance <= 0:
        return wilson(round(area * rows), rows, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    half = z * math.sqrt(variance) / (area * (1 - area))
    low, high = (float(expit(logit(area) + sign * half)) for sign in (-1, 1))
    return Interval(value=area, low=low, high=high)


def area_difference(found: Areas, confidence: float) -> tuple[Interval, float]:
    """First area less the second, with its interval, and the two-sided p-value of no difference."""
    apart = float(found.values[0] - found.values[1])
    c = found.covariance
    known = bool(np.isfinite(c).all())
    error = math.sqrt(max(0.0, float(c[0, 0] + c[1, 1] - 2 * c[0, 1]))) if known else 0.0
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    if not known or (error == 0 and apart != 0):  # too few rows to have any spread
        return Interval(value=apart, low=-1.0, high=1.0), 1.0
    p = 2 * NormalDist().cdf(-abs(apart) / error) if error > 0 else 1.0
    return Interval(value=apart, low=apart - half, high=apart + half), p


def _midranks(values: Floats) -> Floats:
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(ties) - (ties - 1) / 2)[place])


def _covariance(parts: Floats) -> Floats:
    if parts.shape[1] < 2:
        return np.zeros((len(parts), len(parts)))
    return np.atleast_2d(np.cov(parts))
