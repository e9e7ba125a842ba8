"""PyTorch modules: what moves, what stands still, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tidegate.domain.errors import DataError, Incompatible, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapter import Job, State, adapter, load, train
from tidegate.training.state import Saved
from tidegate.training.steps import group_steps, moved_tensors

pytest.importorskip("torch", reason="the extra 'torch' is not installed")

USERS = "modules_of_users"


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """As if the users' modules were a package of the environment."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield
    sys.modules.pop(USERS, None)


QUICK = {"epochs": 30, "update_epochs": 5, "batch_rows": 32, "learning_rate": 0.01}


def rows(seed=0, count=400, classes=3, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)) + shift
    y = np.argmax(x[:, :classes] + rng.normal(0, 0.2, (count, classes)), axis=1)
    return x, np.array(["a", "b", "c", "d"])[y]


def learn(parent=None, strategy=Strategy.FULL, seed=1, data=None, task=Task.MULTICLASS, **job):
    settings = {**QUICK, **job.pop("settings", {})}
    x, y = data or rows(seed)
    asked = Job(task=task, strategy=strategy, parent=parent, settings=settings, seed=7, **job)
    return train(adapter("torch"), x, y, asked)


def answers(state, x):
    return load("torch", state).predict(x)


def test_it_learns():
    first = learn()
    x, y = rows(99)
    assert np.mean(answers(first.state, x).values == y) > 0.85
    assert first.curve[-1] < first.curve[0]
    assert list(first.state.groups) == ["hidden.0", "hidden.1", "head"]


def test_numbers_are_learned_in_their_own_unit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    y = 1000 + 300 * x[:, 0] + rng.normal(0, 10, 500)
    first = learn(data=(x, y), task=Task.REGRESSION)
    assert np.abs(answers(first.state, x).values - y).mean() < 60
    assert first.state.groups["target"] == ["target.mean", "target.scale"]
    moved = learn(first.state, Strategy.INCREMENTAL, data=(x, y), task=Task.REGRESSION)
    assert not moved_tensors(first.state, moved.state, "target")


def test_the_same_seed_gives_the_same_bits():
    one, two = learn(), learn()
    assert all(
        np.array_equal(one.state.tensors[n], two.state.tensors[n]) for n in one.state.tensors
    )


@pytest.mark.parametrize("frozen", [["hidden.0"], ["hidden.0", "hidden.1"], ["head"]])
def test_frozen_groups_stand_still_to_the_last_bit(frozen):
    first = learn().state
    moving = [group for group in first.groups if group not in frozen]
    child = learn(first, Strategy.INCREMENTAL, 2, trainable_groups=moving).state
    assert all(not moved_tensors(first, child, group) for group in frozen)
    assert all(moved_tensors(first, child, group) for group in moving)


def test_statistics_of_a_frozen_batch_norm_stand_still():
    settings = {"factory": f"{USERS}:with_batch_norm"}
    first = learn(settings=settings).state
    assert first.groups["body.1"] == [
        "body.1.weight", "body.1.bias", "body.1.running_mean", "body.1.running_var",
        "body.1.num_batches_tracked",
    ]  # fmt: skip
    frozen = [group for group in first.groups if group != "head"]
    child = learn(first, Strategy.INCREMENTAL, 2, settings=settings, trainable_groups=["head"],
                  data=rows(2, shift=3.0)).state  # fmt: skip
    assert all(not moved_tensors(first, child, group) for group in frozen)


def test_a_hybrid_update_starts_key_groups_anew():
    first = learn().state
    child = learn(first, Strategy.HYBRID, 2, key_groups=["head"]).state
    steps = {step.group: step for step in group_steps(first, child, set())}
    assert steps["head"].relative_norm > 2 * steps["hidden.0"].relative_norm > 0


def test_groups_have_rates_of_their_own():
    first = learn().state
    settings = {"group_learning_rates": {"hidden.0": 0.0}}
    child = learn(first, Strategy.INCREMENTAL, 2, settings={**settings, "weight_decay": 0.0},
                  trainable_groups=["hidden.0", "head"]).state  # fmt: skip
    assert not moved_tensors(first, child, "hidden.0")
    assert moved_tensors(first, child, "head")


def test_groups_by_pattern():
    state = learn(patterns={"output": "head.*", "early": "hidden.0.*"}).state
    assert list(state.groups) == ["output", "early", "(others)"]
    with pytest.raises(WrongUsage, match="takes no tensor"):
        learn(patterns={"output": "haed.*"})


def test_low_rank_adapters_join_and_move_alone():
    first = learn().state
    settings = {"lora_rank": 2, "lora_targets": ["hidden.*"]}
    child = learn(first, Strategy.INCREMENTAL, 2, settings=settings).state
    assert child.groups["lora"] == [
        "hidden.0.lora_a", "hidden.0.lora_b", "hidden.1.lora_a", "hidden.1.lora_b",
    ]  # fmt: skip
    assert all(not moved_tensors(first, child, group) for group in first.groups)
    x, _ = rows(3)
    assert not np.array_equal(answers(first, x).probabilities, answers(child, x).probabilities)
    again = learn(child, Strategy.INCREMENTAL, 3, settings=settings).state
    assert moved_tensors(child, again, "lora")
    with pytest.raises(WrongUsage, match="lora_rank"):
        learn(child, Strategy.INCREMENTAL, 3, settings={"lora_rank": 4})
    with pytest.raises(WrongUsage, match="no linear layer"):
        learn(first, Strategy.INCREMENTAL, settings={"lora_rank": 2, "lora_targets": ["no"]})


def test_adapters_that_have_not_learned_change_nothing():
    first = learn(settings={"lora_rank": 2}).state
    bare = {n: a for n, a in first.tensors.items() if ".lora_" not in n}
    architecture = {k: v for k, v in first.architecture.items() if not k.startswith("lora")}
    groups = {g: names for g, names in first.groups.items() if g != "lora"}
    x, _ = rows(3)
    assert np.array_equal(
        answers(first, x).probabilities, answers(State(architecture, bare, groups), x).probabilities
    )


def test_a_pull_keeps_values_near_and_fisher_those_that_matter():
    first = learn().state
    every = list(first.groups)
    data = rows(2, shift=1.0)

    def step(**job):
        child = learn(first, Strategy.INCREMENTAL, data=data, trainable_groups=every, **job).state
        return sum(s.relative_norm for s in group_steps(first, child, set()))

    free, pulled = step(), step(pull=10.0)
    assert pulled < 0.7 * free
    assert step(pull=10.0, fisher=True, remembered=rows(1)[0]) < free


def test_a_step_budget_holds_in_training():
    first = learn().state
    child = learn(first, Strategy.INCREMENTAL, 2, trainable_groups=list(first.groups),
                  limit=0.01).state  # fmt: skip
    for step in group_steps(first, child, set()):
        assert 0 < step.relative_norm <= 0.01


def test_new_classes_grow_the_output():
    first = learn().state
    x, y = rows(5, classes=4)
    child = learn(first, Strategy.INCREMENTAL, data=(x, y), trainable_groups=list(first.groups),
                  settings={"update_epochs": 40}).state  # fmt: skip
    assert child.architecture["classes"] == ["a", "b", "c", "d"]
    assert np.mean(answers(child, x).values == y) > 0.8
    with pytest.raises(WrongUsage, match="new classes"):
        learn(first, Strategy.INCREMENTAL, data=(x, y), trainable_groups=["hidden.0"])


def test_a_loss_that_is_lost_stops_training_at_once():
    told = []
    with pytest.raises(DataError, match=r"became (nan|inf) in epoch"):
        learn(settings={"learning_rate": 1e3, "clip_norm": 0.0, "optimiser": "sgd", "epochs": 500},
              progress=lambda done, _total: told.append(done))  # fmt: skip
    assert len(told) < 500


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("raises", "RuntimeError: not today"),
        ("writes", "tried to write the file"),
        ("connects", "tried to do socket"),
        ("starts_a_program", "tried to do"),
        ("returns_no_module", "returned dict"),
        ("is_not_there", "does not define|has no attribute"),
        ("in_half_precision", "bfloat16"),
        ("with_tied_groups", "are one tensor"),
        ("exits", "SystemExit"),
        ("writes_in_a_context_of_its_own", "tried to write the file"),
        ("of_other_features", "cannot answer rows of 6 features: RuntimeError"),
        ("of_other_outputs", r"answers 2 rows with \[2, 4\], and not with the shape \[2, 3\]"),
        ("with_flat_answers", r"with \[2\], and not"),
    ],
)
def test_factories_that_cannot_be(factory, says, tmp_path):
    import modules_of_users

    modules_of_users.CALLED["path"] = tmp_path / "written"
    with pytest.raises(WrongUsage, match=says):
        learn(settings={"factory": f"{USERS}:{factory}"})
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "shutil:rmtree",
        "no.such.module:f",
        "plain",
        "a:b:c",
        "torch.hub:load",
        "unittest.__main__:main",
    ],
)
def test_names_of_factories_that_cannot_be(name):
    with pytest.raises(WrongUsage):
        learn(settings={"factory": name, "arguments": {"path": "/nowhere"}})


def test_after_a_factory_files_can_be_written_again(tmp_path):
    learn(settings={"epochs": 1})
    (tmp_path / "file").write_text("written")


@pytest.mark.parametrize(
    "settings",
    [{"optimiser": "sdg"}, {"device": "tpu"}, {"arguments": []}, {"epochs": 0},
     {"group_learning_rates": {"head": "fast"}}, {"lora_targets": "*"}, {"validation_share": 0.9}],
)  # fmt: skip
def test_settings_that_cannot_be(settings):
    with pytest.raises(WrongUsage):
        adapter("torch").check_settings(Task.BINARY, settings)


def test_a_rate_of_a_group_that_is_not_there():
    with pytest.raises(WrongUsage, match="did you mean 'head'"):
        learn(settings={"group_learning_rates": {"heads": 0.1}})


class _Kept:
    """A checkpoint that holds what it is told to."""

    def __init__(self, held=None):
        self.held, self.first = held, None

    def load(self):
        return self.held

    def save(self, saved):
        self.held = saved
        self.first = self.first or saved


@pytest.mark.parametrize(
    "altered",
    [
        lambda s: Saved({}, s.facts),
        lambda s: Saved(s.arrays, None),
        lambda s: Saved(s.arrays, {"curve": ["low"]}),
        lambda s: Saved(s.arrays, {"curve": [float("nan")]}),
        lambda s: Saved({n: a.reshape(1, -1) for n, a in s.arrays.items()}, s.facts),
        lambda s: Saved({n: a for n, a in s.arrays.items() if n != "random.order"}, s.facts),
    ],
)
def test_a_checkpoint_that_does_not_fit_begins_again(altered, monkeypatch):
    monkeypatch.setattr("tidegate.training.adapters.descent._EVERY", -1.0)
    kept = _Kept()
    whole = learn(settings={"epochs": 6}, checkpoint=kept).state
    again = learn(settings={"epochs": 6}, checkpoint=_Kept(altered(kept.first))).state
    assert all(np.array_equal(whole.tensors[n], again.tensors[n]) for n in whole.tensors)


def test_a_training_that_had_waited_long_enough_is_not_gone_on_with(monkeypatch):
    monkeypatch.setattr("tidegate.training.adapters.descent._EVERY", -1.0)
    settings = {"epochs": 300, "patience": 2, "learning_rate": 0.05}
    kept = _Kept()
    first = learn(settings=settings, checkpoint=kept)
    assert len(first.curve) < 300
    again = learn(settings=settings, checkpoint=_Kept(kept.held))
    assert again.curve == first.curve
    assert all(
        np.array_equal(first.state.tensors[n], again.state.tensors[n]) for n in first.state.tensors
    )


def test_arguments_reach_the_factory():
    state = learn(settings={"arguments": {"hidden": [5]}}).state
    assert state.tensors["hidden.0.weight"].shape == (5, 6)
    with pytest.raises(WrongUsage, match="unexpected keyword"):
        learn(settings={"arguments": {"depth": 5}})


def test_parameters_of_another_module_do_not_load():
    state = learn().state
    other = {**state.architecture, "arguments": {"hidden": [7, 7]}}
    with pytest.raises(Incompatible, match="needs a tensor"):
        load("torch", State(other, state.tensors, state.groups))
    short = {n: a for n, a in state.tensors.items() if n != "head.bias"}
    with pytest.raises(Incompatible, match=r"head\.bias"):
        load("torch", State(state.architecture, short, state.groups))


def test_values_too_large_for_its_numbers():
    x, y = rows()
    x[0, 0] = 1e300
    with pytest.raises(DataError, match="too large"):
        learn(data=(x, y))
