import numpy as np
import pytest

from tidegate.data.drift.concept import concept_drift
from tidegate.domain.drift import Consistency, Grade
from tidegate.domain.metrics import Task
from tidegate.domain.policy import DataPolicy
from tidegate.domain.validation import Interval

POLICY = DataPolicy()


def _wrong(share, rows=1000):
    return (np.arange(rows) < share * rows).astype(float)


def _classes(before, losses, rows=1000):
    accuracy = Interval(value=before, low=before - 0.02, high=before + 0.02)
    return concept_drift(Task.BINARY, accuracy, rows, 0.95, losses, POLICY)


@pytest.mark.parametrize(
    ("now", "drifted", "grade"),
    [(0.2, False, None), (0.22, False, None), (0.35, True, Grade.MEDIUM), (0.5, True, Grade.LARGE)],
)
def test_more_wrong_answers_are_a_changed_concept(now, drifted, grade):
    found = _classes(0.8, _wrong(now))
    assert (found.drifted, found.grade, found.metric) == (drifted, grade, "error")
    assert (found.before, found.now) == (pytest.approx(0.2), pytest.approx(now))


def test_fewer_wrong_answers_are_one_too():
    assert _classes(0.6, _wrong(0.1)).drifted


def test_few_rows_say_nothing():
    assert _classes(0.8, _wrong(1.0, 49)) is None
    assert _classes(0.8, _wrong(1.0), rows=49) is None
    assert not _classes(0.8, _wrong(0.3, 60), rows=60).drifted


def test_no_error_at_all_on_either_side():
    assert _classes(1.0, _wrong(0.0)).p_value == 1
    assert _classes(0.0, _wrong(1.0)).p_value == 1


def test_false_alarms_are_as_rare_as_policy_says():
    random, alarms = np.random.default_rng(0), 0
    for _ in range(500):
        before = 1 - float((random.random(300) < 0.2).mean())
        alarms += _classes(before, (random.random(300) < 0.2).astype(float), 300).p_value < 0.05
    assert alarms <= 45  # a true rate of 0.05 exceeds it once in 10,000 such tests


@pytest.mark.parametrize(("scale", "drifted"), [(1.0, False), (1.2, True), (2.0, True)])
def test_larger_errors_are_a_changed_concept(scale, drifted):
    random = np.random.default_rng(1)
    losses = np.abs(random.normal(size=4000))
    mean, room = float(losses[:2000].mean()), 1.96 * float(losses[:2000].std()) / np.sqrt(2000)
    before = Interval(value=mean, low=mean - room, high=mean + room)
    found = concept_drift(Task.REGRESSION, before, 2000, 0.95, scale * losses[2000:], POLICY)
    assert (found.drifted, found.metric) == (drifted, "mae")


def test_a_changed_concept_is_drift_whatever_the_columns_say():
    still = Consistency(verdict="consistent", rows_reference=100, rows_current=100)
    worse = still.with_concept(_classes(0.8, _wrong(0.5)))
    assert (worse.verdict, worse.grade) == ("drifted", Grade.LARGE)
    same = still.with_concept(_classes(0.8, _wrong(0.2)))
    assert (same.verdict, same.grade) == ("consistent", None)
    small = Consistency(verdict="drifted", grade=Grade.SMALL)
    assert small.with_concept(_classes(0.8, _wrong(0.35))).grade is Grade.MEDIUM
    assert worse.with_concept(_classes(0.8, _wrong(0.35))).grade is Grade.LARGE
