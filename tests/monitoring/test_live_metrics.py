"""Windows and intervals over what came true, and when the next update is due."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.policy import TriggerPolicy
from tidegate.monitoring.observe import observe
from tidegate.monitoring.prediction_log import Labelled
from tidegate.monitoring.trigger import Arrived, Stretch, due, pooled
from tidegate.monitoring.windows import windows


def told(pairs, version=1):
    return [
        Labelled(number, f"r{number}", "m", version, "champion", None, None, said, true, False,
                 f"a{number}", f"t{number}")
        for number, (true, said) in enumerate(pairs)
    ]  # fmt: skip


def test_windows_hold_what_was_told_in_order():
    found = windows(Task.BINARY, told([(1, 1)] * 3 + [(1, 0)] * 3 + [(0, 0)]), 3)
    assert [(w.rows, w.from_, w.to) for w in found] == [
        (3, "t0", "t2"),
        (3, "t3", "t5"),
        (1, "t6", "t6"),
    ]
    assert [w.metrics["accuracy"] for w in found] == [1.0, 0.0, 1.0]
    assert windows(Task.BINARY, [], 3) == []


def test_windows_of_numbers_tell_errors():
    (found,) = windows(Task.REGRESSION, told([(1.0, 2.0), (3.0, 3.0)]), 10)
    assert found.metrics["mae"] == 0.5
    assert set(found.metrics) == {"mae", "rmse", "r2"}


def test_answers_that_are_no_numbers_have_no_error():
    (found,) = windows(Task.REGRESSION, told([(1.0, 2.0), (3.0, None)]), 10)
    assert (found.rows, found.metrics["mae"]) == (1, 1.0)


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_the_interval_of_a_live_metric_covers_the_truth(metric):
    """300 draws of 200 answers; at 95%, at least 90% must cover (six standard errors below)."""
    rng, right, covered = np.random.default_rng(3), 0.85, 0
    for _ in range(300):
        truth = rng.integers(0, 2, 200)
        said = np.where(rng.random(200) < right, truth, 1 - truth)
        pairs = list(zip(truth.tolist(), said.tolist(), strict=True))
        interval = observe(Task.BINARY, METRICS[metric][0], told(pairs), confidence=0.95, seed=0)
        covered += interval.low <= right <= interval.high
    assert covered / 300 >= 0.90


def stretch(rows, right):
    return Stretch(rows=rows, mean_loss=1 - right, variance=right * (1 - right))


POLICY = TriggerPolicy(z=2.0, max_batches=4, min_batches=1, growth=None)


def new(batches, rows=300, beside=10_000):
    return Arrived(batches=batches, rows=rows, beside=beside)


def test_a_fall_beyond_chance_is_due():
    why = due(POLICY, [stretch(300, 0.9), stretch(300, 0.7)], new(1))
    assert "newest batch loses 0.300" in why.text()


def test_chance_and_improvement_are_not():
    assert due(POLICY, [stretch(300, 0.9), stretch(300, 0.89)], new(1)) is None
    assert due(POLICY, [stretch(300, 0.9), stretch(300, 0.99)], new(1)) is None


def test_enough_batches_are_due_whatever_they_say():
    assert "4 batches" in due(POLICY, [stretch(300, 0.9), stretch(300, 0.99)], new(4)).text()
    never = TriggerPolicy(max_batches=None, growth=None)
    assert due(never, [stretch(300, 0.9), stretch(300, 0.9)], new(400)) is None


def test_rows_are_due_by_what_they_add_to_what_is_known():
    """An eighth of what it learned from: 300 beside 2,400, not beside 2,401."""
    policy, steady = TriggerPolicy(min_batches=1), [stretch(300, 0.9), stretch(300, 0.9)]
    assert "300 new rows" in due(policy, steady, new(1, beside=2400)).text()
    assert due(policy, steady, new(1, beside=2401)) is None
    assert due(TriggerPolicy(min_batches=2), steady, new(1, beside=10)) is None


def test_it_waits_for_as_many_batches_as_policy_says():
    patient = TriggerPolicy(min_batches=3)
    assert due(patient, [stretch(300, 0.9), stretch(300, 0.2)], new(2)) is None


def test_without_a_level_to_hold_only_time_counts():
    assert due(POLICY, [stretch(300, 0.1)], new(1)) is None
    assert due(POLICY, [], new(9)) is None


def test_a_steady_champion_is_left_alone():
    """One-sided at z = 2: about 2.3% of steady batches; 4% is three standard errors above."""
    rng, alarms = np.random.default_rng(4), 0
    policy = TriggerPolicy(z=2.0, max_batches=None, growth=None, min_batches=1)
    for _ in range(1000):
        before, newest = rng.binomial(2000, 0.8) / 2000, rng.binomial(336, 0.8) / 336
        record = [stretch(2000, before), stretch(336, newest)]
        alarms += due(policy, record, new(1)) is not None
    assert alarms / 1000 <= 0.04


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=8), min_size=1, max_size=5))
def test_pooling_is_the_same_as_counting_all_rows_at_once(parts):
    each = [
        Stretch(rows=len(p), mean_loss=float(np.mean(p)), variance=float(np.var(p))) for p in parts
    ]
    every = np.concatenate([np.array(p) for p in parts])
    found = pooled(each)
    assert found.rows == len(every)
    assert found.mean_loss == pytest.approx(every.mean(), abs=1e-9)
    assert found.variance == pytest.approx(every.var(), abs=1e-9)
