"""A canary's judgement, brought up to date with the labels that have come in."""

import numpy as np

from tidegate.domain.metrics import losses
from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Release, ReleaseStatus
from tidegate.monitoring.prediction_log import Labelled
from tidegate.process.home import Home
from tidegate.release.controller import apply, decide, record, with_failures


def catch_up(home: Home, spec: ModelSpec, release: Release) -> Release:
    """The release after every label since it was last saved, judged after each one.

    Judging label by label in the order they came makes the result the same however often, and
    in whatever portions, this is called. It stops at the first decision to end the canary.
    """
    if release.status is not ReleaseStatus.CANARY or not spec.trains:
        return _settle(home, spec, release)
    for answer in home.log.labelled(
        spec.model, update_id=release.update, after=release.labels_seen
    ):
        release = record(
            release, step=answer.step or 0, arm=answer.arm, bad=is_bad(spec, release, answer)
        ).model_copy(update={"labels_seen": answer.seq})
        release = _settle(home, spec, release)
        if release.status is not ReleaseStatus.CANARY:
            return release
    return _settle(home, spec, with_failures(release, home.log.failures(release.update)))


def is_bad(spec: ModelSpec, release: Release, answer: Labelled) -> bool:
    """Whether an answer was wrong, or off by more than the release allows."""
    assert spec.task is not None  # noqa: S101 - only models that are trained are served
    truth, predicted = np.array([answer.label]), np.array([answer.prediction])
    return answer.failed or bool(losses(spec.task, truth, predicted)[0] > release.bad_above)


def _settle(home: Home, spec: ModelSpec, release: Release) -> Release:
    if release.status is not ReleaseStatus.CANARY:
        return release
    decision = decide(release, spec.policy.rollout)
    return apply(release, decision, home.journal.now())
