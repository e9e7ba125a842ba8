"""Linear models by stochastic gradient descent: an update goes on from where the parent stood."""

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import SGDClassifier, SGDRegressor

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import (
    SklearnAdapter,
    convergence,
    loss_of,
    settled,
)
from tidegate.training.base import CLASSIFICATION, REGRESSION
from tidegate.training.labels import class_predictions, scored_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUPS = ["coef", "intercept", "clock"]


class _Sgd(SklearnAdapter):
    """Groups ``coef``, ``intercept`` and ``clock`` (steps taken, which set the learning rate).

    Incremental: ``epochs`` passes over the new rows from the parent's values. The intercept can
    be held still; the coefficients cannot, since every step of the solver moves them. Hybrid:
    the key groups and the clock start anew, and passes go on until the loss settles.
    """

    own = {"epochs": (5, 1, 10_000), "hybrid_epochs": (100, 1, 10_000)}
    structural = frozenset({"loss"})
    searched = {"alpha": Range(low=1e-6, high=1e-1, log=True)}
    averaged = ("coef", "intercept")

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``coef``, ``intercept``, ``clock``."""
        return list(GROUPS)

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """All of them."""
        return list(GROUPS)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The intercept: the level, or how frequent the classes are."""
        return ["intercept"]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        estimator = self.estimator(job.task, job.settings, job.seed)
        if job.strategy is Strategy.FULL:
            return self._full(estimator, rows, job)
        return self._continued(estimator, rows, job)

    def _full(self, estimator: Any, rows: Rows, job: Job) -> Fitted:
        converged: list[bool] = []
        job.progress(0, 1)
        with convergence(converged), np.errstate(over="ignore", invalid="ignore"):
            estimator.fit(rows.x, rows.y)
        job.progress(1, 1)
        state = self._state(estimator, rows, job)
        notes = [] if converged[0] else [
            say("the optimiser stopped after {steps} steps", steps=job.settings["max_iter"])
        ]  # fmt: skip
        return Fitted(state, [loss_of(self.load(state)(rows.x), rows.y)], converged[0], notes=notes)

    def _continued(self, estimator: Any, rows: Rows, job: Job) -> Fitted:
        parent = self.parent_of(job)
        incremental = job.strategy is Strategy.INCREMENTAL
        if incremental and "coef" not in job.trainable_groups:
            raise WrongUsage(
                "adapter '{adapter}' cannot hold the coefficients still: every step moves them",
                do="name 'coef' among the trainable groups, or use logistic or ridge regression",
                adapter=self.name,
            )
        hold = incremental and "intercept" not in job.trainable_groups
        # Values that start anew need steps as long as in a first fit.
        anew = [] if incremental else [*job.key_groups, "clock"]
        before = {
            name: np.zeros_like(array) if name in anew else array
            for name, array in parent.tensors.items()
        }
        self._start(estimator, rows, before, fit_intercept=not hold)
        epochs = job.settings["epochs" if incremental else "hybrid_epochs"]
        curve: list[float] = []
        for epoch in range(epochs):
            with convergence([]), np.errstate(over="ignore", invalid="ignore"):
                estimator.partial_fit(rows.x, rows.y)
            state = self._state(estimator, rows, job)
            curve.append(loss_of(self.load(state)(rows.x), rows.y))
            job.progress(epoch + 1, epochs)
            if not incremental and settled(curve, job.settings["tol"], patience=5):
                break
        job.progress(epochs, epochs)
        if incremental and "clock" not in job.trainable_groups:
            state = State(
                state.architecture,
                {**state.tensors, "clock": parent.tensors["clock"]},
                state.groups,
            )
        return Fitted(state, curve, True)

    def _start(
        self, estimator: Any, rows: Rows, tensors: dict[str, Array], fit_intercept: bool
    ) -> None:
        """Put the estimator where the parent stood.

        Without ``fit_intercept`` the solver adds the intercept to every score and never moves it.
        """
        estimator.fit_intercept = True
        first = rows.classes is not None and {"classes": np.arange(len(rows.classes))}
        # One step on a row of zeros lays the estimator out; its values are replaced at once.
        estimator.partial_fit(np.zeros((1, rows.x.shape[1])), rows.y[:1], **(first or {}))
        estimator.coef_[...] = tensors["coef"]
        estimator.intercept_[...] = tensors["intercept"]
        estimator.t_ = max(1.0, float(tensors["clock"]))
        estimator.fit_intercept = fit_intercept

    def _state(self, estimator: Any, rows: Rows, job: Job) -> State:
        tensors = {
            "coef": np.array(estimator.coef_),
            "intercept": np.array(estimator.intercept_),
            "clock": np.asarray(float(estimator.t_)),
        }
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise DataError(
                "training ran into infinite values",
                do="bring the features into a common range, or lower the learning rate",
            )
        return State(self.architecture(rows, job), tensors, {group: [group] for group in GROUPS})


class SgdClassifier(_Sgd):
    """Linear classification."""

    name = "sklearn.sgd_classifier"
    tasks = CLASSIFICATION
    passed = {
        "loss": "log_loss", "penalty": "l2", "alpha": 1e-4, "l1_ratio": 0.15, "max_iter": 1000,
        "tol": 1e-3, "learning_rate": "optimal", "eta0": 0.01, "power_t": 0.5,
        "class_weight": None,
    }  # fmt: skip

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return SGDClassifier(**self.passed_of(settings), random_state=seed)

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        super().check_settings(task, settings)
        if settings.get("class_weight") is not None:
            raise WrongUsage(
                "setting 'class_weight' cannot be {value} here: an update goes on step by step",
                do="leave it out, or use logistic regression",
                value=repr(settings["class_weight"]),
            )

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities under log loss, else classes alone."""
        classes = state.architecture["classes"]
        outputs = 1 if len(classes) == 2 else len(classes)
        coef = self.shape(state, "coef", outputs, state.architecture["n_features"])
        intercept = self.shape(state, "intercept", outputs)
        if state.architecture["loss"] == "log_loss":
            return lambda x: class_predictions(classes, _shares(x @ coef.T + intercept))
        return lambda x: scored_predictions(classes, x @ coef.T + intercept)


def _shares(scores: Floats) -> Floats:
    """Probabilities ``(n_rows, n_classes)`` as scikit-learn makes them: one against the rest."""
    right = expit(scores)
    if right.shape[1] == 1:
        return np.column_stack([1 - right[:, 0], right[:, 0]])
    total = right.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(right, total, out=np.full_like(right, 1 / right.shape[1]),
                                where=total > 0))  # fmt: skip


class SgdRegressor(_Sgd):
    """Linear regression by stochastic gradient descent."""

    name = "sklearn.sgd_regressor"
    tasks = REGRESSION
    passed = {
        "loss": "squared_error", "penalty": "l2", "alpha": 1e-4, "l1_ratio": 0.15,
        "max_iter": 1000, "tol": 1e-3, "learning_rate": "invscaling", "eta0": 0.01,
        "power_t": 0.25, "epsilon": 0.1,
    }  # fmt: skip

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return SGDRegressor(**self.passed_of(settings), random_state=seed)

    def load(self, state: State) -> Scorer:
        """A function that gives values."""
        coef = self.shape(state, "coef", state.architecture["n_features"])
        intercept = self.shape(state, "intercept", 1)
        return lambda x: Predictions(values=x @ coef + intercept[0])
