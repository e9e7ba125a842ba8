"""What the scikit-learn adapters share: estimators, losses, and convergence."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.training.base import BaseAdapter, Own
from tidegate.training.state import Array, Fitted, Job, Rows, Scorer, State

#: The range that this package's tests have run with, from end to end.
SCIKIT_LEARN = ">=1.6,<1.10"

MEMORY: Own = (1.0, 0.0, 1.0)  # weight of what the parent learned: 1 all of it, 0 nothing


class SklearnAdapter(BaseAdapter):
    """One scikit-learn family; ``passed`` are settings of its estimator."""

    libraries: dict[str, str] = {"scikit-learn": SCIKIT_LEARN}

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        raise AssertionError("every family makes its own")

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        raise AssertionError("every family fits its own")

    def load(self, state: State) -> Scorer:
        """A function that predicts; raises Incompatible where ``state`` is not of this family."""
        raise AssertionError("every family loads its own")

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        super().check_settings(task, settings)
        if settings.get("class_weight") not in (None, "balanced"):
            raise WrongUsage(
                "setting 'class_weight' cannot be {value}",
                do="write balanced, or leave it out",
                value=repr(settings["class_weight"]),
            )
        estimator = self.estimator(task, {**self.defaults(task), **settings}, 0)
        try:
            estimator._validate_params()
        except ValueError as error:
            raise WrongUsage(
                "a setting of adapter '{adapter}' cannot be: {detail}",
                do="see what scikit-learn's documentation allows for it",
                adapter=self.name,
                detail=str(error),
            ) from None

    def passed_of(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings that scikit-learn knows; lists become tuples."""
        return {
            name: tuple(settings[name]) if isinstance(settings[name], list) else settings[name]
            for name in self.passed
        }


def loss_of(predictions: Predictions, y: Array) -> float:
    """Mean loss on training rows: log loss, share of wrong classes, or mean squared error.

    ``y``: codes into the predictions' classes, or float64.
    """
    if predictions.classes is None:
        return float(np.mean((predictions.values - y) ** 2))
    if predictions.probabilities is None:
        right = predictions.values == np.array(predictions.classes)[y]
        return float(1 - np.mean(right))
    return float(log_loss(y, predictions.probabilities, labels=range(len(predictions.classes))))


def settled(curve: list[float], tol: float, patience: int) -> bool:
    """Whether the loss has not fallen by ``tol`` below its best for ``patience`` epochs."""
    if len(curve) <= patience:
        return False
    return min(curve[-patience:]) > min(curve[:-patience]) - tol


@contextmanager
def convergence(converged: list[bool]) -> Iterator[None]:
    """Note in ``converged`` that an optimiser gave up, instead of warning about it.

    Values that overflow on the way are DataError: the features are out of scale.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except ValueError as error:
            if "non-finite" not in str(error) and "infinity" not in str(error):
                raise
            raise DataError(
                "training ran into infinite values",
                do="bring the features into a common range, or lower the learning rate",
            ) from None
    converged.append(not any(issubclass(w.category, ConvergenceWarning) for w in caught))
    for other in caught:
        if not issubclass(other.category, (ConvergenceWarning, RuntimeWarning)):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
