"""Logistic regression: incremental updates remember what the parent learned."""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from sklearn.linear_model import LogisticRegression as Estimator
from sklearn.utils.extmath import softmax

from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import (
    MEMORY,
    SklearnAdapter,
    convergence,
    loss_of,
)
from tidegate.training.base import CLASSIFICATION
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUPS = ["coef", "intercept", "precision"]


class LogisticRegression(SklearnAdapter):
    """Groups ``coef``, ``intercept`` and ``precision`` (how surely each value is known).

    Incremental: the loss on the new rows plus a pull towards the parent's values, each as
    strong as the parent's rows were sure of it: the diagonal of the Fisher information, summed
    over updates (the online Laplace approximation of Spiegelhalter and Lauritzen 1990, as used
    by Kirkpatrick et al. 2017, doi:10.1073/pnas.1611835114).
    """

    name = "sklearn.logistic_regression"
    tasks = CLASSIFICATION
    passed = {"C": 1.0, "tol": 1e-4, "max_iter": 1000, "class_weight": None}
    own = {"memory": MEMORY}
    searched = {"C": Range(low=1e-3, high=1e2, log=True)}
    averaged = ("coef", "intercept")

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return Estimator(**self.passed_of(settings))

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``coef``, ``intercept``, ``precision``."""
        return list(GROUPS)

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """All of them."""
        return list(GROUPS)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The intercept: how frequent the classes are."""
        return ["intercept"]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        assert rows.classes is not None  # noqa: S101 - train() saw to it
        moved = _full if job.strategy is Strategy.FULL else _continued
        coef, intercept, converged = moved(self, rows, job)
        parent = None if job.strategy is Strategy.FULL else job.parent
        tensors = {"coef": coef, "intercept": intercept}
        tensors |= _precision(rows, coef, intercept, parent, job)
        state = State(self.architecture(rows, job), tensors, {
            "coef": ["coef"],
            "intercept": ["intercept"],
            "precision": ["precision.coef", "precision.intercept"],
        })  # fmt: skip
        before = parent or State(
            state.architecture,
            {**tensors, "coef": np.zeros_like(coef), "intercept": np.zeros_like(intercept)},
            state.groups,
        )
        curve = [loss_of(self.load(at)(rows.x), rows.y) for at in (before, state)]
        notes = [] if converged else [
            say("the optimiser stopped after {steps} steps", steps=job.settings["max_iter"])
        ]  # fmt: skip
        return Fitted(state, curve, converged, notes=notes)

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities."""
        classes = state.architecture["classes"]
        outputs = 1 if len(classes) == 2 else len(classes)
        coef = self.shape(state, "coef", outputs, state.architecture["n_features"])
        intercept = self.shape(state, "intercept", outputs)
        return lambda x: class_predictions(classes, _probabilities(x, coef, intercept))


def _probabilities(x: Floats, coef: Array, intercept: Array) -> Floats:
    """Class probabilities exactly as scikit-learn computes them."""
    scores = x @ coef.T + intercept
    if len(coef) == 1:
        shares = np.empty((len(x), 2))
        second = expit(scores[:, 0], out=shares[:, 1])
        np.subtract(1, second, out=shares[:, 0])
        return shares
    return np.asarray(softmax(scores, copy=False))


def _full(how: LogisticRegression, rows: Rows, job: Job) -> tuple[Floats, Floats, bool]:
    estimator = how.estimator(job.task, job.settings, job.seed)
    converged: list[bool] = []
    job.progress(0, 1)
    with convergence(converged):
        estimator.fit(rows.x, rows.y)
    job.progress(1, 1)
    return estimator.coef_, estimator.intercept_, converged[0]


def _continued(how: LogisticRegression, rows: Rows, job: Job) -> tuple[Floats, Floats, bool]:
    """Coefficients and intercept moved on from the parent's, or held still."""
    parent = how.parent_of(job)
    old = np.column_stack([parent.tensors["coef"], parent.tensors["intercept"]])
    known = np.column_stack(
        [parent.tensors["precision.coef"], parent.tensors["precision.intercept"]]
    )
    # A value is never held more loosely than a first version's, whose penalty is |coef|^2 / 2.
    plain = np.ones_like(old)
    plain[:, -1] = 0.0
    pull = np.maximum(job.settings["memory"] * known, plain)
    start, centre, moves = old.copy(), old.copy(), np.zeros(old.shape, dtype=bool)
    for group, columns in (("coef", slice(0, -1)), ("intercept", slice(-1, None))):
        if group in job.key_groups:
            start[:, columns] = centre[:, columns] = 0.0
            pull[:, columns] = plain[:, columns]
        moves[:, columns] = job.strategy is Strategy.HYBRID or group in job.trainable_groups
    if not moves.any():
        return parent.tensors["coef"], parent.tensors["intercept"], True
    weights = _row_weights(how, rows, job)
    found, converged = _minimise(rows, start, centre, pull, moves, weights, job)
    return np.ascontiguousarray(found[:, :-1]), np.ascontiguousarray(found[:, -1]), converged


def _row_weights(how: LogisticRegression, rows: Rows, job: Job) -> Floats:
    """``C`` times the weight of each row's class, as scikit-learn weighs its loss."""
    weights = np.full(len(rows.y), float(job.settings["C"]))
    if job.settings["class_weight"] == "balanced":
        counts = np.bincount(rows.y, minlength=len(rows.classes or []))
        present = np.count_nonzero(counts)
        weights *= (len(rows.y) / (present * np.maximum(counts, 1)))[rows.y]
    return weights


def _minimise(
    rows: Rows, start: Floats, centre: Floats, pull: Floats, moves: Array, weights: Floats, job: Job
) -> tuple[Floats, bool]:
    """The weighted log loss plus ``pull`` towards ``centre``, over the values that move.

    Held values take no part in the optimisation, so they keep every bit.
    """
    x = np.column_stack([rows.x, np.ones(len(rows.x))])
    onehot = np.eye(len(rows.classes or []))[rows.y]

    def objective(moving: Floats) -> tuple[float, Floats]:
        values = start.copy()
        values[moves] = moving
        scores = x @ values.T
        if len(values) == 1:
            signs = 2.0 * rows.y - 1
            margins = signs * scores[:, 0]
            loss = float(weights @ np.logaddexp(0, -margins))
            slope = (weights * -signs * expit(-margins))[:, None]
        else:
            logs = log_softmax(scores, axis=1)
            loss = float(-(weights @ logs[np.arange(len(x)), rows.y]))
            slope = weights[:, None] * (np.exp(logs) - onehot)
        away = values - centre
        gradient = slope.T @ x + pull * away
        scale = 1.0 / weights.sum()  # of the mean row, so that tol means what it does in a fit
        total = loss + 0.5 * float(np.sum(pull * away**2))
        return total * scale, gradient[moves] * scale

    job.progress(0, 1)
    found = minimize(
        objective, start[moves], jac=True, method="L-BFGS-B",
        options={"maxiter": job.settings["max_iter"], "gtol": job.settings["tol"],
                 "ftol": 64 * np.finfo(float).eps},
    )  # fmt: skip
    job.progress(1, 1)
    values = start.copy()
    values[moves] = found.x
    return values, bool(found.success)


def _precision(
    rows: Rows, coef: Array, intercept: Array, parent: State | None, job: Job
) -> dict[str, Array]:
    """The diagonal Fisher information of these rows, on top of what the parent remembers."""
    incremental = job.strategy is Strategy.INCREMENTAL
    if parent is not None and incremental and "precision" not in job.trainable_groups:
        return parent.of_group("precision")
    p = _probabilities(rows.x, coef, intercept)
    spread = p * (1 - p) if len(coef) > 1 else (p * (1 - p))[:, 1:]
    spread = spread * job.settings["C"]
    found = {"coef": spread.T @ rows.x**2, "intercept": spread.sum(axis=0)}
    if parent is None or "precision" in job.key_groups:
        found["coef"] = found["coef"] + 1.0  # the penalty is knowledge as well
        return {f"precision.{group}": value for group, value in found.items()}
    memory = {g: 0.0 if g in job.key_groups else job.settings["memory"] for g in found}
    return {
        f"precision.{group}": value + memory[group] * parent.tensors[f"precision.{group}"]
        for group, value in found.items()
    }
