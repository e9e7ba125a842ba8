"""A lane: what arrives together is one call, what is late is stood in for, what is too much waits
no longer."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from tidegate.domain.answer import Asked
from tidegate.domain.errors import Busy, Conflict, DataError
from tidegate.domain.predictor import Predictions
from tidegate.release.lane import Lane
from tidegate.release.route import Route, Served


class Adds:
    """Adds to every number; counts its calls and their rows."""

    inputs = ("x",)

    def __init__(self, to=0.0, refuses=None, sleeps=0.0):
        self.to, self.refuses, self.sleeps, self.calls = to, refuses, sleeps, []

    def predict(self, rows):
        return self.predict_numbers(rows["x"].to_numpy()[:, None])

    def predict_numbers(self, block):
        self.calls.append(len(block))
        time.sleep(self.sleeps)
        if self.refuses is not None and (block == self.refuses).any():
            raise DataError("no such number", do="take another one")
        return Predictions(block[:, 0] + self.to)


def asked(value):
    return Asked(("x",), 1, columns={"x": [value]}, block=np.array([[float(value)]]))


def lane_of(champion, candidate=None, *, quick=True, share=1.0, **more):
    def served(number, how):
        return Served(number, how, inputs=how.inputs, quick=quick)

    route = Route(
        "m",
        served(1, champion),
        candidate=served(2, candidate) if candidate else None,
        share=share if candidate else 0.0,
        release_id="m-2",
    )
    log = []
    lane = Lane(
        lambda: route, lambda a, answers: log.append(answers), ThreadPoolExecutor(3), **more
    )
    return lane, log


def run(lane, requests):
    async def all_of_them():
        return await asyncio.gather(*map(lane.ask, requests), return_exceptions=True)

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("quick", [True, False])
def test_what_arrives_together_is_one_call(quick):
    champion = Adds(10)
    lane, log = lane_of(champion, quick=quick)
    answers = run(lane, [asked(n) for n in range(40)])
    assert [one[0].prediction for one in answers] == [10.0 + n for n in range(40)]
    assert champion.calls == [40]
    assert len(log) == 40


@pytest.mark.parametrize("quick", [True, False])
def test_one_bad_request_harms_no_other(quick):
    lane, log = lane_of(Adds(10, refuses=3), quick=quick)
    answers = run(lane, [asked(n) for n in range(6)])
    assert isinstance(answers[3], DataError)
    assert [one[0].prediction for n, one in enumerate(answers) if n != 3] == [10, 11, 12, 14, 15]
    assert len(log) == 5


@pytest.mark.parametrize("quick", [True, False])
def test_a_candidate_that_refuses_one_row_fails_that_one(quick):
    lane, _ = lane_of(Adds(10), Adds(100, refuses=3), quick=quick)
    answers = [one[0] for one in run(lane, [asked(n) for n in range(5)])]
    assert [one.prediction for one in answers] == [100, 101, 102, 13, 104]
    assert [one.version for one in answers] == [2, 2, 2, 1, 2]
    assert [one.failed for one in answers] == [False, False, False, True, False]


def test_a_candidate_that_is_late_is_stood_in_for():
    lane, _ = lane_of(Adds(10), Adds(100, sleeps=0.5), quick=False, deadline=0.05)
    (answers,) = run(lane, [asked(1)])
    assert (answers[0].prediction, answers[0].version, answers[0].failed) == (11, 1, True)
    assert answers[0].arm == "candidate"


def test_more_than_may_wait_are_sent_away():
    lane, _ = lane_of(Adds(), most_waiting=5)
    answers = run(lane, [asked(n) for n in range(8)])
    assert [isinstance(one, Busy) for one in answers] == [False] * 5 + [True] * 3


def test_while_a_slow_call_runs_what_arrives_is_the_next_one(monkeypatch):
    monkeypatch.setattr("tidegate.release.lane.THERE_SECONDS", 60.0)
    begun, go_on = threading.Event(), threading.Event()

    class Waits(Adds):
        def predict_numbers(self, block):
            begun.set()
            go_on.wait(5)
            return super().predict_numbers(block)

    champion = Waits()
    lane, _ = lane_of(champion, quick=False)

    async def story():
        first = asyncio.ensure_future(lane.ask(asked(1)))
        await asyncio.to_thread(begun.wait, 5)
        others = [asyncio.ensure_future(lane.ask(asked(n))) for n in range(7)]
        await asyncio.sleep(0.05)
        go_on.set()
        return await asyncio.gather(first, *others)

    assert len(asyncio.run(story())) == 8
    assert champion.calls == [1, 7]


def test_rows_that_are_no_numbers_are_answered_from_frames():
    class Texts:
        def predict(self, rows):
            return Predictions(np.array([f"{one}!" for one in rows["t"]], dtype=object))

    route = Route("m", Served(1, Texts()))
    lane = Lane(lambda: route, lambda _a, _b: None, ThreadPoolExecutor(1))
    requests = [Asked.of(pl.DataFrame({"t": [text]})) for text in ("a", "b")]
    assert [one[0].prediction for one in run(lane, requests)] == ["a!", "b!"]


def test_whoever_tries_a_version_out_names_the_arm_and_is_not_counted():
    lane, _ = lane_of(Adds(10), Adds(100))

    async def story():
        return [(await lane.ask(asked(1), arm=arm))[0] for arm in ("champion", "candidate", None)]

    answers = asyncio.run(story())
    assert [one.prediction for one in answers] == [11, 101, 101]
    assert [one.update_id for one in answers] == [None, None, "m-2"]
    alone, _ = lane_of(Adds(10))
    with pytest.raises(Conflict, match="no candidate on traffic"):
        asyncio.run(alone.ask(asked(1), arm="candidate"))


def test_without_a_route_those_who_wait_are_told():
    def gone():
        raise Conflict("no route", do="wait")

    lane = Lane(gone, lambda _a, _b: None, ThreadPoolExecutor(1))
    answers = run(lane, [asked(1), asked(2)])
    assert [type(one) for one in answers] == [Conflict, Conflict]


@pytest.mark.parametrize("quick", [True, False])
def test_where_the_champion_raises_the_candidate_stands_in_and_it_is_the_champions_failure(quick):
    """Share 0: all requests are the champion's."""
    lane, log = lane_of(Adds(10, refuses=3), Adds(100), quick=quick, share=0.0)
    answers = [one[0] for one in run(lane, [asked(n) for n in range(5)])]
    assert [one.prediction for one in answers] == [10, 11, 12, 103, 14]
    assert [one.version for one in answers] == [1, 1, 1, 2, 1]
    assert {one.arm for one in answers} == {"champion"}
    assert [one.failed for one in answers] == [False, False, False, True, False]
    assert len(log) == 5


@pytest.mark.parametrize("quick", [True, False])
def test_where_both_raise_the_request_is_at_fault_and_nobody_failed(quick):
    lane, log = lane_of(Adds(10, refuses=3), Adds(100, refuses=3), quick=quick, share=0.0)
    answers = run(lane, [asked(n) for n in range(5)])
    assert isinstance(answers[3], DataError)
    assert len(log) == 4
    assert not any(one.failed for (one,) in log)


def test_a_candidate_that_is_late_does_not_stand_in():
    lane, log = lane_of(
        Adds(10, refuses=3), Adds(100, sleeps=0.5), quick=False, share=0.0, deadline=0.05
    )
    (answer,) = run(lane, [asked(3)])
    assert isinstance(answer, DataError)
    assert log == []


def test_whoever_names_the_champion_is_told_what_it_raised():
    lane, _ = lane_of(Adds(10, refuses=3), Adds(100), share=0.0)
    with pytest.raises(DataError):
        asyncio.run(lane.ask(asked(3), arm="champion"))


def test_a_slow_model_has_calls_of_as_many_rows_as_fit_its_time():
    class PerRow(Adds):
        def predict_numbers(self, block):
            self.sleeps = 0.004 * len(block)
            return super().predict_numbers(block)

    champion = PerRow(10)
    lane, _ = lane_of(champion, quick=False)
    answers = run(lane, [asked(n) for n in range(40)])
    assert champion.calls == [40]
    answers = run(lane, [asked(n) for n in range(40)])
    assert [one[0].prediction for one in answers] == [10.0 + n for n in range(40)]
    assert max(champion.calls[1:]) < 40


def test_the_loop_is_held_up_by_no_more_rows_than_fit_its_time():
    class Works(Adds):
        """Takes the processor for two milliseconds a row."""

        def predict_numbers(self, block):
            until = time.thread_time() + 0.002 * len(block)
            while time.thread_time() < until:
                pass
            return super().predict_numbers(block)

    champion = Works(10)
    lane, _ = lane_of(champion)
    for _ in range(3):
        answers = run(lane, [asked(n) for n in range(40)])
        assert [one[0].prediction for one in answers] == [10.0 + n for n in range(40)]
    assert champion.calls[0] == 40
    assert max(champion.calls[1:]) <= 4


class Places(Adds):
    """Keeps whether it was asked in the thread of the loop."""

    def __init__(self, to, where):
        super().__init__(to)
        self.where = where

    def predict_numbers(self, block):
        self.where.append(threading.current_thread() is threading.main_thread())
        return super().predict_numbers(block)


def test_a_request_too_large_for_the_loop_is_answered_elsewhere():
    where = []
    lane, _ = lane_of(Places(10, where))
    many = Asked(("x",), 1000, block=np.arange(1000.0)[:, None])
    (answers,) = run(lane, [many])
    assert [one.prediction for one in answers] == [10.0 + n for n in range(1000)]
    run(lane, [asked(1)])
    assert where == [False, True]


def test_requests_that_the_loop_had_no_time_for_are_answered_there_again_when_it_is_calm():
    where = []
    lane, _ = lane_of(Places(10, where))
    lane._here.took(512, 60.0)  # a machine that was busy
    forty = Asked(("x",), 40, block=np.arange(40.0)[:, None])
    while not where or (not where[-1] and len(where) < 100):
        run(lane, [forty])
    assert where[0] is False
    assert where[-1] is True


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_alone_does_not_wait_for_the_loop_to_come_round(alone):
    lane, _ = lane_of(Adds(10), alone=lambda: alone)

    async def story():
        came_round = []
        asyncio.get_running_loop().call_soon(came_round.append, 1)
        answers = await lane.ask(asked(1))
        return answers[0].prediction, list(came_round)

    assert asyncio.run(story()) == (11.0, [] if alone else [1])
