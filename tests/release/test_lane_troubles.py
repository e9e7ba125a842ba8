"""A lane in trouble: a candidate that hangs, a version that miscounts, a log that takes no more.

Nobody waits without end, nobody gets another's answer, and no champion is slower for it.
"""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from tidegate.domain.answer import Asked
from tidegate.domain.errors import DataError, Incompatible
from tidegate.domain.predictor import Predictions
from tidegate.release.lane import Lane
from tidegate.release.route import Route, Served


class Adds:
    """Adds to every number, but refuses a three; counts the rows of its calls."""

    inputs = ("x",)

    def __init__(self, to):
        self.to, self.calls = to, []

    def predict_numbers(self, block):
        self.calls.append(len(block))
        if self.to == 10 and (block == 3).any():
            raise DataError("no three", do="take another number")
        return Predictions(block[:, 0] + self.to)


class Hangs(Adds):
    """Does not answer before it is let go."""

    def __init__(self, to, let_go):
        super().__init__(to)
        self.let_go = let_go

    def predict_numbers(self, block):
        said = super().predict_numbers(block)
        self.let_go.wait(100)
        return said


class Miscounts(Adds):
    """Says a word too many, the first, or leaves its first one out."""

    def __init__(self, to, more, *, alone=True):
        super().__init__(to)
        self.more, self.alone = more, alone

    def predict_numbers(self, block):
        values = super().predict_numbers(block).values
        if len(block) == 1 and not self.alone:
            return Predictions(values)
        return Predictions(np.concatenate([[999.0], values]) if self.more else values[1:])


@pytest.fixture
def let_go():
    """Lets what hangs go on, at the latest when the test ends."""
    event = threading.Event()
    yield event
    event.set()


def asked(*values):
    return Asked(("x",), len(values), block=np.array(values, dtype=float)[:, None])


def route_of(champion, candidate=None, *, quick=False, share=1.0, number=2):
    return Route(
        "m",
        Served(1, champion, inputs=("x",), quick=quick),
        Served(number, candidate, inputs=("x",), quick=quick) if candidate else None,
        share=share if candidate else 0.0,
        release_id=f"m-{number}",
    )


def lane_of(route, *, sink=lambda _asked, _answers: None, **more):
    return Lane(lambda: route, sink, ThreadPoolExecutor(1), **more)


def ends(story):
    """What a story comes to; one that never ends has failed."""
    return asyncio.run(asyncio.wait_for(story, 30))


async def together(lane, *requests):
    return await asyncio.gather(*map(lane.ask, requests), return_exceptions=True)


def left_behind(before=frozenset()):
    """Threads that candidates are asked in, and were not there before."""
    now = {one for one in threading.enumerate() if one.name == "tidegate-aside"}
    return now - before


def test_a_candidate_that_hangs_is_asked_once_and_the_champion_answers_at_once(let_go):
    candidate, before = Hangs(100, let_go), left_behind()
    lane = lane_of(route_of(Adds(10), candidate), deadline=0.05)

    async def story():
        return [(await lane.ask(asked(n + 10)))[0] for n in range(8)]

    answers = ends(story())
    assert [one.prediction for one in answers] == [20 + n for n in range(8)]
    assert {(one.version, one.arm, one.failed) for one in answers} == {(1, "candidate", True)}
    assert candidate.calls == [1]
    (thread,) = left_behind(before)
    assert thread.daemon


def test_when_it_has_ended_that_call_it_is_asked_again(let_go):
    lane = lane_of(route_of(Adds(10), Hangs(100, let_go)), deadline=0.05)

    async def story():
        await lane.ask(asked(1))
        let_go.set()
        lane.deadline = 30
        while (answer := (await lane.ask(asked(1)))[0]).failed:
            await asyncio.sleep(0.01)
        return answer

    assert ends(story()).prediction == 101


def test_the_next_candidate_is_asked_while_the_last_one_hangs(let_go):
    lane = lane_of(route_of(Adds(10), Hangs(100, let_go)), deadline=0.05)

    async def story():
        await lane.ask(asked(1))
        lane.deadline, after = 30, route_of(Adds(10), Adds(200), number=3)
        lane.route = lambda: after
        return (await lane.ask(asked(1)))[0]

    answer = ends(story())
    assert (answer.prediction, answer.version, answer.failed) == (201, 3, False)


def test_a_candidate_that_hangs_where_it_is_to_stand_in_is_asked_once(let_go):
    candidate = Hangs(100, let_go)
    lane = lane_of(route_of(Adds(10), candidate, share=0.0), deadline=0.05)

    async def story():
        return [(await together(lane, asked(3), asked(4))) for _ in range(5)]

    for refused, (answer,) in ends(story()):
        assert isinstance(refused, DataError)
        assert (answer.prediction, answer.failed) == (14, False)
    assert candidate.calls == [1]


class Clock:
    """Time that goes on where a test says so."""

    now = 0.0

    def perf_counter(self):
        return self.now

    thread_time = perf_counter

    def goes_on(self, seconds):
        self.now += seconds


def test_the_time_that_a_candidate_hangs_is_not_the_champions(let_go, monkeypatch):
    clock, told = Clock(), []
    monkeypatch.setattr("tidegate.release.lane.time", clock)

    class Takes(Adds):
        def predict_numbers(self, block):
            clock.goes_on(3)
            return super().predict_numbers(block)

    class TakesLong(Hangs):
        def predict_numbers(self, block):
            lane.threads.submit(clock.goes_on, 1000)  # not while a call of the champion is timed
            return super().predict_numbers(block)

    lane = lane_of(route_of(Takes(10), TakesLong(100, let_go), share=0.5), deadline=0.2)
    lane._there.took = lambda rows, seconds: told.append((rows, seconds))
    splits = asked(*range(10, 74))
    (answers,) = ends(together(lane, splits))
    assert {one.version for one in answers} == {1}
    assert told == [(64, 6)]  # three for its own rows, three in the candidate's place


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("more", [True, False])
def test_a_candidate_that_miscounts_has_failed_and_the_champion_answers(quick, more):
    lane = lane_of(route_of(Adds(10), Miscounts(100, more), quick=quick), deadline=30)
    answers = [one for (one,) in ends(together(lane, asked(5), asked(6), asked(7)))]
    assert [one.prediction for one in answers] == [15, 16, 17]
    assert {(one.version, one.arm, one.failed) for one in answers} == {(1, "candidate", True)}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("more", [True, False])
def test_whoever_asks_a_champion_that_miscounts_is_told(quick, more):
    lane = lane_of(route_of(Miscounts(20, more), quick=quick))
    for said in ends(together(lane, asked(5), asked(6, 7))):
        assert isinstance(said, Incompatible)
        assert "version 1 was asked for" in str(said)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("more", [True, False])
def test_one_that_miscounts_in_company_is_asked_one_by_one(quick, more):
    lane = lane_of(route_of(Miscounts(20, more, alone=False), quick=quick))
    answers = ends(together(lane, asked(5), asked(6), asked(7)))
    assert [one.prediction for (one,) in answers] == [25, 26, 27]


@pytest.mark.parametrize("quick", [True, False])
def test_an_answer_that_cannot_be_kept_is_not_given_and_the_others_are(quick):
    def sink(asked, _answers):
        if asked.block[0, 0] == 6:
            raise OSError("no space left")

    lane = lane_of(route_of(Adds(20), quick=quick), sink=sink)
    five, six, seven = ends(together(lane, asked(5), asked(6), asked(7)))
    assert (five[0].prediction, seven[0].prediction) == (25, 27)
    assert isinstance(six, OSError)


@pytest.mark.parametrize("quick", [True, False])
def test_whatever_goes_wrong_all_are_told_and_the_next_ones_are_answered(quick, monkeypatch):
    lane = lane_of(route_of(Adds(20), quick=quick))

    def goes_wrong(*_):
        raise ZeroDivisionError("a bug")

    async def story():
        with monkeypatch.context() as patched:
            patched.setattr("tidegate.release.lane.joined", goes_wrong)
            told = await together(lane, asked(5), asked(6))
        return told, await lane.ask(asked(7))

    told, (answer,) = ends(story())
    assert [type(one) for one in told] == [ZeroDivisionError] * 2
    assert answer.prediction == 27


def test_a_quick_candidate_that_hangs_in_a_thread_is_not_asked_in_the_loop(let_go):
    where = []

    class Says(Hangs):
        def predict_numbers(self, block):
            where.append(threading.current_thread() is threading.main_thread())
            if where[-1]:
                return Adds.predict_numbers(self, block)
            return super().predict_numbers(block)

    lane = lane_of(route_of(Adds(10), Says(100, let_go), quick=True), deadline=0.05)

    async def story():
        many = await lane.ask(asked(*range(10, 210)))
        known = lane._here.rows
        few = [(await lane.ask(asked(n + 10)))[0] for n in range(4)]
        assert lane._here.rows == known, "what a late one takes says nothing of the loop's time"
        let_go.set()
        lane.deadline = 30
        while (again := (await lane.ask(asked(1)))[0]).failed:
            await asyncio.sleep(0.01)
        return many, few, again

    many, few, again = ends(story())
    assert {(one.version, one.failed) for one in [*many, *few]} == {(1, True)}
    assert again.prediction == 101
    assert where[0] is False
    assert where[1:] == [True]


def test_where_nobody_comes_to_the_call_it_is_not_the_candidates_failure():
    """As where a champion lets no other thread have a turn, or the machine is too busy."""
    lane = lane_of(route_of(Adds(10), Adds(100), share=0.5), deadline=0.05)
    with_time, lane._aside.ask = lane._aside.ask, lambda _version, _does: Future()

    async def story():
        without = await together(lane, *[asked(n + 10) for n in range(40)])
        lane._aside.ask = with_time
        return without, await lane.ask(asked(1), arm="candidate")

    without, (again,) = ends(story())
    said = [one for (one,) in without]
    assert {(one.version, one.failed) for one in said} == {(1, False)}
    assert {(one.arm, one.update_id) for one in said} == {("champion", "m-2"), ("candidate", None)}
    assert (again.prediction, again.failed) == (101, False)


def test_where_nobody_comes_to_stand_in_what_the_champion_raised_is_told():
    lane = lane_of(route_of(Adds(10), Adds(100), share=0.0), deadline=0.05)
    lane._aside.ask = lambda _version, _does: Future()
    refused, (answer,) = ends(together(lane, asked(3), asked(4)))
    assert isinstance(refused, DataError)
    assert (answer.prediction, answer.failed) == (14, False)
