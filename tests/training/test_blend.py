"""Parent and child averaged, and steps shortened to their budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapter import Job, State, adapter, train
from tidegate.training.blend import best_share, mixed, shortened
from tidegate.training.steps import relative_norm, same_bits

RIDGE = adapter("sklearn.ridge")
GROUPS = {"coef": ["coef"], "intercept": ["intercept"], "statistics": ["n"]}


def state(coef, intercept=0.0, n=10):
    tensors = {"coef": np.array(coef, float), "intercept": np.array([intercept]), "n": np.array(n)}
    return State({}, tensors, GROUPS)


def test_a_mixture_lies_between_and_its_ends_are_exact():
    old, new = state([1.0, 2.0]), state([3.0, 0.1], n=20)
    half = mixed(old, new, ["coef"], 0.5)
    assert half.tensors["coef"].tolist() == [2.0, 1.05]
    assert half.tensors["n"] == 20  # not of the group
    assert same_bits(mixed(old, new, ["coef"], 1.0).tensors["coef"], new.tensors["coef"])


def test_what_cannot_be_averaged_stays_the_childs():
    old = State({}, {"a": np.array([1.0]), "b": np.array([1])}, {"g": ["a", "b"]})
    new = State({}, {"a": np.array([2.0, 3.0]), "b": np.array([5])}, {"g": ["a", "b"]})
    assert mixed(old, new, ["g"], 0.5).tensors == new.tensors


@given(st.floats(0.001, 2.0), st.integers(0, 2**32 - 1))
def test_no_step_is_longer_than_its_budget(limit, seed):
    rng = np.random.default_rng(seed)
    old, new = state(rng.normal(size=5), 1.0), state(rng.normal(size=5) * 3, 1.5)
    child, cut = shortened(RIDGE, old, new, limit, [])
    for group in ("coef", "intercept"):
        step = relative_norm(old.of_group(group), child.of_group(group))
        assert step <= limit
        if group not in cut:
            assert same_bits(child.tensors[group], new.tensors[group])


def test_groups_that_start_anew_are_let_be():
    child, cut = shortened(RIDGE, state([1.0, 1.0]), state([9.0, 9.0]), 0.1, ["coef"])
    assert cut == []
    assert child.tensors["coef"].tolist() == [9.0, 9.0]


def test_the_best_share_wins_and_ties_go_to_the_child():
    old, new = state([0.0, 0.0]), state([4.0, 4.0])
    _, share = best_share(RIDGE, old, new, lambda s: -abs(s.tensors["coef"][0] - 2.0), [])
    assert share == 0.5
    assert best_share(RIDGE, old, new, lambda _s: 0.0, [])[1] == 1.0
    assert best_share(RIDGE, old, new, lambda _s: -np.inf, [])[1] == 0.25


def test_a_pull_keeps_a_perceptron_near():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 4)), rng.integers(0, 2, 300).astype(str)
    how, quick = adapter("sklearn.mlp_classifier"), {"max_iter": 20, "hidden_layer_sizes": [8]}
    first = train(how, x, y, Job(task=Task.BINARY, settings=quick)).state

    def step(pull):
        job = Job(task=Task.BINARY, strategy=Strategy.INCREMENTAL, parent=first, settings=quick,
                  trainable_groups=["layer.0", "layer.1"], pull=pull)  # fmt: skip
        child = train(how, x[::-1], y, job).state
        return relative_norm(first.of_group("layer.0"), child.of_group("layer.0"))

    assert step(100.0) < 0.7 * step(0.0)


@pytest.mark.parametrize("name", ["sklearn.ridge", "sklearn.mlp_classifier", "torch"])
def test_averaged_groups_are_groups(name):
    if name == "torch":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    how = adapter(name)
    task = Task.REGRESSION if name == "sklearn.ridge" else Task.BINARY
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = x[:, 0] if task is Task.REGRESSION else (x[:, 0] > 0).astype(int)
    made = train(how, x, y, Job(task=task)).state
    assert set(how.blended(made)) <= set(made.groups)
    assert how.blended(made)
