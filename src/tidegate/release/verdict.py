"""A release in one word, for whoever steers traffic from outside."""

from typing import Literal

from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Deployment, Release, ReleaseStatus

Word = Literal["promote", "hold", "rollback"]


class ReleaseVerdict(Frozen):
    """``promote``: go on; ``hold``: not known yet; ``rollback``: go back.

    ``step`` of ``steps`` counts from 1, with its ``share`` and its ``labels`` of those ``needed``:
    labelled answers, in a shadow labelled pairs.
    ``harm`` is the evidence of harm (an e-value), and ``line`` the one that policy acts at.
    """

    model: str
    verdict: Word
    reason: Message
    update: str | None = None
    candidate: int | None = None
    champion: int | None = None
    status: ReleaseStatus | None = None
    step: int = 0
    steps: int = 0
    share: float = 0.0
    labels: int = 0
    needed: int = 0
    harm: float = 0.0
    line: float | None = None
    as_good: float | None = None


def verdict(
    deployment: Deployment,
    judged: Release | None,
    policy: RolloutPolicy,
    *,
    step: int | None,
    version: int | None,
) -> ReleaseVerdict:
    """The word on the newest release: ``judged`` is it, counted up to the newest label.

    ``step``: ask only whether that step, from 1, may be left. ``version``: ask of the release of
    this version; ``hold`` where another one is on traffic.
    """
    release = judged
    if release is None or (version is not None and release.candidate != version):
        word: Word = "promote" if version is not None and deployment.champion == version else "hold"
        reason = (
            say("version {version} is in production", version=version)
            if word == "promote"
            else say("no release of that version is under way")
        )
        return ReleaseVerdict(
            model=deployment.model, verdict=word, reason=reason, champion=deployment.champion
        )
    word, reason = "hold", say("the step has not what it needs yet")
    if release.status is ReleaseStatus.ROLLED_BACK:
        word, reason = "rollback", release.reason or say("it was rolled back")
    elif _taken_back(deployment):
        number = release.candidate
        word = "rollback"
        reason = say("version {candidate} was promoted, and rolled back since", candidate=number)
    elif release.status is ReleaseStatus.PROMOTED:
        word, reason = "promote", say("it was promoted")
    elif step is not None and release.step >= step:
        word, reason = "promote", say("the step is done")
    elif release.waits is not None:
        reason = release.waits
    tally = release.tallies[release.step] if release.tallies else None
    return ReleaseVerdict(
        model=deployment.model,
        verdict=word,
        reason=reason,
        update=release.update,
        candidate=release.candidate,
        champion=deployment.champion,
        status=release.status,
        step=release.step + 1,
        steps=len(release.steps),
        share=release.share,
        labels=tally.told if tally else 0,
        needed=release.steps[release.step].min_labels,
        harm=release.harm,
        line=1 / (release.alpha or policy.alpha),
        as_good=release.as_good,
    )


def _taken_back(deployment: Deployment) -> bool:
    """Whether the record holds a promotion after which another version went into production."""
    kept = deployment.release
    if kept is None or kept.status is not ReleaseStatus.PROMOTED:
        return False
    return deployment.champion != kept.candidate
