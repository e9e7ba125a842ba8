"""Linear support vector machines: an update is pulled to the old values as they were sure."""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.svm import LinearSVC

from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import MEMORY, SklearnAdapter, convergence
from tidegate.training.base import CLASSIFICATION
from tidegate.training.labels import label_array, scored_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUPS = ["coef", "intercept", "precision"]


class LinearSvc(SklearnAdapter):
    """Groups ``coef``, ``intercept`` and ``precision`` (how surely each value is known).

    Incremental: the squared hinge loss on the new rows plus a pull towards the old values, as
    strong as the loss on the old rows was curved there (its generalised Hessian's diagonal:
    Laplace's approximation, as online Newton methods take it; Ritter et al. 2018,
    arXiv:1805.07810). Hybrid: the key groups begin at zero without a pull.
    """

    name = "sklearn.linear_svc"
    tasks = CLASSIFICATION
    passed = {"C": 1.0, "tol": 1e-4, "max_iter": 10_000, "class_weight": None}
    own = {"memory": MEMORY}
    searched = {"C": Range(low=1e-3, high=1e2, log=True)}
    averaged = ("coef", "intercept")

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return LinearSVC(**self.passed_of(settings), dual=False, random_state=seed)

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``coef``, ``intercept``, ``precision``."""
        return list(GROUPS)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The intercept: how frequent the classes are."""
        return ["intercept"]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        assert rows.classes is not None  # noqa: S101 - train() saw to it
        parent = None if job.strategy is Strategy.FULL else self.parent_of(job)
        weights = _row_weights(rows, job)
        job.progress(0, 1)
        if parent is None:
            found: list[bool] = []
            estimator = self.estimator(job.task, job.settings, job.seed)
            with convergence(found):
                estimator.fit(rows.x, rows.y)
            values = np.column_stack([estimator.coef_, estimator.intercept_])
            converged = found[0]
        else:
            values, converged = _continued(rows, parent, weights, job)
        job.progress(1, 1)
        coef, intercept = (np.ascontiguousarray(part) for part in (values[:, :-1], values[:, -1]))
        tensors = {"coef": coef, "intercept": intercept}
        tensors |= _precision(rows, values, weights, parent, job)
        groups = {g: [n for n in tensors if n.split(".")[0] == g] for g in GROUPS}
        state = State(self.architecture(rows, job), tensors, groups)
        wrong = float(np.mean(self.load(state)(rows.x).values != label_array(rows.classes)[rows.y]))
        notes = [] if converged else [
            say("the optimiser stopped after {steps} steps", steps=job.settings["max_iter"])
        ]  # fmt: skip
        return Fitted(state, [wrong], converged, notes=notes)

    def load(self, state: State) -> Scorer:
        """A function that gives classes; a support vector machine has no probabilities."""
        classes = state.architecture["classes"]
        outputs = 1 if len(classes) == 2 else len(classes)
        coef = self.shape(state, "coef", outputs, state.architecture["n_features"])
        intercept = self.shape(state, "intercept", outputs)
        return lambda x: scored_predictions(classes, x @ coef.T + intercept)


def _row_weights(rows: Rows, job: Job) -> Floats:
    """``C`` times the weight of each row's class, as scikit-learn weighs its loss."""
    weights = np.full(len(rows.y), float(job.settings["C"]))
    if job.settings["class_weight"] == "balanced":
        counts = np.bincount(rows.y, minlength=len(rows.classes or []))
        weights *= (len(rows.y) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[rows.y]
    return weights


def _signs(rows: Rows, outputs: int) -> Floats:
    """1 where a row is of the class of that column, else -1: ``(n_rows, outputs)``."""
    if outputs == 1:
        return (2.0 * rows.y - 1)[:, None]
    return np.asarray(2.0 * (rows.y[:, None] == np.arange(outputs)) - 1)


def _continued(rows: Rows, parent: State, weights: Floats, job: Job) -> tuple[Floats, bool]:
    """Values moved on from the parent's, or held still: held ones take no part in the search."""
    old = np.column_stack([parent.tensors["coef"], parent.tensors["intercept"]])
    known = np.column_stack(
        [parent.tensors["precision.coef"], parent.tensors["precision.intercept"]]
    )
    pull = np.maximum(job.settings["memory"] * known, 1.0)
    start, moves = old.copy(), np.zeros(old.shape, dtype=bool)
    for group, columns in (("coef", slice(0, -1)), ("intercept", slice(-1, None))):
        if group in job.key_groups:
            start[:, columns], pull[:, columns] = 0.0, 1.0
        moves[:, columns] = job.strategy is Strategy.HYBRID or group in job.trainable_groups
    if not moves.any():
        return old, True
    centre, x = start.copy(), np.column_stack([rows.x, np.ones(len(rows.x))])
    signs = _signs(rows, len(old))

    def objective(moving: Floats) -> tuple[float, Floats]:
        values = start.copy()
        values[moves] = moving
        short = np.maximum(0.0, 1 - signs * (x @ values.T))
        slope = (-2 * weights[:, None] * short * signs).T @ x
        away = values - centre
        total = float(weights @ (short**2).sum(axis=1)) + 0.5 * float(np.sum(pull * away**2))
        scale = 1.0 / weights.sum()  # of the mean row, so that tol means what it does in a fit
        return total * scale, (slope + pull * away)[moves] * scale

    found = minimize(
        objective, start[moves], jac=True, method="L-BFGS-B",
        options={"maxiter": job.settings["max_iter"], "gtol": job.settings["tol"] * 1e-2,
                 "ftol": 64 * np.finfo(float).eps},
    )  # fmt: skip
    values = start.copy()
    values[moves] = found.x
    return values, bool(found.success)


def _precision(
    rows: Rows, values: Floats, weights: Floats, parent: State | None, job: Job
) -> dict[str, Array]:
    """The curvature of these rows' loss at ``values``, on top of what the parent remembers."""
    if (
        parent is not None
        and job.strategy is Strategy.INCREMENTAL
        and "precision" not in job.trainable_groups
    ):
        return parent.of_group("precision")
    x = np.column_stack([rows.x, np.ones(len(rows.x))])
    short = _signs(rows, len(values)) * (x @ values.T) < 1
    found = (2 * weights[:, None] * short).T @ x**2
    made = {"coef": found[:, :-1], "intercept": found[:, -1]}
    for group, value in made.items():
        if parent is not None and group not in job.key_groups and "precision" not in job.key_groups:
            value += job.settings["memory"] * parent.tensors[f"precision.{group}"]
    return {f"precision.{g}": np.ascontiguousarray(value) for g, value in made.items()}
