"""Events without labels: entities with slow answers and with answers in a band."""

from dataclasses import replace

import pytest

from tidegate.monitoring import events
from tidegate.monitoring.prediction_log import Logged, PredictionLog

ANSWER = Logged(
    request_id="r0", model="m", version=1, arm="champion", update_id="m-2", step=0, key="u",
    prediction='"up"', features="{}", failed=False, latency_ms=1.5, at="t0",
)  # fmt: skip


@pytest.fixture
def log(database):
    return PredictionLog(database)


def test_slow_answers_count_once_an_entity_by_step_and_arm(log, database):
    log.write(
        [
            replace(ANSWER, request_id="a", key="ann", latency_ms=20.0),
            replace(ANSWER, request_id="b", key="ann", latency_ms=90.0, step=1),
            replace(ANSWER, request_id="c", key="bob", latency_ms=30.0, arm="candidate"),
            replace(ANSWER, request_id="d", key=None, latency_ms=30.0, arm="candidate"),
            replace(ANSWER, request_id="e", key=None, latency_ms=30.0, arm="candidate"),
            replace(ANSWER, request_id="f", key="eve", latency_ms=99.0, update_id="m-3"),
        ]
    )
    assert events.slow(database, "m-2", [10.0, 50.0]) == {
        (0, "champion"): [1, 0],
        (1, "champion"): [0, 1],
        (0, "candidate"): [3, 0],
    }
    assert events.slow(database, "m-9", [10.0]) == {}


def test_what_a_version_did_is_told_from_its_newest_answers_that_did_not_fail(log, database):
    log.write(
        [
            replace(ANSWER, request_id=f"r{n}", latency_ms=float(n), prediction=str(n))
            for n in range(5)
        ]
    )
    log.write([replace(ANSWER, request_id="x", failed=True, latency_ms=99.0)])
    log.write([replace(ANSWER, request_id="y", version=2, latency_ms=98.0)])
    assert events.latencies(database, "m", 1, limit=3) == [4.0, 3.0, 2.0]
    assert events.answers(database, "m", 1, limit=3) == [4, 3, 2]


def test_classes_count_once_an_entity(log, database):
    said = [("ann", '"up"'), ("ann", '"up"'), ("ann", '"down"'), ("bob", '"up"'), ("eve", '"odd"')]
    log.write(
        [
            replace(ANSWER, request_id=f"r{n}", key=key, prediction=text)
            for n, (key, text) in enumerate(said)
        ]
    )
    counts = events.in_bands(database, "m-2", ["down", "up"], numbers=False)
    assert counts == {(0, "champion"): [1, 2]}


def test_numbers_lie_in_one_range_each(log, database):
    numbers = [-3.5, 0.0, 0.25, 1.0, 7.25, 1e-7]
    log.write(
        [
            replace(ANSWER, request_id=f"r{n}", key=None, prediction=str(number))
            for n, number in enumerate(numbers)
        ]
    )
    counts = events.in_bands(database, "m-2", [0.0, 1.0], numbers=True)
    assert counts == {(0, "champion"): [1, 3, 2]}
