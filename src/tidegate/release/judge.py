"""The sequential judge: one always-valid kernel for every signal of a release.

A bad answer falls on the candidate with probability ``share*R / (share*R + 1 - share)``, where R
is the risk ratio: how many times as often the candidate answers badly as the champion. How often
that is, and whether it changes for both at once, cancels. What is judged is R alone.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegate.domain.rollout import Tally

Floats = NDArray[np.float64]

#: Risk ratios, candidate over champion, that the evidence of harm is averaged over: from a harm
#: that only many labels show to one that a handful does.
RISK_RATIOS = np.array([1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0])
#: Those that the evidence of "no worse than the margin" is averaged over: much better to as good.
AS_GOOD = np.array([0.3, 0.5, 0.7, 0.85, 1.0])
#: Parts of what one has that are bet on a pair: large ones where pairs seldom differ, small ones
#: where they often do.
BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.4])


def log_evidence(
    candidate: ArrayLike,
    champion: ArrayLike,
    share: ArrayLike,
    ratios: Floats = RISK_RATIOS,
    null: float = 1.0,
) -> Floats:
    """How much likelier bad answers fall as they do under ``ratios`` than under ``null``, as a log.

    ``candidate`` and ``champion`` count bad answers, ``(..., steps)``, each at its step's
    ``share`` (0 to 1, ``(steps,)`` or a number); the result has the leading shape. It is the
    likelihood ratio of each risk ratio to ``null``, multiplied over the steps and averaged over
    ``ratios``. With all ``ratios`` above ``null`` it is an e-process for "R is at most null",
    with all below it for "R is at least null": the chance that it ever reaches 1/alpha is then at
    most alpha, however often one looks (Ville 1939; Howard, Ramdas, McAuliffe and Sekhon 2021,
    doi:10.1214/20-AOS1991; for counts in canaries: Lindon and Malek 2022, arXiv:2011.03567).
    Answers must be split independently of each other: see ``entities``.

    >>> round(value(log_evidence([2], [0], 0.5, np.array([3.0]))), 9)  # (0.75 / 0.5) ** 2
    2.25
    """
    ours = np.asarray(candidate, dtype=float)[..., None]
    all_bad = ours + np.asarray(champion, dtype=float)[..., None]
    at = np.asarray(share, dtype=float)[..., None]
    as_often = np.log((at * ratios + 1 - at) / (at * null + 1 - at))
    return log_mean((ours * np.log(ratios / null) - all_bad * as_often).sum(axis=-2))


def log_mean(logs: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The logarithm of the (weighted) mean of what ``logs``, ``(..., n)``, are logarithms of.

    A weighted mean of e-processes, weights fixed beforehand, is one too, whatever ties them
    together (Vovk and Wang 2021, doi:10.1214/20-AOS2020): this is how signals, quantiles and
    segments share one alpha. ``weights`` are relative; equal ones by default.

    >>> round(value(log_mean(np.log([1.0, 9.0]), [3, 1])), 9)
    3.0
    """
    values = np.asarray(logs, dtype=float)
    given = np.ones(values.shape[-1]) if weights is None else np.asarray(weights, dtype=float)
    top = values.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean = np.log((np.exp(values - top) * given).sum(axis=-1) / given.sum())
    return np.asarray(mean + top[..., 0])


def log_shift(candidate: ArrayLike, champion: ArrayLike, share: ArrayLike, beyond: float) -> Floats:
    """Evidence that something happens more, or less, often than ``beyond`` times as often.

    ``beyond`` is at least 1, which tolerates no difference; 2 tolerates up to a doubling and a
    halving. Shapes and validity as ``log_evidence``: the mean of one e-process each way.
    """
    more = log_evidence(candidate, champion, share, beyond * RISK_RATIOS, beyond)
    less = log_evidence(candidate, champion, share, 1 / (beyond * RISK_RATIOS), 1 / beyond)
    return log_mean(np.stack([more, less], axis=-1))


def log_paired(candidate_only: ArrayLike, champion_only: ArrayLike) -> Floats:
    """Evidence of harm from requests that both answered, as in a shadow: a sequential McNemar test.

    Only pairs with one bad answer tell the two apart, and with no difference such a pair's bad
    answer is the candidate's as often as not: the kernel at a share of one half. Counts of those
    pairs, ``(...)``, give values of the same shape. (McNemar 1947, doi:10.1007/BF02295996.)

    No lot is drawn here as in a split, so it holds for a candidate that is no worse at any time:
    one that is worse every morning and better every afternoon may be stopped at noon.
    """
    ours, theirs = np.asarray(candidate_only)[..., None], np.asarray(champion_only)[..., None]
    return log_evidence(ours, theirs, 0.5)


def log_paired_as_good(
    both: ArrayLike, ours: ArrayLike, theirs: ArrayLike, margin: float
) -> Floats:
    """Evidence against "bad at least 1 + ``margin`` times as often", from requests both answered.

    Counts, ``(...)``, of entities by their first such request: both answers bad, only the
    candidate's, only the champion's. Where the claim is true, a pair's ``(1 + margin) * theirs -
    ours`` is at most 0 in the mean, so a part of what one has, bet on it pair by pair, is an
    e-process (Waudby-Smith and Ramdas 2023, doi:10.1093/jrsssb/qkad009). It is about the same risk
    ratio as the canary's, hence may speak for a promotion, with one difference: the label is what
    came true after the *champion's* answer. Where answers change what comes true (a loan that is
    refused is never repaid), ask for no shadow.
    """
    counts = [np.asarray(one, dtype=float)[..., None] for one in (both, ours, theirs)]
    gains = [np.log1p(BETS * won) for won in (margin, -1.0, 1 + margin)]
    return log_mean(sum(many * gain for many, gain in zip(counts, gains, strict=True)))


def value(log: ArrayLike) -> float:
    """An e-value from its logarithm, finite however large."""
    return float(np.exp(min(float(np.asarray(log)), 700.0)))


def harm_e_value(tallies: Sequence[Tally]) -> float:
    """Evidence against "the candidate answers badly no more often than the champion".

    Counts the first bad answer of an entity, at the share it was given under, so shares may
    change. Under no difference, which side an entity is on says nothing of when its answers go
    bad, so the kernel holds for entities of any size; where the candidate is better its events
    come later still. Leaves a shadow out: see ``shadow_e_value``.

    >>> harm_e_value([])
    1.0
    >>> harm_e_value([Tally(share=0.5, matched=(30, 6))]) > 100  # not split here: see ``matching``
    True
    """
    matched = [t.matched for t in tallies if t.matched is not None]
    if matched:
        return value(log_paired(*np.sum(matched, axis=0)))
    seen = [(t.share, *t.bad_entities) for t in tallies if not t.shadow]
    return value(log_evidence(*_columns(seen)))


def shadow_e_value(tallies: Iterable[Tally]) -> float:
    """As ``harm_e_value``, from the requests that both answered: entities count once, at the first
    on which the two differ.

    >>> round(shadow_e_value([Tally(share=0, candidate_only=12)]))
    277
    """
    seen = [(t.candidate_only, t.champion_only) for t in tallies if t.shadow]
    ours, theirs = np.array(seen, dtype=float).reshape(-1, 2).sum(axis=0)
    return value(log_paired(ours, theirs))


def segment_e_values(tallies: Iterable[Tally], segments: int, *, shadow: bool) -> Floats:
    """Evidence of harm within each of so many ``segments``, ``(segments,)``, each as
    ``harm_e_value``; of the ``shadow`` as ``shadow_e_value``."""
    none = (0,) * segments
    seen = [t for t in tallies if t.shadow == shadow]
    if not seen:
        return np.ones(segments)
    ours = np.array([t.candidate_segments or none for t in seen], dtype=float).T
    theirs = np.array([t.champion_segments or none for t in seen], dtype=float).T
    share = [0.5 if shadow else t.share for t in seen]
    return np.asarray(np.exp(np.minimum(log_evidence(ours, theirs, share), 700.0)))


def as_good_e_value(tallies: Sequence[Tally], margin: float) -> float:
    """Evidence against "the candidate answers badly at least 1 + ``margin`` times as often".

    At 1/alpha a candidate may be promoted: one that is worse than the margin ever gets there with
    probability at most alpha. Counts the bad ones among the *first* answers of entities, good or
    bad: were it their first bad answers, the worse side would run out of entities first and look
    better than it is. Where there was a shadow, the mean of its evidence and the canary's. Raises
    ValueError for a margin that is not above 0.

    >>> as_good_e_value([Tally(share=0.5, champion_bad=40, candidate_bad=20)], 0.25) > 100
    True
    """
    if not margin > 0:
        raise ValueError(f"a margin must be above 0, not {margin}")
    seen = [(t.share, *t.first_bad) for t in tallies if not t.shadow]
    values = [value(log_evidence(*_columns(seen), ratios=AS_GOOD, null=1 + margin))]
    for tally in tallies:
        if tally.shadow:
            both, (theirs, ours) = tally.both_first_bad, tally.first_bad
            values.append(value(log_paired_as_good(both, ours - both, theirs - both, margin)))
    return float(np.mean(values))


def _columns(seen: list[tuple[float, int, int]]) -> tuple[Floats, Floats, Floats]:
    """Candidate's counts, champion's counts and shares, ``(steps,)`` each."""
    share, champion, candidate = np.array(seen, dtype=float).reshape(-1, 3).T
    return candidate, champion, share
