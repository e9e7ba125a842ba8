"""What a release waits for, in words."""

from tidegate.domain.messages import Message, say
from tidegate.domain.rollout import Release, ReleaseStatus


def waiting_for(release: Release) -> Message:
    """What a release's present step needs, in a sentence."""
    if release.status is ReleaseStatus.SHADOW:
        return _shadow_waits(release)
    if release.waits is not None:
        return say(
            "version {candidate} answers {share:.0%} of requests, step {step} of {steps}: {why}",
            candidate=release.candidate,
            share=release.share,
            step=release.step + 1,
            steps=len(release.steps),
            why=release.waits,
        )
    return say(
        "version {candidate} answers {share:.0%} of requests; step {step} of {steps} needs "
        "{needed} labelled answers",
        candidate=release.candidate,
        share=release.share,
        needed=release.steps[release.step].min_labels,
        step=release.step + 1,
        steps=len(release.steps),
    )


def _shadow_waits(release: Release) -> Message:
    values = {
        "candidate": release.candidate,
        "step": release.step + 1,
        "steps": len(release.steps),
    }
    if release.waits is not None:
        return say(
            "version {candidate} answers unseen beside the champion, step {step} of {steps}: {why}",
            why=release.waits,
            **values,
        )
    return say(
        "version {candidate} answers unseen beside the champion; step {step} of {steps} needs "
        "{needed} labelled requests that both answered",
        needed=release.steps[release.step].min_labels,
        **values,
    )
