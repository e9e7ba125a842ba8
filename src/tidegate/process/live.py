"""The live score of a version that is observed: over its first labelled answers to everybody."""

from collections.abc import Sequence

from tidegate.domain.rollout import Release
from tidegate.domain.update import Update
from tidegate.domain.validation import Interval
from tidegate.monitoring.observe import observe
from tidegate.monitoring.prediction_log import Labelled
from tidegate.process.home import Home


def first_labelled(home: Home, update: Update, release: Release) -> list[Labelled]:
    """Those that the observation goes by, as many as policy needs at most."""
    needed = update.spec.policy.observe.min_labels
    return list(
        home.log.labelled(
            update.model, version=update.number, after=release.labels_seen, limit=needed
        )
    )


def live_score(update: Update, first: Sequence[Labelled]) -> Interval | None:
    """The metric over these answers; None where there is none.

    One that is no number, null, has no error that could be averaged, and is left out.
    """
    said = [answer for answer in first if answer.prediction is not None]
    if not said or update.spec.task is None:
        return None
    policy = update.spec.policy
    return observe(
        update.spec.task,
        update.spec.metric,
        said,
        confidence=policy.validation.confidence,
        seed=policy.training.seed,
    )
