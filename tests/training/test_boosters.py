"""XGBoost and LightGBM: trees as arrays and back, and what updates leave as it is."""

import dataclasses

import numpy as np
import pytest

from tidegate.domain.errors import Incompatible, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapter import Job, State, adapter, load, train
from tidegate.training.steps import moved_tensors

NAMES = ["xgboost", "lightgbm"]
QUICK = {"n_estimators": 12, "added_estimators": 4}


@pytest.fixture(params=NAMES)
def library(request):
    pytest.importorskip(request.param, reason="the extra 'boosting' is not installed")
    return request.param


def rows(task, seed=0, count=500):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 5))
    x[rng.random(x.shape) < 0.05] = np.nan
    told = np.nan_to_num(x[:, 1]) + 0.3 * rng.normal(size=count)
    if task is Task.REGRESSION:
        return x, 100 + 20 * told
    edges = [0.0] if task is Task.BINARY else [-0.5, 0.5]
    return x, np.array(["a", "b", "c"])[np.digitize(told, edges)]


def learn(library, task=Task.BINARY, parent=None, strategy=Strategy.FULL, seed=0, **job):
    settings = {**QUICK, **job.pop("settings", {})}
    x, y = rows(task, seed)
    asked = Job(task=task, strategy=strategy, parent=parent, settings=settings, seed=3, **job)
    return train(adapter(library), x, y, asked)


def loss(library, state, task, seed):
    x, y = rows(task, seed)
    found = load(library, state).predict(x)
    if task is Task.REGRESSION:
        return np.abs(found.values - y).mean()
    return np.mean(found.values != y)


@pytest.mark.parametrize("task", Task)
def test_it_answers_as_the_library_does_to_the_bit(library, task, monkeypatch):
    how = adapter(library)
    kept, grow = [], how.grow

    def watched(*args):
        model, curve = grow(*args)
        kept.append(model)
        return model, curve

    monkeypatch.setattr(how, "grow", watched)
    state = learn(library, task).state
    x, _ = rows(task, 9)
    original = kept[0].inplace_predict(x) if library == "xgboost" else kept[0].predict(x)
    found = load(library, state).predict(x)
    if task is Task.REGRESSION:
        assert np.array_equal(found.values, original.astype(float))
    elif task is Task.BINARY:
        assert np.array_equal(found.probabilities[:, 1], original.astype(float))
    else:
        assert np.array_equal(found.probabilities, original.astype(float))


@pytest.mark.parametrize("task", Task)
def test_an_incremental_update_appends_and_leaves_what_stands(library, task):
    first = learn(library, task).state
    child = learn(library, task, first, Strategy.INCREMENTAL, 1).state
    assert list(child.groups) == ["base", "trees.0", "leaves.0", "trees.1", "leaves.1"]
    assert all(not moved_tensors(first, child, group) for group in first.groups)
    assert len(child.tensors["trees.1.sizes"]) == 4 * (3 if task is Task.MULTICLASS else 1)
    assert loss(library, child, task, 2) <= 1.02 * loss(library, first, task, 2) + 0.01
    third = learn(library, task, child, Strategy.INCREMENTAL, 3).state
    assert "trees.2" in third.groups


@pytest.mark.parametrize("task", Task)
def test_a_hybrid_update_keeps_the_questions_and_fits_the_answers_anew(library, task):
    first = learn(library, task).state
    child = learn(library, task, first, Strategy.HYBRID, 1).state
    assert not moved_tensors(first, child, "trees.0")
    assert moved_tensors(first, child, "leaves.0")
    assert "trees.1" in child.groups
    assert loss(library, child, task, 2) < 0.5 * (30 if task is Task.REGRESSION else 0.9)


def test_the_same_seed_gives_the_same_bits(library):
    settings = {"subsample": 0.7} if library == "xgboost" else {"bagging_fraction": 0.7,
                                                             "bagging_freq": 1}  # fmt: skip
    one, two = learn(library, settings=settings).state, learn(library, settings=settings).state
    assert all(np.array_equal(one.tensors[n], two.tensors[n]) for n in one.tensors)


def test_it_stops_where_the_loss_no_longer_falls(library):
    long = {"n_estimators": 400, "learning_rate": 0.5, "patience": 5}
    fitted = learn(library, settings=long)
    assert len(fitted.state.tensors["trees.0.sizes"]) < 400
    assert len(fitted.curve) < 400
    child = learn(library, parent=fitted.state, strategy=Strategy.INCREMENTAL, seed=1,
                  settings={**long, "added_estimators": 50}).state  # fmt: skip
    assert not moved_tensors(fitted.state, child, "trees.0")


def test_groups_that_cannot_move(library):
    first = learn(library).state
    with pytest.raises(WrongUsage, match="trees that stand do not move"):
        learn(library, parent=first, strategy=Strategy.INCREMENTAL, trainable_groups=["trees.0"])
    with pytest.raises(WrongUsage, match="fits all leaves anew"):
        learn(library, parent=first, strategy=Strategy.HYBRID, key_groups=["base"])


FIELDS = {
    "xgboost": ["trees.0.left", "trees.0.right", "trees.0.feature", "trees.0.sizes",
                "trees.0.output", "leaves.0.value", "leaves.0.cover", "base"],
    "lightgbm": ["trees.0.left_child", "trees.0.right_child", "trees.0.split_feature",
                 "trees.0.sizes", "trees.0.decision_type", "leaves.0.leaf_value"],
}  # fmt: skip


def test_altered_arrays_never_reach_compiled_code(library):
    """Every field with a wild value, a value less or one more: refused, or as harmless as data."""
    state = learn(library).state
    x, _ = rows(Task.BINARY, 1)
    for field in FIELDS[library]:
        array = state.tensors[field]
        wild = array.copy()
        wild.flat[0] = np.iinfo(array.dtype).max if array.dtype.kind == "i" else np.nan
        for other in (wild, array[:-1], np.append(array, array[-1:])):
            changed = State(state.architecture, {**state.tensors, field: other}, state.groups)
            try:
                answers = load(library, changed).predict(x)
            except Incompatible:
                continue
            assert len(answers.values) == len(x)


def test_a_tree_that_leads_in_a_circle_is_refused(library):
    state = learn(library).state
    field = FIELDS[library][0]
    array = state.tensors[field].copy()
    inner = np.flatnonzero(array > 0)
    array[inner[1]] = 1 if library == "xgboost" else 0
    changed = dataclasses.replace(state, tensors={**state.tensors, field: array})
    with pytest.raises(Incompatible, match="lead nowhere"):
        load(library, changed)


@pytest.mark.parametrize(
    ("library", "settings"),
    [("lightgbm", {"num_leaves": "31 objective=regression"}), ("lightgbm", {"num_leaves": 1}),
     ("lightgbm", {"bagging_fraction": 0}), ("lightgbm", {"learning_rate": "abc"}),
     ("xgboost", {"max_depth": -5}), ("xgboost", {"learning_rate": float("nan")}),
     ("xgboost", {"max_bin": 1}), ("xgboost", {"reg_lambda": -5})],
)  # fmt: skip
def test_settings_out_of_range_are_refused_before_training(library, settings):
    pytest.importorskip(library, reason="the extra 'boosting' is not installed")
    with pytest.raises(WrongUsage, match="cannot be"):
        adapter(library).check_settings(Task.BINARY, settings)
