"""How far rows hang together with those that follow them, as rows in time do."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: So many correlations in a row within chance end the search for the last one that counts, and
#: what is chance: Politis and White's own numbers.
_QUIET, _BOUND = 5, 2.0


def block_length(values: Array) -> int:
    """How many neighbours of ``values``, ``(n_rows,)``, to keep together when they are drawn anew.

    The length that serves the variance of a mean best, for blocks that do not overlap (Carlstein
    1986), estimated after Politis and White 2004 as corrected by Patton et al. 2009,
    doi:10.1080/07474930802459016, with the constant of such blocks (Lahiri 1999). 1 where
    neighbours are independent, at most a third of the rows.

    >>> block_length(np.random.default_rng(0).normal(size=500))
    1
    >>> block_length(np.repeat(np.random.default_rng(0).normal(size=50), 10)) > 5
    True
    """
    n = len(values)
    away = values - values.mean() if n else values
    if n < 4 * _QUIET or not away.any():
        return 1
    longest = min(n - 1, math.ceil(math.sqrt(n)) + _QUIET)
    lags = _covariances(away, 2 * longest)
    chance = _BOUND * math.sqrt(math.log10(n) / n)
    last = _last_telling(np.abs(lags[1 : longest + 1]) / lags[0], chance)
    if last == 0:
        return 1
    reach = min(2 * last, len(lags) - 1)
    at = np.arange(1, reach + 1)
    # A window that is flat up to half of its reach and falls to nothing from there.
    weights = np.clip(2 * (1 - at / reach), 0.0, 1.0)
    slope = 2 * float(np.sum(weights * at * lags[1 : reach + 1]))
    density = float(lags[0] + 2 * np.sum(weights * lags[1 : reach + 1]))
    if density <= 0:  # neighbours that cancel out: blocks would only make the interval narrower
        return 1
    length = (slope**2 / density**2) ** (1 / 3) * n ** (1 / 3)
    return int(max(1, min(round(length), n // 3)))


def _covariances(away: Array, most: int) -> Array:
    """Of values with those 0, 1, 2, ... places after them."""
    n = len(away)
    return np.array([away[: n - lag] @ away[lag:] / n for lag in range(min(most, n - 1) + 1)])


def _last_telling(correlations: Array, chance: float) -> int:
    """The lag after which so many correlations in a row are within chance."""
    quiet = 0
    for lag, one in enumerate(correlations, start=1):
        quiet = quiet + 1 if one < chance else 0
        if quiet == _QUIET:
            return lag - _QUIET
    return len(correlations)
