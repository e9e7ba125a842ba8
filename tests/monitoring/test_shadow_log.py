"""What shadows said is kept beside the answers, and never after a label was told."""

import pytest

from tidegate.domain.answer import Shadowed
from tidegate.monitoring import shadow_log
from tidegate.monitoring.prediction_log import PORTION, Logged, PredictionLog
from tidegate.monitoring.shadow_log import Twin


@pytest.fixture
def log(database):
    return PredictionLog(database)


def answers(count):
    return [
        Logged(
            request_id=f"r{number}", model="m", version=1, arm="champion", update_id="m-2", step=0,
            key="u", prediction='"up"', features="{}", failed=False, latency_ms=1.5, at="t0",
        )
        for number in range(count)
    ]  # fmt: skip


def said(number, prediction="down", *, failed=False, update="m-2"):
    told = None if failed else prediction
    return Shadowed(f"r{number}", update, 2, told, failed, 1.5)


def twins(log, database):
    return {a.request_id: twin for a, twin in shadow_log.with_twins(database, log.labelled("m"))}


def test_a_label_finds_both_answers(log, database):
    log.write(answers(3))
    shadow_log.write(database, [said(0), said(1, failed=True)])
    log.label_many({"r0": "down", "r1": "up", "r2": "up"}, at="t1")
    assert twins(log, database) == {"r0": Twin("down", False), "r1": Twin(None, True), "r2": None}


def test_what_comes_after_the_label_is_left_out(log, database):
    log.write(answers(2))
    log.label("r0", "up", at="t1")
    assert shadow_log.write(database, [said(0), said(1)]) == 1, "it is told how many"
    log.label("r1", "up", at="t2")
    assert twins(log, database) == {"r0": None, "r1": Twin("down", False)}


def test_it_may_be_written_before_the_champions_answer(log, database):
    shadow_log.write(database, [said(0)])
    log.write(answers(1))
    log.label("r0", "up", at="t1")
    assert twins(log, database) == {"r0": Twin("down", False)}


def test_failures_are_those_of_one_release(log, database):
    shadow_log.write(database, [said(0, failed=True), said(1), said(2, failed=True, update="x")])
    assert shadow_log.failures(database, "m-2") == 1
    assert shadow_log.failures(database, "none") == 0


def test_more_than_a_portion(log, database):
    count = PORTION + 7
    log.write(answers(count))
    shadow_log.write(database, [said(n, n) for n in range(count)])
    log.label_many({f"r{n}": "up" for n in range(count)}, at="t1")
    found = twins(log, database)
    assert [found[f"r{n}"].prediction for n in range(count)] == list(range(count))


def test_nothing_written_is_nothing_known(log, database):
    shadow_log.write(database, [])
    assert twins(log, database) == {}
