"""The log: every answer is kept, every label once, in the order they were told."""

import json
import threading
import time
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import sqlalchemy as sa

from tidegate.domain.answer import Answer, given_at
from tidegate.domain.errors import Busy, Conflict, DataError, NotFound
from tidegate.domain.rollout import Places
from tidegate.monitoring.prediction_log import PORTION, Counts, Logged, PredictionLog
from tidegate.store.tables import predictions

ANSWER = Logged(
    request_id="r0", model="m", version=1, arm="champion", update_id="m-2", step=0, key="u",
    prediction='"up"', features="{}", failed=False, latency_ms=1.5, at="t0",
)  # fmt: skip


@pytest.fixture
def log(database):
    return PredictionLog(database)


#: Lists in lists, deeper than Python can write down.
DEEP = []
for _ in range(2000):
    DEEP = [DEEP]


def answers(count, **changed):
    return [replace(ANSWER, request_id=f"r{number}", **changed) for number in range(count)]


def test_labels_come_back_in_the_order_they_were_told(log):
    log.write(answers(5))
    for number in (3, 0, 4):
        log.label(f"r{number}", "down", at="t1")
    found = list(log.labelled("m"))
    assert [answer.request_id for answer in found] == ["r3", "r0", "r4"]
    assert [answer.seq for answer in found] == sorted(answer.seq for answer in found)
    assert {(a.prediction, a.label, a.arm, a.step, a.at) for a in found} == {
        ("up", "down", "champion", 0, "t1")
    }
    assert log.counts("m") == Counts(answers=5, labelled=3)
    assert log.counts("other") == Counts(answers=0, labelled=0)


def test_more_than_a_portion_is_read_whole(log):
    count = PORTION * 2 + 7
    log.write(answers(count))
    log.label_many({f"r{number}": "up" for number in range(count)}, at="t1")
    seqs = [answer.seq for answer in log.labelled("m")]
    assert len(seqs) == len(set(seqs)) == count
    assert len(list(log.labelled("m", limit=PORTION + 1))) == PORTION + 1
    assert len(list(log.labelled("m", after=seqs[9]))) == count - 10


def test_any_number_of_rows_is_written_by_a_few_statements(log, database):
    """A connection keeps each statement it has seen: of any length, they were 50 MB and more."""
    seen = set()
    with database.read() as connection:
        engine = connection.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *told: seen.add(told[2]))
    written = 0
    for many in (1, 2, 3, 37, 300, 511, 1100):
        log.write([replace(ANSWER, request_id=f"r{written + n}") for n in range(many)])
        written += many
    assert len([one for one in seen if one.startswith("INSERT")]) <= 10
    with database.read() as connection:
        ids = connection.execute(sa.select(predictions.c.request_id).order_by(predictions.c.id))
        assert ids.scalars().all() == [f"r{n}" for n in range(written)]


@pytest.mark.parametrize("there", [1, 300, 700])
def test_what_is_there_already_is_taken_once_and_the_rest_is_written(log, there):
    """As where the server went away after a commit, before it could say so."""
    log.write(answers(there))
    log.label("r0", "down", at="t1")
    log.write(answers(700, prediction='"down"'))
    log.write(answers(700))
    assert log.counts("m") == Counts(answers=700, labelled=1)
    assert log.label("r0", "down", at="t2").prediction == "up"


def test_versions_and_releases_are_told_apart(log):
    log.write(
        [
            replace(ANSWER, request_id="a", version=1),
            replace(ANSWER, request_id="b", version=2, arm="candidate"),
            replace(ANSWER, request_id="c", version=2, update_id=None, step=None),
        ]
    )
    log.label_many({"a": "up", "b": "up", "c": "up"}, at="t1")
    assert [a.request_id for a in log.labelled("m", version=2)] == ["b", "c"]
    assert [a.request_id for a in log.labelled("m", update_id="m-2")] == ["a", "b"]


def test_labels_are_told_in_the_order_that_their_writers_take_turns(log):
    """One that waits for its turn reads the clock when it has it."""
    log.write(answers(2))
    waits, moments = threading.Event(), iter(["t1", "t2"])

    def clock():
        other.start()
        waits.wait(0.2)  # the other one cannot read it meanwhile
        return next(moments)

    def later():
        log.label_many({"r1": "up"}, at=lambda: waits.set() or next(moments))

    other = threading.Thread(target=later)
    log.label_many({"r0": "up"}, at=clock)
    other.join()
    assert [(a.request_id, a.at) for a in log.labelled("m")] == [("r0", "t1"), ("r1", "t2")]


def test_the_same_label_twice_is_one(log):
    log.write(answers(1))
    assert log.label("r0", "up", at="t1") == log.label("r0", "up", at="t2")
    assert log.counts("m").labelled == 1


def test_one_that_cannot_be_kept_is_refused_alone(log):
    log.write([*answers(5), replace(ANSWER, request_id="s", model="other")])
    log.label("r0", "up", at="t1")
    labels = {"r1": "down", "r0": "down", "who": "up", "s": "up", "r2": None, "r3": "up"}
    told = log.label_many(labels, at="t2", model="m")
    assert [one.request_id for one in told.kept] == ["r1", "r3"]
    kinds = {name: type(problem) for name, problem in told.refused.items()}
    assert kinds == {"r0": Conflict, "who": NotFound, "s": NotFound, "r2": DataError}
    assert "by model 'other', not by 'm'" in str(told.refused["s"])
    assert told.unknown == 1
    assert (log.counts("m").labelled, log.counts("other").labelled) == (3, 0)


@pytest.mark.parametrize(
    ("seconds_ago", "problem"), [(0, Busy), (5, Busy), (-3, Busy), (60, NotFound), (-60, NotFound)]
)
def test_what_was_answered_just_now_may_not_be_written_yet(log, seconds_ago, problem):
    """Ids begin with the time: another gateway may have given the answer, and be about to write."""
    request_id = f"{int((time.time() - seconds_ago) * 1000):012x}" + 20 * "a"
    told = log.label_many({request_id: "up"}, at="t1", model="m")
    assert type(told.refused[request_id]) is problem
    assert told.unknown == 1
    log.write([replace(ANSWER, request_id=request_id)])
    assert log.label_many({request_id: "up"}, at="t1", model="m").refused == {}


@pytest.mark.parametrize("told", ["", "who", "0" * 31, "G" * 32, "0" * 33, "０" * 32])
def test_what_is_no_id_of_ours_is_unknown_for_good(told):
    assert given_at(told) is None


def test_one_alone_that_cannot_be_kept_is_raised(log):
    log.write(answers(1))
    log.label("r0", "up", at="t1")
    with pytest.raises(Conflict, match="labelled"):
        log.label("r0", "down", at="t2")
    with pytest.raises(NotFound, match="'who'"):
        log.label("who", "up", at="t1")


@pytest.mark.parametrize(
    ("prediction", "label", "kept"),
    [
        ("7", "7", 7), ("7", 7.0, 7), ("7", 8, 8), ("7.5", 7, 7.0), ("7.5", "8.25", 8.25),
        ('"7"', 7, "7"), ("true", "false", False), ("true", 1, True), ('"up"', "down", "down"),
        ("null", 7, 7.0), ("null", "8.25", 8.25), ('"true"', True, "true"),
        ('"False"', True, "True"), ('"1"', 1.0, "1"), ('"1.0"', 1, "1.0"), ('"0"', 2, "2"),
        ('"up"', True, "true"),
    ],
)  # fmt: skip
def test_a_label_takes_the_type_of_its_answer(log, prediction, label, kept):
    log.write(answers(1, prediction=prediction))
    found = log.label("r0", label, at="t1").label
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("prediction", "label"),
    [
        ("7", "seven"), ("7", 7.5), ("7", True), ("7", None), ("7", [7]), ("7.5", float("nan")),
        ("7.5", "1e999"), ('"up"', None), ("true", "maybe"), ("7", float("inf")),
        ('"up"', float("inf")), ("null", "up"), ("null", True), ("7", "1_0"), ("7.5", "١"),
        ("7", "9" * 4000), ("7", DEEP), ("true", DEEP), ('"up"', DEEP), ("7.5", {"a": DEEP}),
    ],
)  # fmt: skip
def test_a_label_that_no_answer_can_equal_is_refused(log, prediction, label):
    log.write(answers(1, prediction=prediction))
    with pytest.raises(DataError, match="not of the kind"):
        log.label("r0", label, at="t1")
    assert log.counts("m").labelled == 0


def test_where_classes_are_whole_numbers_labels_are(log):
    log.write(answers(2, prediction="1.0"))
    told = log.label_many({"r0": 3.7, "r1": 7}, at="t1", whole={1})
    assert list(told.refused) == ["r0"]
    assert [one.label for one in told.kept] == [7.0], "a class that is new is a wrong answer"
    assert log.label("r0", 3.7, at="t1").label == 3.7


def test_whether_labels_are_whole_is_asked_of_the_version_that_answered(log):
    log.write(answers(1, prediction="1.0"))
    log.write([replace(ANSWER, request_id="theirs", version=2, prediction="0.5")])
    told = log.label_many({"r0": 0.5, "theirs": 0.5}, at="t1", whole={1})
    assert [one.request_id for one in told.kept] == ["theirs"]
    assert list(told.refused) == ["r0"]


def test_failures_are_counted_by_step(log):
    log.write(answers(3, failed=True))
    log.write([replace(ANSWER, request_id="s", step=1, failed=True)])
    log.write([replace(ANSWER, request_id="t", update_id="other", failed=True)])
    log.write([replace(ANSWER, request_id="u")])
    assert log.failures("m-2") == {(0, "champion"): 3, (1, "champion"): 1}
    assert log.failures("none") == {}


def test_features_that_json_cannot_say_are_kept_as_it_can():
    features = {"a": float("nan"), "b": date(2026, 1, 2), "c": "水", "d": None}
    answer = Answer("r", "m", 1, "champion", 7, None, None, None, None, None, False, 1.0, "p", 1)
    assert Logged.of(answer, features, "t").features == (
        '{"a":null,"b":"2026-01-02","c":"水","d":null}'
    )
    odd = Logged.of(answer, {"a": 2**70, "b": "\ud800"}, "t").features
    assert json.loads(odd) == {"a": 2**70, "b": "\ud800"}


def test_writing_nothing_is_fine(log):
    log.write([])
    assert log.counts("m").answers == 0


def test_places_are_how_far_the_log_goes(log):
    assert log.places() == Places(answers=0, labels=0)
    log.write(answers(3))
    log.label("r1", "down", at="t1")
    assert log.places() == Places(answers=3, labels=1)


def test_numbers_of_an_array_are_kept_as_numbers():
    given = Answer("r", "m", 1, "champion", 1, None, None, None, None, None, False, 1.0, "p", 1)
    told = {"a": np.float64(0.1), "b": np.float32("nan"), "c": np.int8(3), "d": "0.1"}
    assert json.loads(Logged.of(given, told, "t").features) == {
        "a": 0.1, "b": None, "c": 3, "d": "0.1",
    }  # fmt: skip
