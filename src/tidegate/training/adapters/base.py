"""What the scikit-learn adapters share: settings, architecture, and the message of a refusal."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from tidegate.domain.errors import DataError, Incompatible, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.training.nearest import known_or_refuse
from tidegate.training.state import Array, Job, Rows, Scorer, State

CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})
REGRESSION = frozenset({Task.REGRESSION})
ALL_STRATEGIES = frozenset({Strategy.FULL, Strategy.INCREMENTAL, Strategy.HYBRID})

#: The range that this package's tests have run with, from end to end.
SCIKIT_LEARN = ">=1.6,<1.10"

#: A setting of Tidegate's own: its default, and the least and greatest value.
Own = tuple[float, float, float]

MEMORY: Own = (1.0, 0.0, 1.0)  # weight of what the parent learned: 1 all of it, 0 nothing


class SklearnAdapter:
    """Settings and architecture of one scikit-learn family.

    ``passed`` are settings handed to the estimator with their defaults; ``own`` are Tidegate's;
    ``structural`` are those that a version keeps for life, since its tensors depend on them.
    """

    name: str
    tasks: frozenset[Task]
    strategies: frozenset[Strategy] = ALL_STRATEGIES
    keeps_missing: bool = False
    libraries: dict[str, str] = {"scikit-learn": SCIKIT_LEARN}
    passed: dict[str, Any] = {}
    own: dict[str, Own] = {}
    structural: frozenset[str] = frozenset()

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        raise AssertionError("every family makes its own")

    def load(self, state: State) -> Scorer:
        """A function that predicts; raises Incompatible where ``state`` is not of this family."""
        raise AssertionError("every family loads its own")

    def defaults(self, task: Task) -> dict[str, Any]:
        """Every setting and its default."""
        return {**self.passed, **{name: default for name, (default, _, _) in self.own.items()}}

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        for name in settings:
            known_or_refuse(name, self.defaults(task), "there is no setting '{name}'")
        for name, (default, low, high) in self.own.items():
            value = settings.get(name, default)
            whole = isinstance(default, int)
            if not _is_number(value, whole) or not low <= value <= high:
                raise WrongUsage(
                    "setting '{name}' cannot be {value}",
                    do="give a number from {low:g} to {high:g}",
                    name=name,
                    value=repr(value),
                    low=low,
                    high=high,
                )
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

    def architecture(self, rows: Rows, job: Job) -> dict[str, Any]:
        """What the tensors are loaded into: the parent's, or one for these rows."""
        if job.strategy is not Strategy.FULL and job.parent is not None:
            return dict(job.parent.architecture)
        made: dict[str, Any] = {"task": str(job.task), "n_features": rows.x.shape[1]}
        if rows.classes is not None:
            made["classes"] = list(rows.classes)
        for name in sorted(self.structural):
            value = job.settings[name]
            made[name] = list(value) if isinstance(value, tuple) else value
        return made

    def parent_of(self, job: Job) -> State:
        """The parent of an update that has one; its structural settings must be the job's."""
        assert job.parent is not None  # noqa: S101 - train() saw to it
        for name in self.structural:
            kept, asked = job.parent.architecture.get(name), job.settings[name]
            asked = list(asked) if isinstance(asked, tuple) else asked
            if kept != asked:
                raise WrongUsage(
                    "the parent version has {name} = {kept}, the settings ask for {asked}",
                    do="use a full update, which builds a new structure, or set it back",
                    name=name,
                    kept=repr(kept),
                    asked=repr(asked),
                )
        return job.parent

    def shape(self, state: State, name: str, *shape: int | None) -> Array:
        """The tensor of that name; raises Incompatible where it is missing or another shape.

        None in ``shape`` stands for any length.
        """
        array = state.tensors.get(name)
        fits = array is not None and array.ndim == len(shape)
        if (
            array is None
            or not fits
            or any(
                want is not None and want != got
                for want, got in zip(shape, array.shape, strict=True)
            )
        ):
            raise Incompatible(
                "adapter '{adapter}' needs a tensor '{name}' of shape {wanted}, and has {found}",
                do="load the version that this architecture belongs to",
                adapter=self.name,
                name=name,
                wanted=str(["any" if want is None else want for want in shape]),
                found="none" if array is None else str(list(array.shape)),
            )
        return array


def _is_number(value: Any, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)


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
