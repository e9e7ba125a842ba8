"""Isolation forests: rare rows are those that few questions set apart."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest as Estimator

from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.training.adapters.scikit import SklearnAdapter, loss_of
from tidegate.training.adapters.trees import (
    FIRST,
    check_nodes,
    check_tree_groups,
    next_group,
    tree_groups,
)
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

#: Euler and Mascheroni's constant, in the mean depth of a search tree.
_EULER = np.euler_gamma


class IsolationForest(SklearnAdapter):
    """Groups ``trees.0``, ``trees.1``, ... and ``line`` (from which score on a row is rare).

    Trees are grown without labels (Liu et al. 2008, doi:10.1109/ICDM.2008.17); the rarer class of
    the first version's rows is what they are to find, and labels only set the line: as many rows
    lie above it as are of that class. Incremental adds a group of trees and sets the line anew;
    hybrid grows the oldest group anew.
    """

    name = "sklearn.isolation_forest"
    tasks = frozenset({Task.BINARY})
    passed = {"n_estimators": 100, "max_samples": 256, "max_features": 1.0, "bootstrap": False}
    own = {"added_estimators": (20, 1, 10_000)}

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return Estimator(**self.passed_of(settings), random_state=seed)

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """A group of trees for each update, and ``line``."""
        return list(state.groups) if state else [FIRST, "line"]

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """The group of trees to add, and the line."""
        return [next_group(state) if state else FIRST, "line"]

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The oldest group of trees."""
        return tree_groups(state)[:1] if state else [FIRST]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        assert rows.classes is not None  # noqa: S101 - train() saw to it
        parent = None if job.strategy is Strategy.FULL else self.parent_of(job)
        if parent is None:
            sizes = {FIRST: job.settings["n_estimators"]}
            rare = int(np.argmin(np.bincount(rows.y, minlength=2)))
        else:
            trees = [group for group in job.trainable_groups if group != "line"]
            check_tree_groups(replace(job, trainable_groups=trees), parent)
            sizes = {next_group(parent): job.settings["added_estimators"]}
            if job.strategy is Strategy.HYBRID:
                sizes = {g: len(parent.tensors[f"{g}.sizes"]) for g in job.key_groups}
            rare = int(parent.architecture["rare"])
        salt = len(parent.groups) if parent else 0
        seed = int(np.random.SeedSequence([job.seed, salt]).generate_state(1)[0])
        tensors = dict(parent.tensors) if parent else {}
        groups = dict(parent.groups) if parent else {}
        for number, (group, size) in enumerate(sizes.items()):
            job.progress(number, len(sizes))
            settings = {**job.settings, "n_estimators": size}
            grown = self.estimator(job.task, settings, seed + number).fit(rows.x)
            made = _tensors(group, grown)
            tensors |= made
            groups[group] = list(made)
        job.progress(len(sizes), len(sizes))
        architecture = {**self.architecture(rows, job), "rare": rare}
        state = State(architecture, tensors, groups)
        still = job.strategy is Strategy.INCREMENTAL and "line" not in job.trainable_groups
        if not still:
            scores = self._scores(state, rows.x)
            share = float(np.mean(rows.y == rare))
            tensors["line"] = np.asarray(np.quantile(scores, 1 - share))
        groups["line"] = ["line"]
        state = State(architecture, tensors, groups)
        return Fitted(state, [loss_of(self.load(state)(rows.x), rows.y)], True)

    def load(self, state: State) -> Scorer:
        """A function that gives how rare a row is as a share: a half lies on the line."""
        classes, rare = state.architecture["classes"], int(state.architecture["rare"])
        line = float(self.shape(state, "line"))
        trees = self._trees(state)

        def scorer(x: Floats) -> Predictions:
            score = _score(trees, x)
            # Below the line 0 to a half, above it a half to 1: a rank, no frequency.
            low = 0.5 * score / max(line, 1e-12)
            high = 0.5 + 0.5 * (score - line) / max(1 - line, 1e-12)
            share = np.clip(np.where(score <= line, low, high), 0.0, 1.0)
            shares = np.column_stack([share, 1 - share] if rare == 0 else [1 - share, share])
            return class_predictions(classes, shares)

        return scorer

    def _scores(self, state: State, x: Floats) -> Floats:
        return _score(self._trees(state), x)

    def _trees(self, state: State) -> list[dict[str, Array]]:
        found = []
        for group in tree_groups(state):
            sizes = self.shape(state, f"{group}.sizes", None).astype(np.int64)
            total = int(sizes.sum())
            arrays = {
                field: self.shape(state, f"{group}.{field}", total)
                for field in ("left", "right", "feature", "threshold", "depth")
            }
            check_nodes(
                self.name, sizes, arrays["left"], arrays["right"], arrays["feature"],
                state.architecture["n_features"],
            )  # fmt: skip
            scale = self.shape(state, f"{group}.scale", len(sizes))
            ends = np.cumsum(sizes)
            for number, (size, end) in enumerate(zip(sizes, ends, strict=True)):
                tree = {field: array[end - size : end] for field, array in arrays.items()}
                found.append({**tree, "scale": scale[number]})
        return found


def _tensors(group: str, grown: Any) -> dict[str, Array]:
    """Trees as flat arrays; ``depth`` is that of a leaf and of what it would take to part its
    rows, ``scale`` the mean depth of a tree on as many rows."""
    trees = [tree.tree_ for tree in grown.estimators_]
    features = grown.estimators_features_
    leaf = np.concatenate([tree.children_left == -1 for tree in trees])

    def joined(field: str) -> Array:
        return np.concatenate([getattr(tree, field) for tree in trees])

    feature = np.concatenate(
        [np.where(tree.feature >= 0, own[np.maximum(tree.feature, 0)], 0)
         for tree, own in zip(trees, features, strict=True)]
    )  # fmt: skip
    depth = [_depths(tree) + _mean_depth(tree.n_node_samples.astype(float)) for tree in trees]
    return {
        f"{group}.sizes": np.array([tree.node_count for tree in trees], dtype=np.int32),
        f"{group}.left": np.where(leaf, 0, joined("children_left")).astype(np.int32),
        f"{group}.right": np.where(leaf, 0, joined("children_right")).astype(np.int32),
        f"{group}.feature": np.where(leaf, 0, feature).astype(np.int32),
        f"{group}.threshold": np.where(leaf, 0.0, joined("threshold")),
        f"{group}.depth": np.where(leaf, np.concatenate(depth), 0.0),
        f"{group}.scale": np.full(
            len(trees), float(_mean_depth(np.array([grown.max_samples_]))[0])
        ),
    }


def _depths(tree: Any) -> Floats:
    """How many questions lead to each node."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # parents come before their children
        for child in (tree.children_left[node], tree.children_right[node]):
            if child != -1:
                depth[child] = depth[node] + 1
    return depth


def _mean_depth(rows: Array) -> Floats:
    """Mean depth of an unsuccessful search in a tree of so many rows (Preiss 1999)."""
    rows = np.asarray(rows, dtype=np.float64)
    many = np.maximum(rows, 3)
    deep = 2 * (np.log(many - 1) + _EULER) - 2 * (many - 1) / many
    return np.asarray(np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, deep)))


def _score(trees: list[dict[str, Array]], x: Floats) -> Floats:
    """How rare each row is, above 0 and at most 1: 2 to the minus mean depth over its scale."""
    single, total = x.astype(np.float32), np.zeros(len(x))
    for tree in trees:
        at = np.zeros(len(x), np.int64)
        open_ = tree["left"][at] != 0
        while open_.any():
            here = at[open_]
            goes = single[open_, tree["feature"][here]] <= tree["threshold"][here]
            at[open_] = np.where(goes, tree["left"][here], tree["right"][here])
            open_ = tree["left"][at] != 0
        total += tree["depth"][at] / max(float(tree["scale"]), 1e-12)
    return np.asarray(2.0 ** -(total / len(trees)))
