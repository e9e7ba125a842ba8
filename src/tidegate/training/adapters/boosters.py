"""What boosting libraries share: structures and leaves of trees as groups of their own."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tidegate.domain.errors import Incompatible, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.trees import next_group, tree_groups
from tidegate.training.base import CLASSIFICATION, REGRESSION, BaseAdapter, Own
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

BASE = "base"


class Grown(NamedTuple):
    """One tree: what it asks (``structure``) and what its leaves answer, as flat arrays."""

    structure: dict[str, Array]
    leaves: dict[str, Array]


class Boosted(BaseAdapter, ABC):
    """Groups ``base`` (where all answers begin) and for each update ``trees.0`` and ``leaves.0``,
    ``trees.1`` and ``leaves.1``, ...: the questions, and the answers at their ends.

    Incremental appends ``added_estimators`` rounds of trees and leaves what stands as it is.
    Hybrid keeps all questions and fits all answers anew to the new rows, then appends as many
    rounds.
    """

    tasks = CLASSIFICATION | REGRESSION
    keeps_missing = True
    own: dict[str, Own] = {
        "n_estimators": (100, 1, 100_000), "added_estimators": (20, 1, 100_000),
        "patience": (0, 0, 100_000), "validation_share": (0.1, 0.01, 0.5),
    }  # fmt: skip
    searched = {
        "learning_rate": Range(low=0.02, high=0.3, log=True),
        "n_estimators": Range(low=30, high=400, log=True),
    }

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``base``, and two groups for each update."""
        return list(state.groups) if state else [BASE, "trees.0", "leaves.0"]

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """The trees to add, and their leaves."""
        group = next_group(state) if state else "trees.0"
        return [group, _leaves_of(group)]

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The leaves of all trees."""
        return [_leaves_of(group) for group in tree_groups(state)] if state else ["leaves.0"]

    @abstractmethod
    def answers(self, model: Any, x: Floats) -> Floats:
        """What a model says: a value a row, the second class's probability, or all of them."""

    @abstractmethod
    def grow(self, rows: Rows, job: Job, standing: Any, rounds: int) -> tuple[Any, list[float]]:
        """A model of so many more rounds, and the loss after each of them."""

    @abstractmethod
    def refit(self, rows: Rows, job: Job, standing: Any) -> Any:
        """The same model with its leaves fitted to these rows."""

    @abstractmethod
    def taken_apart(self, model: Any) -> tuple[dict[str, Array], list[Grown]]:
        """Where a model's answers begin, and its trees."""

    @abstractmethod
    def put_together(self, state: State, trees: list[Grown]) -> Any:
        """The model again; raises Incompatible where its arrays do not fit together."""

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        model, classes = self.model_of(state), state.architecture.get("classes")
        if classes is None:
            return lambda x: Predictions(values=self.answers(model, x))
        if len(classes) == 2:
            return lambda x: class_predictions(classes, _both(self.answers(model, x)))
        return lambda x: class_predictions(classes, self.answers(model, x))

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        if job.strategy is Strategy.FULL:
            model, curve = self.grow(rows, job, None, job.settings["n_estimators"])
            base, trees = self.taken_apart(model)
            architecture = self.architecture(rows, job)
            tensors, groups = dict(base), {BASE: list(base)}
            _add(tensors, groups, "trees.0", trees)
            return Fitted(State(architecture, tensors, groups), curve, True)
        parent = self.parent_of(job)
        self._check(job, parent)
        standing = self.model_of(parent)
        tensors, groups = dict(parent.tensors), dict(parent.groups)
        if job.strategy is Strategy.HYBRID:
            standing = self.refit(rows, job, standing)
            _, trees = self.taken_apart(standing)
            for group in tree_groups(parent):
                count = len(parent.tensors[f"{group}.sizes"])
                tensors |= _packed(_leaves_of(group), [tree.leaves for tree in trees[:count]])
                trees = trees[count:]
        before = sum(len(parent.tensors[f"{group}.sizes"]) for group in tree_groups(parent))
        model, curve = self.grow(rows, job, standing, job.settings["added_estimators"])
        _, trees = self.taken_apart(model)
        _add(tensors, groups, next_group(parent), trees[before:])
        return Fitted(State(parent.architecture, tensors, groups), curve, True)

    def model_of(self, state: State) -> Any:
        """The library's own model of stored trees."""
        return self.put_together(state, self._trees(state))

    def _check(self, job: Job, parent: State) -> None:
        wanted = self.trainable_groups(job.task, parent, job.settings)
        if job.strategy is Strategy.INCREMENTAL and sorted(job.trainable_groups) != sorted(wanted):
            raise WrongUsage(
                "trees that stand do not move: an incremental update adds the group '{group}'",
                do="leave trainable_groups out, or use a hybrid update to grow a group anew",
                group=wanted[0],
            )
        keys = self.key_groups(job.task, parent)
        if job.strategy is Strategy.HYBRID and sorted(job.key_groups) != sorted(keys):
            raise WrongUsage(
                "a hybrid update fits all leaves anew, since each tree answers for what those "
                "before it leave over: {groups}",
                do="leave key_groups out",
                groups=keys,
            )

    def _trees(self, state: State) -> list[Grown]:
        found: list[Grown] = []
        for group in tree_groups(state):
            leaves = _leaves_of(group)
            structure = _unpacked(self, state, group)
            answers = _unpacked(self, state, leaves)
            if len(structure) != len(answers):
                raise _altered(self.name)
            found += [Grown(s, a) for s, a in zip(structure, answers, strict=True)]
        return found


def held_out(rows: Rows, job: Job) -> tuple[Rows, Rows | None]:
    """The rows to learn from, and those that tell when to stop; none without ``patience``."""
    if not job.settings["patience"]:
        return rows, None
    order = np.random.default_rng(job.seed).permutation(len(rows.x))
    count = max(1, round(len(order) * job.settings["validation_share"]))
    return tuple(  # type: ignore[return-value]
        replace(rows, x=rows.x[part], y=rows.y[part])
        for part in (np.sort(order[count:]), np.sort(order[:count]))
    )


def altered(adapter: str, sound: bool) -> None:
    """Raise Incompatible unless ``sound``: following the nodes would not end at a leaf."""
    if not sound:
        raise _altered(adapter)


def _altered(adapter: str) -> Incompatible:
    return Incompatible(
        "adapter '{adapter}' found a tree whose nodes lead nowhere",
        do="take the parameters from their source again; these were altered",
        adapter=adapter,
    )


def _both(right: Floats) -> Floats:
    return np.column_stack([1 - right, right])


def _leaves_of(group: str) -> str:
    return group.replace("trees.", "leaves.")


def _add(
    tensors: dict[str, Array], groups: dict[str, list[str]], group: str, trees: list[Grown]
) -> None:
    for name, parts in (
        (group, [tree.structure for tree in trees]),
        (_leaves_of(group), [tree.leaves for tree in trees]),
    ):
        made = _packed(name, parts)
        tensors |= made
        groups[name] = list(made)


def _packed(group: str, parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Trees one after the other, and how many values of each field are each one's."""
    made: dict[str, Array] = {}
    for field in parts[0]:
        made[f"{group}.{field}"] = np.concatenate([part[field] for part in parts])
    first = next(iter(parts[0]))
    made[f"{group}.sizes"] = np.array([len(part[first]) for part in parts], dtype=np.int32)
    for field in parts[0]:
        lengths = np.array([len(part[field]) for part in parts], dtype=np.int32)
        if not np.array_equal(lengths, made[f"{group}.sizes"]):
            made[f"{group}.{field}.sizes"] = lengths
    return made


def _unpacked(how: BaseAdapter, state: State, group: str) -> list[dict[str, Array]]:
    prefix = f"{group}."
    fields = [name.removeprefix(prefix) for name in state.groups.get(group, [])]
    common = how.shape(state, f"{group}.sizes", None).astype(np.int64)
    made: list[dict[str, Array]] = [{} for _ in common]
    for field in fields:
        if field == "sizes" or field.endswith(".sizes"):
            continue
        own = f"{group}.{field}.sizes"
        sizes = common
        if own in state.tensors:
            sizes = how.shape(state, own, len(common)).astype(np.int64)
        if (sizes < 0).any():
            raise _altered(how.name)
        array = how.shape(state, f"{group}.{field}", int(sizes.sum()))
        for tree, part in zip(made, np.split(array, np.cumsum(sizes)[:-1]), strict=True):
            tree[field] = part
    return made
