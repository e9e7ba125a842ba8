"""The rollout's decisions: what was seen so far, and so whether to wait, go on or go back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np

from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Places, Release, ReleaseStatus, Tally
from tidegate.release.budget import KEEP, alpha_left, spend
from tidegate.release.judge import Floats, as_good_e_value, harm_e_value, value
from tidegate.release.signals import log_bands, log_slow


class Move(StrEnum):
    """What a release does next."""

    WAIT = "wait"
    STEP = "step"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class Decision(Frozen):
    """The next move; ``harm`` is the e-value it rests on, ``as_good`` the one for promotion.

    ``reason`` says why it goes back, or what it waits for beside labels.
    """

    move: Move
    harm: float
    as_good: float | None = None
    reason: Message | None = None


def start(
    update_id: str,
    *,
    candidate: int,
    champion: int | None,
    policy: RolloutPolicy,
    bad_above: float,
    now: str,
    spent: float = 0.0,
    slow_above: Sequence[float] = (),
    bands: Sequence[Any] = (),
    since: Places | None = None,
) -> Release:
    """A release at its first step; promoted at once where there is no champion to compare with.

    ``spent`` is what earlier releases of the model took of the budget of false rollbacks,
    ``slow_above`` the limits in milliseconds beyond which an answer is slow, ``bands`` the classes
    of answers, or edges of ranges, that are counted, ``since`` how far the prediction log goes.
    """
    compared = champion is not None
    alpha = alpha_left(spent, alpha=policy.alpha, budget=policy.false_rollbacks)
    return Release(
        update=update_id,
        candidate=candidate,
        champion=champion,
        steps=policy.steps,
        step=0,
        status=ReleaseStatus.CANARY if compared else ReleaseStatus.PROMOTED,
        bad_above=bad_above,
        started_at=now,
        tallies=[Tally(share=policy.steps[0].share)] if compared else [],
        alpha=alpha,
        spent=spend(spent, alpha) if compared else KEEP * spent,
        slow_above=list(slow_above) if compared else [],
        bands=list(bands) if compared else [],
        since=since,
        labels_seen=since.labels if since is not None else 0,
        step_at=now,
        ended_at=None if compared else now,
    )


def record(
    release: Release, *, step: int, arm: str, bad: bool, first: bool = True,
    first_bad: bool = True, matched: tuple[int, int] | None = None,
) -> Release:  # fmt: skip
    """The release with one more labelled answer, counted at the step it was given in.

    ``first`` says that the answer's entity has no labelled answer before it, ``first_bad`` that it
    has no bad one. ``matched``: the pairs it completes, where the split is not Tidegate's.
    """
    tally = release.tallies[step]
    mine = 0 if arm == "champion" else 1
    labels, bads = f"{arm}_labels", f"{arm}_bad"
    counted = tally.model_copy(
        update={
            labels: getattr(tally, labels) + 1,
            bads: getattr(tally, bads) + bad,
            f"{arm}_bad_entities": tally.bad_entities[mine] + (bad and first_bad),
            f"{arm}_first_bad": tally.first_bad[mine] + (bad and first),
        }
    )
    if matched is not None:
        ours, theirs = tally.matched or (0, 0)
        both = ours + matched[0], theirs + matched[1]
        counted = counted.model_copy(update={"matched": both})
    return _with_tally(release, step, counted)


def with_failures(release: Release, failures: Mapping[int, int]) -> Release:
    """The release with the candidate's failed requests at each step, as the log counts them."""
    for step, count in failures.items():
        counted = release.tallies[step].model_copy(update={"candidate_failures": count})
        release = _with_tally(release, step, counted)
    return release


def with_events(
    release: Release, kind: str, counts: Mapping[tuple[int, str], Sequence[int]], length: int
) -> Release:
    """The release with entities that had an event, by step and arm, as the log counts them.

    ``kind`` is ``slow``, a count for each of ``length`` limits, or ``bands``, one for each band.
    """
    none = (0,) * length
    for step, tally in enumerate(release.tallies):
        counted = {
            f"{arm}_{kind}": tuple(counts.get((step, arm), none))
            for arm in ("champion", "candidate")
        }
        release = _with_tally(release, step, tally.model_copy(update=counted))
    return release


def _with_tally(release: Release, step: int, tally: Tally) -> Release:
    tallies = [*release.tallies[:step], tally, *release.tallies[step + 1 :]]
    return release.model_copy(update={"tallies": tallies})


def decide(release: Release, policy: RolloutPolicy, now: str | None = None) -> Decision:
    """What policy says to do on what was seen: first whether to go back, then whether to go on.

    ``now`` (ISO 8601) is needed where a step lasts minutes, or may begin in windows only.
    """
    harm = _harm(release, policy)
    as_good = None
    if policy.margin is not None:
        as_good = as_good_e_value(release.tallies, policy.margin)
    line = 1 / (release.alpha or policy.alpha)
    back = _back(release, policy, harm, line)
    if back is not None:
        return Decision(move=Move.ROLL_BACK, harm=harm, as_good=as_good, reason=back)
    last = release.step == len(release.steps) - 1
    if release.tallies[release.step].labels < release.steps[release.step].min_labels:
        return Decision(move=Move.WAIT, harm=harm, as_good=as_good)
    held = _held(release, policy, now)
    if held is None and last and as_good is not None and as_good < line:
        held = say(
            "that it is no worse is not shown yet: the evidence is {as_good:.3g} to 1, and "
            "policy asks for {line:g} to 1",
            as_good=as_good,
            line=line,
        )
    if held is None and policy.by_hand and release.cleared <= release.step:
        held = say(
            "the step is done; the next one begins by hand: tidegate release promote MODEL --step"
        )
    if held is not None:
        return Decision(move=Move.WAIT, harm=harm, as_good=as_good, reason=held)
    return Decision(move=Move.PROMOTE if last else Move.STEP, harm=harm, as_good=as_good)


def _harm(release: Release, policy: RolloutPolicy) -> float:
    """Evidence of harm in labels, latency and answers, where these count: one budget for all."""
    share = [tally.share for tally in release.tallies]
    values = [harm_e_value(release.tallies)]
    if release.slow_above:
        values.append(value(log_slow(*_events(release, "slow"), share)))
    if release.bands and policy.answers_beyond is not None:
        beyond = policy.answers_beyond
        values.append(value(log_bands(*_events(release, "bands"), share, beyond)))
    return float(np.mean(values))


def _events(release: Release, kind: str) -> tuple[Floats, Floats]:
    """Counts of the candidate and of the champion, (limits or bands, steps)."""
    ours, theirs = (
        [getattr(tally, f"{arm}_{kind}") for tally in release.tallies]
        for arm in ("candidate", "champion")
    )
    length = max(map(len, ours))  # a step that has only begun was not counted yet
    both = [[each or (0,) * length for each in side] for side in (ours, theirs)]
    return np.array(both[0], dtype=float).T, np.array(both[1], dtype=float).T


def _back(release: Release, policy: RolloutPolicy, harm: float, line: float) -> Message | None:
    """Why the candidate is withdrawn, or None: limits on harm first, then the evidence."""
    failures = sum(tally.candidate_failures for tally in release.tallies)
    if failures > policy.max_failures:
        return say(
            "the candidate failed {failures} requests; policy allows {limit}",
            failures=failures,
            limit=policy.max_failures,
        )
    excess = sum(tally.excess for tally in release.tallies)
    if policy.max_harm is not None and excess > policy.max_harm:
        return say(
            "the candidate gave {excess:.0f} bad answers more than the champion would have; "
            "policy allows {limit}",
            excess=excess,
            limit=policy.max_harm,
        )
    if harm >= line:
        return say(
            "the evidence of harm is {harm:.3g} to 1, and policy acts at {line:g} to 1",
            harm=harm,
            line=line,
        )
    return None


def _held(release: Release, policy: RolloutPolicy, now: str | None) -> Message | None:
    """What a step with enough labels waits for by the clock, or None."""
    if now is None:
        return None
    least = release.steps[release.step].min_minutes
    if least and release.step_at is not None:
        gone = datetime.fromisoformat(now) - datetime.fromisoformat(release.step_at)
        if gone.total_seconds() < 60 * least:
            return say("the step lasts at least {minutes:g} minutes", minutes=least)
    if policy.windows and not any(w.holds(datetime.fromisoformat(now)) for w in policy.windows):
        return say("the step is done; the next one begins in one of policy's windows")
    return None


def apply(release: Release, decision: Decision, now: str) -> Release:
    """The release after the move."""
    changed: dict[str, object] = {"harm": decision.harm, "as_good": decision.as_good}
    if decision.move is Move.STEP:
        step = release.step + 1
        tallies = [*release.tallies, Tally(share=release.steps[step].share)]
        changed |= {"step": step, "tallies": tallies, "step_at": now, "waits": None}
    elif decision.move is Move.WAIT:
        changed |= {"waits": decision.reason}
    else:
        promoted = decision.move is Move.PROMOTE
        status = ReleaseStatus.PROMOTED if promoted else ReleaseStatus.ROLLED_BACK
        changed |= {"status": status, "ended_at": now, "reason": decision.reason, "waits": None}
    return release.model_copy(update=changed)
