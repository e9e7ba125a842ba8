"""Random forests: trees are independent, so an update adds some or grows some anew."""

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.tree._tree import Tree

from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import (
    SklearnAdapter,
    loss_of,
)
from tidegate.training.adapters.trees import (
    FIRST,
    check_nodes,
    check_tree_groups,
    next_group,
    tree_groups,
)
from tidegate.training.base import CLASSIFICATION, REGRESSION
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

#: Trees grown between two reports of progress.
_CHUNK = 10


class RandomForest(SklearnAdapter):
    """Groups ``trees.0``, ``trees.1``, ... one for each update.

    Incremental adds a group of trees grown on the new rows; every tree has one vote, so the
    sizes of the groups weigh old against new. Hybrid grows the key groups anew, as many trees
    as before, and leaves the others as they are.
    """

    name = "sklearn.random_forest"
    tasks = CLASSIFICATION | REGRESSION
    keeps_missing = True
    passed = {
        "n_estimators": 100, "max_depth": None, "min_samples_leaf": 1, "min_samples_split": 2,
        "max_features": "sqrt", "max_leaf_nodes": None, "max_samples": None, "bootstrap": True,
        "class_weight": None,
    }  # fmt: skip
    own = {"added_estimators": (20, 1, 10_000)}
    searched = {"min_samples_leaf": Range(low=1, high=50, log=True)}

    def defaults(self, task: Task) -> dict[str, Any]:
        """Every setting and its default; regression has no class weights."""
        known = super().defaults(task)
        if task is Task.REGRESSION:
            return {**{k: v for k, v in known.items() if k != "class_weight"}, "max_features": 1.0}
        return known

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        passed = {name: settings[name] for name in self.passed if name in settings}
        made = RandomForestRegressor if task is Task.REGRESSION else RandomForestClassifier
        return made(**passed, random_state=seed)

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """A group of trees for each update."""
        return list(state.groups) if state else [FIRST]

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """The group of trees to add."""
        return [next_group(state) if state else FIRST]

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The oldest group of trees that an update has not grown anew since: the first."""
        return tree_groups(state)[:1] if state else [FIRST]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        outputs = len(rows.classes) if rows.classes is not None else 1
        if job.strategy is Strategy.FULL:
            parent, sizes = None, {FIRST: job.settings["n_estimators"]}
        else:
            parent = self.parent_of(job)
            check_tree_groups(job, parent)
            sizes = {next_group(parent): job.settings["added_estimators"]}
            if job.strategy is Strategy.HYBRID:
                sizes = {g: len(parent.tensors[f"{g}.sizes"]) for g in job.key_groups}
        trees = self._grown(
            rows, job, sum(sizes.values()), salt=len(parent.groups) if parent else 0
        )
        tensors = dict(parent.tensors) if parent else {}
        groups = dict(parent.groups) if parent else {}
        for group, size in sizes.items():
            made = _tree_tensors(group, trees[:size], outputs)
            trees = trees[size:]
            tensors |= made
            groups[group] = list(made)
        state = State(self.architecture(rows, job), tensors, groups)
        return Fitted(state, [loss_of(self.load(state)(rows.x), rows.y)], True)

    def _grown(self, rows: Rows, job: Job, count: int, salt: int) -> list[tuple[Any, Array]]:
        """New trees, each with the codes of the classes its values stand for."""
        # A seed of its own for each update, or it would draw the rows its parent drew.
        seed = int(np.random.SeedSequence([job.seed, salt]).generate_state(1)[0])
        settings = {**job.settings, "n_estimators": 0}
        estimator = self.estimator(job.task, settings, seed)
        estimator.warm_start = True  # in chunks the trees are the same as in one go
        job.progress(0, count)
        while estimator.n_estimators < count:
            estimator.n_estimators = min(estimator.n_estimators + _CHUNK, count)
            estimator.fit(rows.x, rows.y)
            job.progress(estimator.n_estimators, count)
        present = getattr(estimator, "classes_", np.zeros(1)).astype(np.int64)
        return [(tree.tree_, present) for tree in estimator.estimators_]

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        classes = state.architecture.get("classes")
        outputs = 1 if classes is None else len(classes)
        trees = [
            tree for group in tree_groups(state) for tree in self._trees(state, group, outputs)
        ]
        if classes is None:
            return lambda x: Predictions(values=_mean(trees, x, outputs)[:, 0])
        return lambda x: class_predictions(classes, _mean(trees, x, outputs))

    def _trees(self, state: State, group: str, outputs: int) -> list[Any]:
        """A group's trees in scikit-learn's own terms."""
        features = state.architecture["n_features"]
        sizes = self.shape(state, f"{group}.sizes", None).astype(np.int64)
        total = int(sizes.sum())
        left, right, feature, threshold, missing = (
            self.shape(state, f"{group}.{field}", total)
            for field in ("left", "right", "feature", "threshold", "missing_left")
        )
        check_nodes(self.name, sizes, left, right, feature, features)
        leaf = left == 0
        value = np.zeros((total, 1, outputs))
        value[leaf, 0] = self.shape(state, f"{group}.value", int(leaf.sum()), outputs)
        nodes = np.zeros(total, dtype=_node_dtype())
        nodes["left_child"] = np.where(leaf, -1, left)
        nodes["right_child"] = np.where(leaf, -1, right)
        nodes["feature"] = np.where(leaf, -2, feature)
        nodes["threshold"] = np.where(leaf, -2.0, threshold)
        nodes["missing_go_to_left"] = missing
        ends = np.cumsum(sizes)
        return [
            _tree(nodes[end - size : end], value[end - size : end], features, outputs)
            for size, end in zip(sizes, ends, strict=True)
        ]


def _node_dtype() -> np.dtype[Any]:
    """scikit-learn's record of a node, as the installed version lays it out."""
    bare = Tree(1, np.array([1], dtype=np.intp), 1)
    return np.asarray(bare.__getstate__()["nodes"]).dtype


def _tree(nodes: Array, value: Array, features: int, outputs: int) -> Any:
    tree = Tree(features, np.array([outputs], dtype=np.intp), 1)
    # What scikit-learn copies a tree with; these are plain arrays, checked above.
    tree.__setstate__(
        {
            "max_depth": 0,  # only told to people
            "node_count": len(nodes),
            "nodes": np.ascontiguousarray(nodes),
            "values": np.ascontiguousarray(value),
        }
    )
    return tree


def _mean(trees: list[Any], x: Floats, outputs: int) -> Floats:
    """The trees' mean answer ``(n_rows, n_outputs)``, added up as scikit-learn does."""
    single = x.astype(np.float32)
    total = np.zeros((len(x), outputs))
    for tree in trees:
        total += tree.predict(single).reshape(len(x), outputs)
    return total / len(trees)


def _tree_tensors(group: str, trees: list[tuple[Any, Array]], outputs: int) -> dict[str, Array]:
    """Trees as flat arrays, one after the other; values in leaves only."""

    def joined(field: str) -> Array:
        return np.concatenate([getattr(tree, field) for tree, _ in trees])

    leaf = joined("children_left") == -1
    values = []
    for tree, present in trees:
        full = np.zeros((tree.node_count, outputs))
        full[:, present if outputs > 1 else [0]] = tree.value[:, 0, :]
        values.append(full)
    missing = np.concatenate([tree.missing_go_to_left for tree, _ in trees]) != 0
    return {
        f"{group}.sizes": np.array([tree.node_count for tree, _ in trees], dtype=np.int32),
        f"{group}.left": np.where(leaf, 0, joined("children_left")).astype(np.int32),
        f"{group}.right": np.where(leaf, 0, joined("children_right")).astype(np.int32),
        f"{group}.feature": np.where(leaf, 0, joined("feature")).astype(np.int32),
        f"{group}.threshold": np.where(leaf, 0.0, joined("threshold")),
        f"{group}.missing_left": missing & ~leaf,
        f"{group}.value": np.concatenate(values)[leaf],
    }
