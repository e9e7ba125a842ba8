"""The rollout's decisions: what was seen so far, and so whether to wait, go on or go back."""

from collections.abc import Mapping
from enum import StrEnum

from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Release, ReleaseStatus, Tally
from tidegate.release.judge import harm_e_value


class Move(StrEnum):
    """What a release does next."""

    WAIT = "wait"
    STEP = "step"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class Decision(Frozen):
    """The next move; ``harm`` is the e-value it rests on."""

    move: Move
    harm: float
    reason: Message | None = None


def start(
    update_id: str,
    *,
    candidate: int,
    champion: int | None,
    policy: RolloutPolicy,
    bad_above: float,
    now: str,
) -> Release:
    """A release at its first step; promoted at once where there is no champion to compare with."""
    compared = champion is not None
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
        ended_at=None if compared else now,
    )


def record(release: Release, *, step: int, arm: str, bad: bool) -> Release:
    """The release with one more labelled answer, counted at the step it was given in."""
    tally = release.tallies[step]
    labels, bads = f"{arm}_labels", f"{arm}_bad"
    counted = tally.model_copy(
        update={labels: getattr(tally, labels) + 1, bads: getattr(tally, bads) + bad}
    )
    return _with_tally(release, step, counted)


def with_failures(release: Release, failures: Mapping[int, int]) -> Release:
    """The release with the candidate's failed requests at each step, as the log counts them."""
    for step, count in failures.items():
        counted = release.tallies[step].model_copy(update={"candidate_failures": count})
        release = _with_tally(release, step, counted)
    return release


def _with_tally(release: Release, step: int, tally: Tally) -> Release:
    tallies = [*release.tallies[:step], tally, *release.tallies[step + 1 :]]
    return release.model_copy(update={"tallies": tallies})


def decide(release: Release, policy: RolloutPolicy) -> Decision:
    """What policy says to do on what was seen: harm and failures first, then labels enough."""
    harm = harm_e_value(release.tallies)
    failures = sum(tally.candidate_failures for tally in release.tallies)
    if failures > policy.max_failures:
        reason = say(
            "the candidate failed {failures} requests; policy allows {limit}",
            failures=failures,
            limit=policy.max_failures,
        )
        return Decision(move=Move.ROLL_BACK, harm=harm, reason=reason)
    if harm >= 1 / policy.alpha:
        reason = say(
            "the evidence of harm is {harm:.3g} to 1, and policy acts at {line:g} to 1",
            harm=harm,
            line=1 / policy.alpha,
        )
        return Decision(move=Move.ROLL_BACK, harm=harm, reason=reason)
    if release.tallies[release.step].labels < release.steps[release.step].min_labels:
        return Decision(move=Move.WAIT, harm=harm)
    last = release.step == len(release.steps) - 1
    return Decision(move=Move.PROMOTE if last else Move.STEP, harm=harm)


def apply(release: Release, decision: Decision, now: str) -> Release:
    """The release after the move."""
    changed: dict[str, object] = {"harm": decision.harm}
    if decision.move is Move.STEP:
        step = release.step + 1
        tallies = [*release.tallies, Tally(share=release.steps[step].share)]
        changed |= {"step": step, "tallies": tallies}
    elif decision.move is not Move.WAIT:
        promoted = decision.move is Move.PROMOTE
        status = ReleaseStatus.PROMOTED if promoted else ReleaseStatus.ROLLED_BACK
        changed |= {"status": status, "ended_at": now, "reason": decision.reason}
    return release.model_copy(update=changed)
