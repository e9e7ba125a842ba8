"""K-means with a label on every cluster: rows are answered as the rows around them were."""

from typing import Any

import numpy as np
from sklearn.cluster import KMeans as Estimator

from tidegate.domain.errors import DataError
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import SklearnAdapter, loss_of
from tidegate.training.base import CLASSIFICATION, REGRESSION
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUPS = {"centers": ["centers", "weight"], "answers": ["answers"]}


class KMeans(SklearnAdapter):
    """Groups ``centers`` (where clusters lie, and how many rows each stands for) and ``answers``.

    The clusters are found without labels; a cluster answers with the shares of the classes among
    its rows, or their mean. Incremental: centres move to the mean of all rows they ever stood for
    (MacQueen 1967), and answers count on. Hybrid: the answers are counted anew, and the centres
    move on.
    """

    name = "sklearn.kmeans"
    tasks = CLASSIFICATION | REGRESSION
    passed = {"n_clusters": 32, "n_init": 3, "max_iter": 300, "tol": 1e-4}
    own = {"memory": (1.0, 0.0, 1.0)}
    searched = {"n_clusters": Range(low=4, high=256, log=True)}

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return Estimator(**self.passed_of(settings), random_state=seed)

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``centers``, ``answers``."""
        return list(GROUPS)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The answers."""
        return ["answers"]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        job.progress(0, 1)
        parent = None if job.strategy is Strategy.FULL else self.parent_of(job)
        if parent is None or "centers" in job.key_groups:
            if len(rows.x) < job.settings["n_clusters"]:
                raise DataError(
                    "{rows} rows make no {clusters} clusters",
                    do="set n_clusters lower, or add rows",
                    rows=len(rows.x),
                    clusters=job.settings["n_clusters"],
                )
            estimator = self.estimator(job.task, job.settings, job.seed).fit(rows.x)
            centers, weight = estimator.cluster_centers_, np.zeros(len(estimator.cluster_centers_))
            nearest = _nearest(rows.x, centers)
            weight += np.bincount(nearest, minlength=len(centers))
        else:
            centers, weight = parent.tensors["centers"], parent.tensors["weight"]
            nearest = _nearest(rows.x, centers)
            if job.strategy is Strategy.HYBRID or "centers" in job.trainable_groups:
                centers, weight = _moved(rows.x, nearest, centers, weight, job)
        answers = _answers(rows, nearest, len(centers))
        if parent is not None and job.strategy is Strategy.INCREMENTAL:
            if "answers" not in job.trainable_groups:
                answers = parent.tensors["answers"]
            else:
                answers = answers + job.settings["memory"] * parent.tensors["answers"]
        elif parent is not None and not {"answers", "centers"} & set(job.key_groups):
            answers = answers + job.settings["memory"] * parent.tensors["answers"]
        job.progress(1, 1)
        tensors = {"centers": np.array(centers), "weight": np.array(weight), "answers": answers}
        state = State(
            self.architecture(rows, job), tensors, {g: list(n) for g, n in GROUPS.items()}
        )
        return Fitted(state, [loss_of(self.load(state)(rows.x), rows.y)], True)

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        classes = state.architecture.get("classes")
        centers = self.shape(state, "centers", None, state.architecture["n_features"])
        self.shape(state, "weight", len(centers))
        answers = self.shape(state, "answers", len(centers), 2 if classes is None else len(classes))
        # A cluster that no labelled row is in answers as all of them together do.
        rows = answers[:, 1:] if classes is None else answers.sum(axis=1, keepdims=True)
        known = np.where(rows > 0, answers, answers.sum(axis=0))
        if classes is None:
            values = known[:, 0] / known[:, 1]
            return lambda x: Predictions(values=values[_nearest(x, centers)])
        shares = known / known.sum(axis=1, keepdims=True)
        return lambda x: class_predictions(classes, shares[_nearest(x, centers)])


def _nearest(x: Floats, centers: Array) -> Array:
    """The nearest centre of each row; the first of equals."""
    found = np.empty(len(x), np.int64)
    step = max(1, 4_000_000 // max(1, len(centers)))
    square = (centers**2).sum(axis=1)
    for at in range(0, len(x), step):
        found[at : at + step] = np.argmin(square - 2 * (x[at : at + step] @ centers.T), axis=1)
    return found


def _moved(
    x: Floats, nearest: Array, centers: Array, weight: Array, job: Job
) -> tuple[Array, Array]:
    """Centres at the mean of the rows they stood for and the new ones nearest to them."""
    k = len(centers)
    sums = np.stack([np.bincount(nearest, weights=c, minlength=k) for c in x.T], axis=1)
    old = job.settings["memory"] * weight
    counts = old + np.bincount(nearest, minlength=k)
    there = counts > 0
    moved = centers.copy()
    moved[there] = (old[there, None] * centers[there] + sums[there]) / counts[there, None]
    return moved, counts


def _answers(rows: Rows, nearest: Array, clusters: int) -> Array:
    """By cluster the rows of each class, ``(k, n_classes)``; or the sum of values and the rows."""
    if rows.classes is None:
        sums = np.bincount(nearest, weights=rows.y, minlength=clusters)
        return np.column_stack([sums, np.bincount(nearest, minlength=clusters)])
    place = nearest * len(rows.classes) + rows.y
    counts = np.bincount(place, minlength=clusters * len(rows.classes))
    return counts.reshape(clusters, len(rows.classes)).astype(np.float64)
