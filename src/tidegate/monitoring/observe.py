"""A version's live metric, with how sure it is."""

from collections.abc import Sequence

from tidegate.domain.intervals import interval_of
from tidegate.domain.metrics import Metric, Task
from tidegate.domain.validation import Interval
from tidegate.monitoring.prediction_log import Labelled
from tidegate.monitoring.windows import truth_and_answers


def observe(
    task: Task, metric: Metric, labelled: Sequence[Labelled], *, confidence: float, seed: int
) -> Interval:
    """``metric`` over labelled answers, at least one, with its confidence interval."""
    truth, answers = truth_and_answers(labelled)
    return interval_of(metric.name, task, truth, answers, confidence=confidence, seed=seed)
