"""Two questions beside the rows: is a good candidate held back, and what a shadow's labels save."""

from dataclasses import dataclass

import numpy as np
from benchmarks.canary.rules import ALPHA, first
from benchmarks.canary.world import RATE

from tidegate.release.judge import AS_GOOD, RISK_RATIOS, log_evidence, log_paired
from tidegate.release.plan import labels_needed

#: The plan: shares, and the margin that a candidate's wrong answers must be shown to stay within,
#: relative to the champion's. At 15% wrong a quarter is not quite four points.
SHARES, MARGIN, WRONG = (0.05, 0.25, 0.5), 0.25, 0.15
#: Labels that the early steps ask for, whatever they show.
EARLY = 2000
#: Patience: so many times the last step's minimum is looked at.
PATIENCE = 4


@dataclass(frozen=True)
class Held:
    """How releases went: the share stopped, the share promoted, and how long after the minimum.

    ``late`` is in units of the plan's minimum over all steps; infinite where not promoted.
    """

    stopped: float
    promoted: float
    late: np.ndarray


def minimum() -> tuple[int, ...]:
    """The plan's minimum of labels, step by step."""
    last = labels_needed(SHARES[-1], WRONG, MARGIN, alpha=ALPHA)
    return (*[EARLY] * (len(SHARES) - 1), RATE * int(np.ceil(last / RATE)))


def held(ratio: float, runs: int, seed: int) -> Held:
    """Releases of a candidate that is wrong ``ratio`` times as often, judged every second."""
    rng = np.random.default_rng(seed)
    steps = minimum()
    looks = [labels // RATE for labels in steps[:-1]] + [PATIENCE * steps[-1] // RATE]
    ours, theirs = [], []
    for at, (share, seconds) in enumerate(zip(SHARES, looks, strict=True)):
        asked = rng.binomial(RATE, share, (runs, seconds))
        for counts, n, wrong in ((ours, asked, WRONG * ratio), (theirs, RATE - asked, WRONG)):
            bad = np.zeros((runs, sum(looks), len(SHARES)))
            start = sum(looks[:at])
            bad[:, start : start + seconds, at] = rng.binomial(n, wrong)
            counts.append(bad)
    candidate, champion = sum(ours).cumsum(axis=1), sum(theirs).cumsum(axis=1)
    line, share = np.log(1 / ALPHA), np.array(SHARES)
    stop = first(log_evidence(candidate, champion, share) >= line, 1)
    good = log_evidence(candidate, champion, share, AS_GOOD, 1 + MARGIN) >= line
    least = sum(steps) // RATE
    good[:, : least - 1] = False
    promoted = first(good, 1)
    won = promoted < stop
    late = np.where(won, promoted / least - 1, np.inf)
    return Held(float(np.mean(np.isfinite(stop) & ~won)), float(np.mean(won)), late)


def shadow(runs: int, seed: int, labels: int = 20_000, step: int = 10) -> np.ndarray:
    """Labels until a candidate of 85% is told from a champion of 88% when both answer.

    They differ on 6% of requests: 4.5% only the candidate gets wrong, 1.5% only the champion.
    """
    rng = np.random.default_rng(seed)
    both = rng.multinomial(step, [0.045, 0.015, 0.94], (runs, labels // step)).cumsum(axis=1)
    return first(log_paired(both[..., 0], both[..., 1]) >= np.log(1 / ALPHA), step)


def split(runs: int, seed: int, labels: int = 400_000, step: int = 200) -> np.ndarray:
    """Labels until the same candidate is told from the same champion by a 5% split."""
    rng = np.random.default_rng(seed)
    asked = rng.binomial(step, 0.05, (runs, labels // step))
    ours = rng.binomial(asked, 0.15).cumsum(axis=1)[..., None]
    theirs = rng.binomial(step - asked, 0.12).cumsum(axis=1)[..., None]
    return first(log_evidence(ours, theirs, 0.05, RISK_RATIOS) >= np.log(1 / ALPHA), step)
