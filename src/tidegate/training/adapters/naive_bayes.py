"""Gaussian naive Bayes: an incremental update is exact, as if all rows had been there."""

from typing import Any

import numpy as np
from sklearn.naive_bayes import GaussianNB

from tidegate.domain.errors import DataError
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapters.scikit import (
    MEMORY,
    SklearnAdapter,
    loss_of,
)
from tidegate.training.base import CLASSIFICATION
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUPS = {"prior": ["prior"], "theta": ["theta"], "var": ["var", "smoothing"], "rows": ["rows"]}


class GaussianNaiveBayes(SklearnAdapter):
    """Groups ``prior``, ``theta`` (means), ``var`` (variances) and ``rows`` (rows a class).

    Incremental: the statistics of all rows ever learned from, by the pairwise update of Chan,
    Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115.
    """

    name = "sklearn.gaussian_nb"
    tasks = CLASSIFICATION
    passed = {"var_smoothing": 1e-9}
    own = {"memory": MEMORY}

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return GaussianNB(**self.passed_of(settings))

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``prior``, ``theta``, ``var``, ``rows``."""
        return list(GROUPS)

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """All of them."""
        return list(GROUPS)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The prior: how frequent the classes are."""
        return ["prior"]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        estimator = self.estimator(job.task, job.settings, job.seed).fit(rows.x, rows.y)
        if job.strategy is Strategy.FULL:
            if not estimator.var_.any():
                raise DataError(
                    "no feature varies, so there is nothing to tell the classes apart by",
                    do="add columns that vary, or rows",
                )
            tensors = _tensors(
                estimator.class_prior_, estimator.theta_, estimator.var_, estimator.epsilon_,
                estimator.class_count_,
            )  # fmt: skip
        else:
            tensors = _merged(self.parent_of(job), rows, job)
        state = State(
            self.architecture(rows, job), tensors, {g: list(n) for g, n in GROUPS.items()}
        )
        return Fitted(state, [loss_of(self.load(state)(rows.x), rows.y)], True)

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities."""
        classes, features = state.architecture["classes"], state.architecture["n_features"]
        estimator = GaussianNB()
        estimator.classes_ = np.arange(len(classes))
        estimator.n_features_in_ = features
        estimator.class_prior_ = self.shape(state, "prior", len(classes))
        estimator.theta_ = self.shape(state, "theta", len(classes), features)
        estimator.var_ = self.shape(state, "var", len(classes), features)
        return lambda x: class_predictions(classes, estimator.predict_proba(x))


def _tensors(
    prior: Array, theta: Array, var: Array, smoothing: float, rows: Array
) -> dict[str, Array]:
    return {
        "prior": np.asarray(prior, dtype=np.float64),
        "theta": np.asarray(theta),
        "var": np.asarray(var),
        "smoothing": np.asarray(smoothing, dtype=np.float64),
        "rows": np.asarray(rows, dtype=np.float64),
    }


def _merged(parent: State, rows: Rows, job: Job) -> dict[str, Array]:
    """The parent's statistics and the new rows' together, group by group as the job says."""
    old, key = parent.tensors, job.key_groups
    new_rows, new_theta, new_var = _statistics(rows)
    if "theta" in key or "var" in key:
        _refuse_absent(rows, new_rows)
    old_rows = old["rows"] * job.settings["memory"]
    total = old_rows + new_rows
    share = np.divide(new_rows, total, out=np.zeros_like(total), where=total > 0)[:, None]
    moves = list(GROUPS) if job.strategy is Strategy.HYBRID else job.trainable_groups
    made = dict(old)
    if "theta" in moves:
        seen = (new_rows > 0)[:, None]  # a class without rows keeps its mean to the bit
        moved = old["theta"] + share * (new_theta - old["theta"])
        made["theta"] = new_theta if "theta" in key else np.where(seen, moved, old["theta"])
    if "var" in moves:
        # About the mean that the version will have, whichever group it comes from.
        plain = np.maximum(old["var"] - old["smoothing"], 0.0)
        before = plain + (old["theta"] - made["theta"]) ** 2
        after = new_var + (new_theta - made["theta"]) ** 2
        var = after if "var" in key else before + share * (after - before)
        weight = new_rows if "var" in key else total
        made["smoothing"] = _smoothing(weight, made["theta"], var, job)
        made["var"] = var + made["smoothing"]
    if "rows" in moves:
        made["rows"] = new_rows if "rows" in key else total
    if "prior" in moves:
        counts = new_rows if "prior" in key else old["prior"] * old_rows.sum() + new_rows
        made["prior"] = counts / counts.sum()
    return _tensors(
        made["prior"], made["theta"], made["var"], float(made["smoothing"]), made["rows"]
    )


def _statistics(rows: Rows) -> tuple[Floats, Floats, Floats]:
    """Rows, means and variances of each class; zeros where a class has no rows."""
    k, features = len(rows.classes or []), rows.x.shape[1]
    counts = np.bincount(rows.y, minlength=k).astype(np.float64)
    theta, var = np.zeros((k, features)), np.zeros((k, features))
    for code in np.unique(rows.y):
        part = rows.x[rows.y == code]
        theta[code], var[code] = part.mean(axis=0), part.var(axis=0)
    return counts, theta, var


def _smoothing(rows: Array, theta: Array, var: Array, job: Job) -> Floats:
    """scikit-learn's floor under the variances, from the variance of all rows together."""
    share = (rows / rows.sum())[:, None]
    mean = (share * theta).sum(axis=0)
    total = (share * (var + (theta - mean) ** 2)).sum(axis=0)
    return np.asarray(job.settings["var_smoothing"] * total.max())


def _refuse_absent(rows: Rows, counts: Floats) -> None:
    absent = [str(c) for c, n in zip(rows.classes or [], counts, strict=True) if n == 0]
    if absent:
        raise DataError(
            "class {name} has no rows to retrain its distribution from",
            do="use an incremental update, which keeps what was known of it, or add rows of it",
            name=absent[0],
        )
