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


def test_a_release_is_read_from_a_place_on(log, database, monkeypatch):
    monkeypatch.setattr(events, "PORTION", 2)
    log.write(
        [
            replace(ANSWER, request_id=f"r{n}", latency_ms=float(n), update_id=f"m-{2 + n % 2}")
            for n in range(12)
        ]
    )
    mine = list(events.answers_since(database, "m-2", 0))
    assert [one.latency_ms for one in mine] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert mine[2:] == list(events.answers_since(database, "m-2", mine[1].id))
    assert mine[3:] == list(events.answers_since(database, "m-2", 0, slower=4.5))
    assert list(events.answers_since(database, "m-9", 0)) == []
    told = mine[0]._asdict()
    assert told | {"id": 0} == {
        "id": 0, "step": 0, "arm": "champion", "key": "u", "latency_ms": 0.0, "prediction": '"up"',
    }  # fmt: skip


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
