"""Small problems that every adapter can learn."""

import copy
import functools
import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine

from tidegate.domain.metrics import Task
from tidegate.training.adapter import Job, adapter, train


@dataclass(frozen=True)
class Problem:
    """Rows to learn first, and rows that come later."""

    task: Task
    x: Any
    y: Any
    later_x: Any
    later_y: Any


def _problem(task, data, target):
    x = (data - data.mean(axis=0)) / data.std(axis=0)
    order = np.random.default_rng(0).permutation(len(x))
    half = len(x) // 2
    first, later = order[:half], order[half:]
    return Problem(task, x[first], target[first], x[later], target[later])


def problem(task):
    """Wine for two and three classes, diabetes for a number."""
    if task is Task.REGRESSION:
        data = load_diabetes()
        scaled = (data.target - data.target.mean()) / data.target.std()
        return _problem(task, data.data, scaled)
    data = load_wine() if task is Task.MULTICLASS else load_iris()
    names = np.array(["a", "b", "c"])[data.target]
    if task is Task.MULTICLASS:
        return _problem(task, data.data, names)
    kept = data.target > 0  # versicolor and virginica: not perfectly separable
    return _problem(task, data.data[kept], names[kept])


def cases():
    """Every trained adapter with each task it does."""
    from tidegate.training.adapter import known_adapters

    for name in known_adapters():
        if name != "tensors" and _installed(name):
            for task in sorted(adapter(name).tasks):
                yield pytest.param(name, task, id=f"{name.removeprefix('sklearn.')}-{task}")


def _installed(name):
    """Whether what an adapter of an extra needs is there."""
    library = name if name in ("torch", "xgboost", "lightgbm") else "sklearn"
    return importlib.util.find_spec(library) is not None


#: Small ensembles and few passes: what is tested here does not depend on their size.
SETTINGS = {
    "sklearn.hist_gradient_boosting": {"max_iter": 12, "added_iter": 4},
    "sklearn.random_forest": {"n_estimators": 10, "added_estimators": 4},
    "sklearn.mlp": {"max_iter": 60},
    "sklearn.kmeans": {"n_clusters": 12},
    "torch": {"epochs": 60, "learning_rate": 0.01, "batch_rows": 16},
    "xgboost": {"n_estimators": 20, "added_estimators": 4},
    "lightgbm": {"n_estimators": 30, "added_estimators": 4, "min_data_in_leaf": 5},
    "sklearn.mlp_regressor": {"max_iter": 60},
}


def settings_of(name):
    return SETTINGS.get(name, {})


def pytest_generate_tests(metafunc):
    if {"name", "task"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("name", "task"), list(cases()))


@functools.cache
def _learned(name, task):
    found = problem(task)
    job = Job(task=task, settings=settings_of(name), seed=3)
    return found, train(adapter(name), found.x, found.y, job)


@pytest.fixture
def learned(name, task):
    """The problem, and the adapter's first version of it: trained once, then copied."""
    return copy.deepcopy(_learned(name, task))
