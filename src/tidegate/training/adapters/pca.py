"""Principal components before another model: the directions stay, what is learned on them moves."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.linear import Ridge
from tidegate.training.adapters.logistic import LogisticRegression
from tidegate.training.adapters.scikit import SCIKIT_LEARN, SklearnAdapter
from tidegate.training.base import BaseAdapter
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUP = "pca"


class _PcaThen(BaseAdapter):
    """Groups ``pca`` (mean and components) and those of the model behind it.

    ``n_components``: how many; below 1 as many as explain that share of the variance.

    ``pca`` moves in a full update alone: other directions would mean something else to every
    value behind them. Incremental and hybrid updates are those of the model behind.
    """

    inner: SklearnAdapter
    libraries = {"scikit-learn": SCIKIT_LEARN}
    own = {"n_components": (0.95, 0.01, 10_000.0)}
    structural = frozenset({"n_components"})

    def defaults(self, task: Task) -> dict[str, Any]:
        """Every setting and its default, those of the model behind included."""
        return {**super().defaults(task), **self.inner.defaults(task)}

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        super().check_settings(task, settings)
        self.inner.check_settings(task, _behind(settings))

    def space(self, task: Task) -> dict[str, Range]:
        """Settings worth searching, and their ranges."""
        return self.inner.space(task)

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``pca`` and the groups of the model behind."""
        behind = None if state is None else _state_behind(state)
        return [GROUP, *self.inner.group_names(task, behind)]

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """Those of the model behind."""
        behind = None if state is None else _state_behind(state)
        return self.inner.trainable_groups(task, behind, _behind(settings))

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """Those of the model behind."""
        return self.inner.key_groups(task, None if state is None else _state_behind(state))

    def blended(self, state: State) -> list[str]:
        """Those of the model behind."""
        return self.inner.blended(_state_behind(state))

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        if GROUP in (*job.trainable_groups, *job.key_groups):
            raise WrongUsage(
                "group '{group}' cannot move alone: every value behind it rests on it",
                do="use a full update, which finds the directions anew",
                group=GROUP,
            )
        if job.strategy is Strategy.FULL:
            asked, most = job.settings["n_components"], min(rows.x.shape)
            count = asked if asked < 1 else int(asked)
            if count > most:
                raise DataError(
                    "{rows} rows of {features} features have no {count} principal components",
                    do="set n_components to {most} or less",
                    rows=len(rows.x),
                    features=rows.x.shape[1],
                    count=count,
                    most=most,
                )
            found = PCA(count, svd_solver="full").fit(rows.x)
            first: dict[str, Array] = {
                "pca.mean": np.array(found.mean_),
                "pca.components": np.array(found.components_),
            }
            parent = None
        else:
            whole = self.parent_of(job)
            parent = _state_behind(whole)
            first = whole.of_group(GROUP)
        x = _projected(rows.x, first["pca.mean"], first["pca.components"])
        settings = _behind(job.settings)
        fit = self.inner.fit(replace(rows, x=x), replace(job, parent=parent, settings=settings))
        architecture = {**self.architecture(rows, job), "behind": fit.state.architecture}
        state = State(
            architecture,
            {**first, **fit.state.tensors},
            {GROUP: list(first), **fit.state.groups},
        )
        return replace(fit, state=state)

    def load(self, state: State) -> Scorer:
        """As the model behind answers."""
        features = state.architecture["n_features"]
        components = self.shape(state, "pca.components", None, features)
        mean = self.shape(state, "pca.mean", features)
        behind = self.inner.load(_state_behind(state))
        return lambda x: behind(_projected(x, mean, components))


class PcaLogisticRegression(_PcaThen):
    """Logistic regression on principal components."""

    name = "sklearn.pca_logistic_regression"
    inner = LogisticRegression()
    tasks = inner.tasks


class PcaRidge(_PcaThen):
    """Ridge regression on principal components."""

    name = "sklearn.pca_ridge"
    inner = Ridge()
    tasks = inner.tasks


def _behind(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "n_components"}


def _state_behind(state: State) -> State:
    first = state.groups.get(GROUP, [])
    return State(
        state.architecture["behind"],
        {name: array for name, array in state.tensors.items() if name not in first},
        {group: names for group, names in state.groups.items() if group != GROUP},
    )


def _projected(x: Floats, mean: Array, components: Array) -> Floats:
    return np.ascontiguousarray((x - mean) @ components.T)
