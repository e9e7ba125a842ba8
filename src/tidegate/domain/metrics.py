"""Metrics on arrays: what a version scores, and an interval around it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.messages import Frozen

Array = NDArray[Any]


class Task(StrEnum):
    """What a model does."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Metric(Frozen):
    """A metric's name and direction."""

    name: str
    greater_is_better: bool


class Confusion(NamedTuple):
    """Per class: true positives, predicted and actual counts, each ``(n_classes,)`` int64."""

    true_positive: Array
    predicted: Array
    actual: Array


def alike(*labels: Array) -> list[Array]:
    """Labels that can be compared: numbers as they are, so that 1 is 1.0; else all as text."""
    if all(each.dtype.kind in "biuf" for each in labels):
        return list(labels)
    return [each.astype(str) for each in labels]


def confusion(truth: Array, predicted: Array) -> Confusion:
    """Counts per class over the classes that occur in either array."""
    classes, codes = np.unique(np.concatenate(alike(truth, predicted)), return_inverse=True)
    t, p = codes[: len(truth)], codes[len(truth) :]
    k = len(classes)
    return Confusion(
        np.bincount(t[t == p], minlength=k),
        np.bincount(p, minlength=k),
        np.bincount(t, minlength=k),
    )


def accuracy(truth: Array, predicted: Array) -> float:
    """Share of rows predicted right, 0 to 1."""
    return float(np.mean(truth == predicted))


def _mean_ratio(part: Array, whole: Array, wanted: Array) -> float:
    ratio = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return float(ratio[wanted].mean())


def precision(truth: Array, predicted: Array) -> float:
    """Macro precision over the classes that truly occur; a class never predicted counts 0."""
    c = confusion(truth, predicted)
    return _mean_ratio(c.true_positive, c.predicted, c.actual > 0)


def recall(truth: Array, predicted: Array) -> float:
    """Macro recall over the classes that truly occur."""
    c = confusion(truth, predicted)
    return _mean_ratio(c.true_positive, c.actual, c.actual > 0)


def f1(truth: Array, predicted: Array) -> float:
    """Macro F1 over the classes that truly occur."""
    c = confusion(truth, predicted)
    return _mean_ratio(2 * c.true_positive, c.predicted + c.actual, c.actual > 0)


def mae(truth: Array, predicted: Array) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(truth.astype(float) - predicted.astype(float))))


def rmse(truth: Array, predicted: Array) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((truth.astype(float) - predicted.astype(float)) ** 2)))


def r2(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; 0 where the truth does not vary."""
    spread = float(np.sum((truth.astype(float) - truth.astype(float).mean()) ** 2))
    error = float(np.sum((truth.astype(float) - predicted.astype(float)) ** 2))
    return 1 - error / spread if spread > 0 else 0.0


METRICS: dict[str, tuple[Metric, Callable[[Array, Array], float]]] = {
    "accuracy": (Metric(name="accuracy", greater_is_better=True), accuracy),
    "precision": (Metric(name="precision", greater_is_better=True), precision),
    "recall": (Metric(name="recall", greater_is_better=True), recall),
    "f1": (Metric(name="f1", greater_is_better=True), f1),
    "mae": (Metric(name="mae", greater_is_better=False), mae),
    "rmse": (Metric(name="rmse", greater_is_better=False), rmse),
    "r2": (Metric(name="r2", greater_is_better=True), r2),
}

CLASSIFICATION = ("accuracy", "precision", "recall", "f1")
REGRESSION = ("mae", "rmse", "r2")


def metric_names(task: Task) -> tuple[str, ...]:
    """The metrics that are reported for a task, the default first."""
    return REGRESSION if task is Task.REGRESSION else CLASSIFICATION


def scores(task: Task, truth: Array, predicted: Array) -> dict[str, float]:
    """Every metric of the task; ``truth`` and ``predicted`` are ``(n_rows,)``, n_rows > 0."""
    return {name: METRICS[name][1](truth, predicted) for name in metric_names(task)}


def losses(task: Task, truth: Array, predicted: Array) -> NDArray[np.float64]:
    """Loss of each row: 1 where a class is wrong, else 0; absolute error for regression."""
    if task is Task.REGRESSION:
        return np.asarray(np.abs(truth.astype(float) - predicted.astype(float)))
    return np.asarray(truth != predicted, dtype=np.float64)
