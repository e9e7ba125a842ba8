"""An adapter in a package of its own: a row is of the class whose mean lies nearest to it."""

from typing import Any

import numpy as np

from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.training.base import CLASSIFICATION, BaseAdapter
from tidegate.training.labels import label_array
from tidegate.training.state import Fitted, Floats, Job, Rows, Scorer, State


class NearestCentroid(BaseAdapter):
    """Groups ``means`` and ``rows`` (how many rows each mean is of).

    Incremental: means of all rows ever seen, the old ones weighted by ``memory``. Hybrid: the key
    groups from the new rows alone.
    """

    name = "example.nearest_centroid"
    tasks = CLASSIFICATION
    own = {"memory": (1.0, 0.0, 1.0)}  # a setting: its default, and its least and greatest value
    averaged = ("means",)

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        k = len(rows.classes or [])
        counts = np.bincount(rows.y, minlength=k).astype(np.float64)
        sums = np.stack([np.bincount(rows.y, column, k) for column in rows.x.T], axis=1)
        parent = None if job.strategy is Strategy.FULL else self.parent_of(job)
        moving = ["means", "rows"] if parent is None else job.trainable_groups or job.key_groups
        if parent is not None and not job.key_groups:
            old = job.settings["memory"] * parent.tensors["rows"]
            counts, sums = counts + old, sums + old[:, None] * parent.tensors["means"]
        made = {"means": sums / np.maximum(counts, 1.0)[:, None], "rows": counts}
        tensors = {
            name: made[name] if parent is None or name in moving else parent.tensors[name]
            for name in made
        }
        state = State(self.architecture(rows, job), tensors, {name: [name] for name in tensors})
        wrong = np.mean(self.load(state)(rows.x).values != label_array(rows.classes or [])[rows.y])
        return Fitted(state, curve=[float(wrong)], converged=True)

    def load(self, state: State) -> Scorer:
        """A function that predicts."""
        labels: Any = label_array(state.architecture["classes"])
        means = self.shape(state, "means", len(labels), state.architecture["n_features"])

        def scorer(x: Floats) -> Predictions:
            far = ((x[:, None, :] - means[None]) ** 2).sum(axis=2)
            return Predictions(labels[far.argmin(axis=1)], list(labels))

        return scorer
