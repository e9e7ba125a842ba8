"""Rules that end a canary: for each run the second at which it is stopped, or infinity.

Ours is the code of ``tidegate.release.judge``. The others are written down here from what their
public documentation says, with its own example values; none of their programs runs.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from benchmarks.canary.world import RATE, SECONDS, SHARE, Seen, Traffic
from scipy.stats import norm

from tidegate.release.judge import log_evidence, log_mean
from tidegate.release.signals import log_slow

ALPHA = 0.01
Stops = np.ndarray

#: Above this share of bad answers an absolute threshold fails: 1% errors is Flagger's example of
#: a 99% success rate, 17% wrong labels the champion's 15% and a margin of two points; its example
#: of a 99% quantile of latencies is 500 ms.
LIMITS = {"errors": 0.01, "labels": 0.17, "latency": 500.0}
#: Above so many times the champion's, a threshold on the ratio fails; and one that bears more.
RATIOS = {"errors": 2.0, "labels": 1.2, "latency": 1.25}
TOLERANT = {"errors": 3.0, "labels": 1.3, "latency": 1.4}
#: Failed checks that end it. Argo Rollouts ends it when more than failureLimit have failed.
FLAGGER, ARGO = 5, 3 + 1
#: Kayenta: confidence, tolerance as a share of the estimated shift, and minutes between judgements.
CONFIDENCE, TOLERANCE, EVERY = 0.98, 0.25, 5


def first(hits: np.ndarray, seconds: int) -> Stops:
    """The second of the first hit, ``hits`` being (runs, looks) at every so many seconds."""
    at = (hits.argmax(axis=1) + 1.0) * seconds
    return np.where(hits.any(axis=1), at, np.inf)


def judge(traffic: Traffic, *, by_entity: bool = True) -> Stops:
    """Our judge, looking every second: errors, labels and latency in one budget."""
    logs = []
    for seen in traffic.signals.values():
        ours, theirs = seen.candidate.bad, seen.champion.bad
        if by_entity and seen.first is not None:
            ours, theirs = seen.first
        ours, theirs = ours.cumsum(axis=1)[..., None], theirs.cumsum(axis=1)[..., None]
        logs.append(log_evidence(ours, theirs, SHARE))
    ours, theirs = (counts.cumsum(axis=1)[..., None] for counts in traffic.slow)
    logs.append(log_slow(ours, theirs, SHARE))
    return first(log_mean(np.stack(logs, axis=-1)) >= np.log(1 / ALPHA), 1)


def capped(traffic: Traffic, cap: int) -> Stops:
    """The judge, and a limit on bad answers beyond what the champion's share would bring."""
    seen = traffic.signals["errors"]
    excess = seen.candidate.bad.cumsum(1) - seen.champion.bad.cumsum(1) * SHARE / (1 - SHARE)
    return np.minimum(judge(traffic), first(excess > cap, 1))


def _rates(traffic: Traffic, signal: str, seconds: int) -> tuple[np.ndarray, ...]:
    """The metric of candidate, champion and baseline in windows of so many seconds."""
    if signal == "latency":
        p99 = traffic.p99[seconds]
        return p99.candidate, p99.champion, p99.baseline
    seen = traffic.signals[signal]
    return tuple(
        _windows(arm.bad, seconds) / np.maximum(1, _windows(arm.requests, seconds))
        for arm in (seen.candidate, seen.champion, seen.baseline)
    )


def _windows(counts: np.ndarray, seconds: int) -> np.ndarray:
    return counts.reshape(len(counts), -1, seconds).sum(axis=2)


def threshold(
    traffic: Traffic, signal: str, *, failures: int, seconds: int, ratios: dict[str, float] | None
) -> Stops:
    """A metric compared with a limit, or with the champion's, until so many checks have failed."""
    candidate, champion, _ = _rates(traffic, signal, seconds)
    failed = candidate > (LIMITS[signal] if ratios is None else ratios[signal] * champion)
    return first(failed.cumsum(axis=1) >= failures, seconds)


def peeked(traffic: Traffic, signal: str) -> Stops:
    """A one-sided two-sample z-test at the same alpha, looked at every ten seconds."""
    if signal == "latency":
        asked = traffic.signals["errors"]
        seen = (asked.candidate.requests, traffic.slow[0][..., -1], asked.champion.requests,
                traffic.slow[1][..., -1])  # fmt: skip
    else:
        sides: Seen = traffic.signals[signal]
        seen = (sides.candidate.requests, sides.candidate.bad, sides.champion.requests,
                sides.champion.bad)  # fmt: skip
    n1, bad1, n0, bad0 = (_windows(counts, 10).cumsum(axis=1) for counts in seen)
    n1, n0 = np.maximum(n1, 1), np.maximum(n0, 1)
    pooled = (bad1 + bad0) / (n1 + n0)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0))
    z = (bad1 / n1 - bad0 / n0) / np.maximum(error, 1e-12)
    return first(z > norm.isf(ALPHA), 10)


def kayenta(traffic: Traffic, signal: str) -> Stops:
    """Mann-Whitney on the metric by minute, candidate against a baseline of its size.

    Stopped when the whole confidence interval of the shift lies above the tolerance; judged every
    five minutes on all minutes so far.
    """
    candidate, _, baseline = _rates(traffic, signal, 60)
    hits = []
    for n in range(EVERY, SECONDS // 60 + 1, EVERY):
        gaps = candidate[:, :n, None] - baseline[:, None, :n]
        gaps = np.sort(gaps.reshape(len(gaps), -1), axis=1)
        below = n * n / 2 - norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(n * n * (2 * n + 1) / 12)
        low = gaps[:, max(0, int(np.floor(below)))]
        hits.append(low > TOLERANCE * np.abs(np.median(gaps, axis=1)))
    return first(np.stack(hits, axis=1), EVERY * 60)


def rules(sticky: bool) -> dict[str, Callable[[Traffic, str], Stops]]:
    """Every rule by its name."""
    ours: dict[str, Callable[[Traffic, str], Stops]] = {"Tidegate": lambda t, _s: judge(t)}
    if sticky:
        ours["Tidegate, counted per request"] = lambda t, _s: judge(t, by_entity=False)
        ours[f"Tidegate, and a cap of {CAP} bad answers"] = lambda t, _s: capped(t, CAP)
    kinds = (("absolute", None), ("ratio to champion", RATIOS), ("larger ratio", TOLERANT))
    for name, failures in (("Flagger", FLAGGER), ("Argo Rollouts", ARGO)):
        for kind, ratios in kinds:
            for seconds in (10, 60):
                ours[f"{name}, {kind}, {seconds} s"] = partial(
                    threshold, failures=failures, seconds=seconds, ratios=ratios
                )
    ours["Kayenta, Mann-Whitney"] = kayenta
    ours["z-test, peeked at"] = peeked
    return ours


#: Bad answers beyond the champion's share: forty seconds of nothing but errors at a 5% share.
CAP = round(RATE * SHARE * 40)
