"""Live metrics over windows of labelled answers."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from tidegate.domain.messages import Frozen
from tidegate.domain.metrics import Task, scores
from tidegate.monitoring.prediction_log import Labelled


class Window(Frozen):
    """Metrics over the labels told between ``from_`` and ``to``, whatever version answered."""

    from_: str
    to: str
    versions: list[int]
    rows: int
    metrics: dict[str, float]


def windows(task: Task, labelled: Iterable[Labelled], rows: int) -> list[Window]:
    """Windows of ``rows`` labels, oldest first; the last one may hold fewer.

    An answer that is no number, null, has no error and is left out.
    """
    left = (answer for answer in labelled if answer.prediction is not None)
    return [
        Window(
            from_=part[0].at,
            to=part[-1].at,
            versions=sorted({answer.version for answer in part}),
            rows=len(part),
            metrics=scores(task, *truth_and_answers(part)),
        )
        for part in iter(lambda: list(islice(left, rows)), [])
    ]


def truth_and_answers(labelled: Iterable[Labelled]) -> tuple[Any, Any]:
    """Labels and predictions as arrays ``(n_rows,)``."""
    pairs = [(answer.label, answer.prediction) for answer in labelled]
    return np.array([label for label, _ in pairs]), np.array([said for _, said in pairs])
