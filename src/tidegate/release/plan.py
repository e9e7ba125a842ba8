"""How much evidence a plan must allow for, so that a good candidate is not held back."""

from math import ceil, log, sqrt
from statistics import NormalDist

from tidegate.release.judge import AS_GOOD


def labels_needed(
    share: float, bad_rate: float, margin: float, *, alpha: float, power: float = 0.9
) -> int:
    """Labelled answers after which a candidate as good as the champion may be promoted.

    With that many at ``share``, of answers that are bad at ``bad_rate`` (both in (0, 1)), its
    evidence of being no worse than ``margin`` (above 0, relative) has reached 1/``alpha`` with a
    probability of about ``power``: sooner is hoped for, later is held back. Counts only the risk
    ratio 1, so a better candidate is there sooner. By the central limit theorem; the sum of the
    evidence in a bad answer has drift ``g`` and deviation ``d`` (Wald 1947, Sequential analysis).

    >>> labels_needed(0.5, 0.15, 0.25, alpha=0.01)
    13603
    """
    null = share * (1 + margin) + 1 - share
    ours, theirs = log(null / (1 + margin)), log(null)
    g = share * ours + (1 - share) * theirs
    d = (ours - theirs) ** 2 * share * (1 - share)
    line = log(1 / alpha) + log(len(AS_GOOD))
    z = NormalDist().inv_cdf(power)
    root = (z * sqrt(d) + sqrt(z * z * d + 4 * g * line)) / (2 * g)
    return ceil(root**2 / bad_rate)
