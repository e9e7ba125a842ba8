"""The rollout's decisions: what was seen so far, and so whether to wait, go on or go back."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Places, Release, ReleaseStatus, Step, Tally
from tidegate.domain.segments import Segment
from tidegate.release.budget import KEEP, alpha_left, spend
from tidegate.release.evidence import Harm, harm
from tidegate.release.judge import as_good_e_value


class Move(StrEnum):
    """What a release does next."""

    WAIT = "wait"
    STEP = "step"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class Decision(Frozen):
    """The next move; ``harm`` is the e-value it rests on, ``as_good`` the one for promotion.

    ``harm_in``: the segment that most of the harm comes from, if it is in one. ``reason`` says why
    it goes back, or what it waits for beside labels.
    """

    move: Move
    harm: float
    harm_in: str | None = None
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
    segments: Sequence[Segment] = (),
) -> Release:
    """A release at its first step; promoted at once where there is no champion to compare with.

    ``spent`` is what earlier releases of the model took of the budget of false rollbacks,
    ``slow_above`` the limits in milliseconds beyond which an answer is slow, ``bands`` the classes
    of answers, or edges of ranges, that are counted, ``segments`` those that are judged alone,
    ``since`` how far the prediction log goes.
    """
    compared = champion is not None
    alpha = alpha_left(spent, alpha=policy.alpha, budget=policy.false_rollbacks)
    return Release(
        update=update_id,
        candidate=candidate,
        champion=champion,
        steps=policy.steps,
        step=0,
        status=_status(policy.steps[0]) if compared else ReleaseStatus.PROMOTED,
        bad_above=bad_above,
        started_at=now,
        tallies=[Tally(share=policy.steps[0].share)] if compared else [],
        alpha=alpha,
        spent=spend(spent, alpha) if compared else KEEP * spent,
        slow_above=list(slow_above) if compared else [],
        bands=list(bands) if compared else [],
        since=since,
        labels_seen=since.labels if since is not None else 0,
        segments=list(segments) if compared else [],
        step_at=now,
        ended_at=None if compared else now,
    )


def _status(step: Step) -> ReleaseStatus:
    return ReleaseStatus.SHADOW if step.shadow else ReleaseStatus.CANARY


def decide(release: Release, policy: RolloutPolicy, now: str | None = None) -> Decision:
    """What policy says to do on what was seen: first whether to go back, then whether to go on.

    ``now`` (ISO 8601) is needed where a step lasts minutes, or may begin in windows only.
    """
    found = harm(release, policy)
    as_good = None
    if policy.margin is not None:
        as_good = as_good_e_value(release.tallies, policy.margin)
    line = 1 / (release.alpha or policy.alpha)

    def decided(move: Move, reason: Message | None = None) -> Decision:
        return Decision(
            move=move, harm=found.e_value, harm_in=found.segment, as_good=as_good, reason=reason
        )

    back = _back(release, policy, found, line)
    if back is not None:
        return decided(Move.ROLL_BACK, back)
    last = release.step == len(release.steps) - 1
    if release.tallies[release.step].told < release.steps[release.step].min_labels:
        return decided(Move.WAIT)
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
        return decided(Move.WAIT, held)
    return decided(Move.PROMOTE if last else Move.STEP)


def _back(release: Release, policy: RolloutPolicy, found: Harm, line: float) -> Message | None:
    """Why the candidate is withdrawn, or None: limits on harm first, then the evidence."""
    failures = sum(tally.failures for tally in release.tallies)
    if failures > policy.max_failures:
        return say(
            "the candidate failed to answer {failures:g} rows; policy allows {limit}",
            failures=round(failures, 1),
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
    if found.e_value < line:
        return None
    if found.segment is not None:
        return say(
            "the evidence of harm is {harm:.3g} to 1, most of it where {segment}, and policy acts "
            "at {line:g} to 1",
            harm=found.e_value,
            segment=found.segment,
            line=line,
        )
    return say(
        "the evidence of harm is {harm:.3g} to 1, and policy acts at {line:g} to 1",
        harm=found.e_value,
        line=line,
    )


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
    changed: dict[str, object] = {
        "harm": decision.harm,
        "harm_in": decision.harm_in,
        "as_good": decision.as_good,
    }
    if decision.move is Move.STEP:
        step = release.step + 1
        next_one = release.steps[step]
        tallies = [*release.tallies, Tally(share=next_one.share)]
        changed |= {"step": step, "tallies": tallies, "step_at": now, "waits": None}
        changed["status"] = _status(next_one)
    elif decision.move is Move.WAIT:
        changed |= {"waits": decision.reason}
    else:
        promoted = decision.move is Move.PROMOTE
        status = ReleaseStatus.PROMOTED if promoted else ReleaseStatus.ROLLED_BACK
        changed |= {"status": status, "ended_at": now, "reason": decision.reason, "waits": None}
    return release.model_copy(update=changed)
