"""The gateway: one answer a row, in order, sticky, and never none because of the candidate."""

import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tidegate.domain.answer import Asked, given_at
from tidegate.domain.errors import Conflict, DataError, Incompatible
from tidegate.domain.predictor import Predictions
from tidegate.release.gateway import Gateway, from_candidate
from tidegate.release.route import Route, Served, split


@dataclass
class Says:
    """A version that answers every row alike, or raises."""

    word: str
    trouble: Exception | None = None

    def predict(self, rows):
        if self.trouble is not None:
            raise self.trouble
        shares = np.tile([0.25, 0.75], (rows.height, 1))
        return Predictions(np.array([self.word] * rows.height), ["old", "new"], shares)


ROWS = pl.DataFrame({"x": list(range(400))})
KEYS = [f"user-{number % 40}" for number in range(400)]


def gateway(candidate=None, champion=None, **route):
    log = []
    made = Gateway(sink=lambda _asked, answers: log.append(answers))
    facts = {"share": 0.5, "release_id": "m-2", "step": 0} if candidate else {}
    made.set_route(
        Route(
            model="m",
            champion=Served(1, champion or Says("old")),
            candidate=Served(2, candidate) if candidate else None,
            **(facts | route),
        )
    )
    return made, log


def test_without_a_candidate_the_champion_answers_all():
    made, log = gateway()
    answers = made.infer("m", ROWS, KEYS)
    assert {(a.version, a.arm, a.prediction) for a in answers} == {(1, "champion", "old")}
    assert log == [answers]


def test_answers_come_in_the_order_of_the_rows():
    made, _ = gateway(Says("new"))
    kept = []
    made._sink = lambda asked, answers: kept.extend(
        (asked.record(row)["x"], answer.request_id) for row, answer in enumerate(answers)
    )
    answers = made.infer("m", ROWS, KEYS)
    assert kept == [(row, answer.request_id) for row, answer in enumerate(answers)]
    assert [answer.key for answer in answers] == KEYS
    assert len({answer.request_id for answer in answers}) == 400


def test_a_user_stays_with_one_version():
    made, _ = gateway(Says("new"))
    seen = {}
    for answer in made.infer("m", ROWS, KEYS) + made.infer("m", ROWS, KEYS):
        seen.setdefault(answer.key, set()).add(answer.version)
    assert {len(versions) for versions in seen.values()} == {1}
    assert {version for versions in seen.values() for version in versions} == {1, 2}


def test_requests_without_a_key_are_split_too():
    made, _ = gateway(Says("new"))
    took = sum(answer.version == 2 for answer in made.infer("m", ROWS))
    assert 140 < took < 260  # six standard errors around 200


@pytest.mark.parametrize(
    "trouble", [ValueError("bad weights"), MemoryError(), DataError("x", do="y")]
)
def test_a_candidate_that_raises_is_stood_in_for_and_counted(trouble):
    made, log = gateway(Says("new", trouble))
    answers = made.infer("m", ROWS, KEYS)
    assert {answer.prediction for answer in answers} == {"old"}
    assert {answer.version for answer in answers} == {1}
    failed = [answer for answer in answers if answer.failed]
    assert failed
    assert {answer.arm for answer in failed} == {"candidate"}
    assert {answer.failed for answer in answers if answer.arm == "champion"} == {False}
    assert log == [answers]


@dataclass
class Miscounts:
    """A version that tells so many values, or probabilities, too many."""

    values: int = 0
    shares: int = 0

    def predict(self, rows):
        count = rows.height
        shares = np.tile([0.25, 0.75], (count + self.shares, 1))
        return Predictions(np.array(["new"] * (count + self.values)), ["old", "new"], shares)


MISCOUNTS = [Miscounts(values=-1), Miscounts(values=1), Miscounts(shares=-1), Miscounts(shares=1)]


@pytest.mark.parametrize("candidate", MISCOUNTS)
def test_a_candidate_that_miscounts_is_stood_in_for_and_counted(candidate):
    made, log = gateway(candidate)
    answers = made.infer("m", ROWS, KEYS)
    assert {(a.prediction, a.version) for a in answers} == {("old", 1)}
    assert {a.arm: a.failed for a in answers} == {"candidate": True, "champion": False}
    assert log == [answers]


@pytest.mark.parametrize("champion", MISCOUNTS)
def test_whoever_asks_a_champion_that_miscounts_is_told(champion):
    made, log = gateway(champion=champion)
    with pytest.raises(Incompatible, match="version 1 was asked for 400 rows, and answered with"):
        made.infer("m", ROWS)
    assert log == []


def test_what_no_version_can_answer_counts_against_none():
    trouble = DataError("column '{column}' is missing", do="give it", column="x")
    made, log = gateway(Says("new", trouble), Says("old", trouble))
    with pytest.raises(DataError, match="'x' is missing"):
        made.infer("m", ROWS, KEYS)
    assert log == []


def test_probabilities_are_told_by_class():
    made, _ = gateway()
    assert made.infer("m", ROWS[:1])[0].probabilities == {"old": 0.25, "new": 0.75}


def test_no_version_in_production_is_told():
    made = Gateway(sink=lambda _asked, _answers: None)
    made.set_route(Route(model="m", champion=None))
    with pytest.raises(Conflict, match="no version in production"):
        made.infer("m", ROWS)


def test_ids_tell_when_they_were_given_and_are_never_the_same(monkeypatch):
    made, _ = gateway()
    began = time.time()
    ids = [answer.request_id for _ in range(3) for answer in made.infer("m", ROWS)]
    assert len(set(ids)) == 1200
    for one in ids:
        assert began - 1 < given_at(one) < began + 60
    hour = int(3600 * 1e9)
    later = SimpleNamespace(
        monotonic=lambda: time.monotonic() + 3600, time_ns=lambda: time.time_ns() + hour
    )
    monkeypatch.setattr("tidegate.release.route._IDS._until", 0.0)  # as it was, after the test
    made.infer("m", ROWS[:1])
    monkeypatch.setattr("tidegate.release.route.time", later)
    (answer,) = made.infer("m", ROWS[:1])
    assert given_at(answer.request_id) > began + 3599, "none that were drawn an hour ago"


def test_keys_must_match_rows():
    made, _ = gateway()
    with pytest.raises(DataError, match="3 keys came with 400 rows"):
        made.infer("m", ROWS, ["a", "b", "c"])


def test_no_rows_no_answers():
    made, log = gateway(Says("new"))
    assert made.infer("m", ROWS[:0], []) == []
    assert log == [[]]


class Panic(BaseException):
    """As what is raised where Rust gives up: no Exception."""


def test_whatever_a_candidate_raises_it_is_stood_in_for():
    made, _ = gateway(Says("new", Panic("no")), share=1.0)
    assert {(a.version, a.failed) for a in made.infer("m", ROWS, KEYS)} == {(1, True)}


def test_whatever_a_champion_raises_ends_a_request_and_no_more():
    made, _ = gateway(champion=Says("old", Panic("no")))
    with pytest.raises(RuntimeError, match="version 1 raised Panic"):
        made.infer("m", ROWS, KEYS)


@pytest.mark.parametrize("trouble", [ValueError("no"), Panic("no")])
def test_who_names_the_candidate_gets_its_error_and_no_other_answer(trouble):
    made, _ = gateway(Says("new", trouble))
    one = split(made.route("m"), Asked.of(ROWS), arm="candidate")
    (said,) = from_candidate([one])
    assert "no" in str(said)
    assert isinstance(said, Exception)


@pytest.mark.parametrize(
    "column",
    [pl.lit(None, dtype=pl.String), pl.lit(float("nan")), pl.lit(None, dtype=pl.Float64)],
)
def test_rows_whose_key_is_missing_are_split_each_by_itself(column):
    made, _ = gateway(Says("new"), key="who")
    answers = made.infer("m", ROWS.with_columns(who=column))
    took = sum(answer.version == 2 for answer in answers)
    assert 150 < took < 250
    assert {answer.key for answer in answers} == {None}


def test_keys_that_are_missing_among_others_leave_these_where_they_are():
    made, _ = gateway(Says("new"))
    some = [key if number % 3 else None for number, key in enumerate(KEYS)]
    answers, whole = made.infer("m", ROWS, some), made.infer("m", ROWS, KEYS)
    assert [answer.key for answer in answers] == some
    assert all(a.arm == b.arm for a, b in zip(answers, whole, strict=True) if a.key is not None)
    assert {answer.arm for answer in answers if answer.key is None} == {"champion", "candidate"}


def test_rows_without_a_key_that_a_splitter_outside_sent_together_count_once():
    made, _ = gateway(Says("new"), outside=True)
    answers = made.infer("m", ROWS[:3], ["u", None, None])
    assert [answer.key for answer in answers] == ["u", *[answers[0].request_id] * 2]
