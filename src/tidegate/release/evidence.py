"""All evidence of a release together: one number, one budget of error."""

from typing import NamedTuple

import numpy as np

from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Release
from tidegate.release.judge import (
    Floats,
    harm_e_value,
    segment_e_values,
    shadow_e_value,
    value,
)
from tidegate.release.signals import log_bands, log_slow


class Harm(NamedTuple):
    """Evidence of harm, and the segment that most of it comes from where it is not the whole."""

    e_value: float
    segment: str | None = None


def harm(release: Release, policy: RolloutPolicy) -> Harm:
    """Evidence of harm in the labels of the canary and of the shadow, overall and by segment, in
    latency and in answers, where these count.

    Which of them count is fixed when the release begins, and each is an e-process, so their mean
    is one (see ``log_mean``), and one alpha covers all. The segments together weigh as much as the
    whole does: the whole pays a factor of two for it, and a harm in one of twenty needs evidence
    forty times as strong, which at an alpha of 0.01 is less than twice as many bad answers.
    """
    share = [tally.share for tally in release.tallies]
    values = [harm_e_value(release.tallies)]
    if release.shadowed:
        values.append(shadow_e_value(release.tallies))
    if release.slow_above:
        values.append(value(log_slow(*_events(release, "slow"), share)))
    if release.bands and policy.answers_beyond is not None:
        beyond = policy.answers_beyond
        values.append(value(log_bands(*_events(release, "bands"), share, beyond)))
    parts = _by_segment(release)
    if parts is None:
        return Harm(float(np.mean(values)))
    whole = float(np.mean([*values, *parts.mean(axis=1)]))
    # By its weight in the mean.
    most = parts.max() / parts.shape[1]
    place = int(parts.max(axis=0).argmax())
    return Harm(whole, str(release.segments[place]) if most > max(values) else None)


def _by_segment(release: Release) -> Floats | None:
    """Evidence by segment, ``(1 or 2, segments)``: of the canary, and of the shadow if any."""
    if not release.segments:
        return None
    kinds = (False, True) if release.shadowed else (False,)
    many = len(release.segments)
    return np.stack([segment_e_values(release.tallies, many, shadow=kind) for kind in kinds])


def _events(release: Release, kind: str) -> tuple[Floats, Floats]:
    """Counts of the candidate and of the champion, (limits or bands, steps)."""
    ours, theirs = (
        [getattr(tally, f"{arm}_{kind}") for tally in release.tallies]
        for arm in ("candidate", "champion")
    )
    length = max(map(len, ours))  # a step that has only begun was not counted yet
    both = [[each or (0,) * length for each in side] for side in (ours, theirs)]
    return np.array(both[0], dtype=float).T, np.array(both[1], dtype=float).T
