"""The shadow: asked behind the answers, never given, never waited for; what it drops, counted."""

import asyncio
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from tidegate.domain.answer import Asked
from tidegate.domain.predictor import Predictions
from tidegate.release.gateway import Gateway
from tidegate.release.lane import Lane
from tidegate.release.route import Route, Served, split
from tidegate.release.shadow import Shadow, sampled


class Adds:
    """Adds to every number; waits for ``hold``, refuses a number, counts its calls."""

    inputs = ("x",)

    def __init__(self, to, *, hold=None, refuses=None):
        self.to, self.hold, self.refuses, self.calls = to, hold, refuses, []

    def predict(self, rows):
        return self.predict_numbers(rows["x"].to_numpy()[:, None])

    def predict_numbers(self, block):
        self.calls.append(len(block))
        if self.hold is not None:
            self.hold.wait(10)
        if self.refuses is not None and (block == self.refuses).any():
            raise SystemExit("a candidate may raise whatever it likes")
        return Predictions(block[:, 0] + self.to)


def route_of(shadow, *, quick=True, champion=None, **more):
    def served(number, how):
        return Served(number, how, inputs=how.inputs, quick=quick)

    facts = {"release_id": "m-2", "step": 0} | more
    return Route("m", served(1, champion or Adds(10)), shadow=served(2, shadow), **facts)


def asked(*values):
    block = np.array(values, dtype=float)[:, None]
    return Asked(("x",), len(values), columns={"x": list(values)}, block=block)


@pytest.fixture
def kept():
    """What shadows said, and a shadow that says it; it is closed afterwards."""
    told, made = [], []

    def keeps(rows):
        told.extend(rows)
        return 0

    def shadow(sink=keeps, **options):
        made.append(Shadow(sink, **options))
        return made[-1]

    yield told, shadow
    for one in made:
        one.close()


def put(shadow, route, *requests):
    """Splits of these requests, given to the shadow as answered."""
    splits = [split(route, request) for request in requests]
    shadow.put(splits, [[] for _ in splits])
    return splits


def test_what_it_says_is_kept_under_the_ids_of_the_answers(kept):
    told, make = kept
    shadow = make()
    splits = put(shadow, route_of(Adds(100)), asked(1, 2), asked(3))
    assert shadow.flush(5)
    ids = [each for one in splits for each in one.ids]
    assert [(one.request_id, one.prediction) for one in told] == list(
        zip(ids, [101, 102, 103], strict=True)
    )
    assert {(one.update_id, one.version, one.failed) for one in told} == {("m-2", 2, False)}


def test_who_waits_for_what_was_taken_does_not_wait_for_what_comes_after_it():
    told, route = [], route_of(Adds(100))

    def keep(rows):
        told.extend(rows)
        put(shadow, route, asked(2))  # there is always one more
        return 0

    shadow = Shadow(keep)
    put(shadow, route, asked(1))
    assert shadow.flush(30)
    assert told[0].prediction == 101
    shadow._closing = True


@pytest.mark.parametrize("quick", [True, False])
def test_one_that_raises_has_failed_those_rows_and_no_others(kept, quick):
    told, make = kept
    shadow = make()
    route = route_of(Adds(100, refuses=2), quick=quick)
    put(shadow, route, asked(1), asked(2))
    shadow.flush(5)
    put(shadow, route, asked(3))
    assert shadow.flush(5)
    found = {one.prediction for one in told if not one.failed}
    assert 103 in found
    assert sum(one.failed for one in told) in (1, 2)  # together they were one call
    assert all(one.prediction is None for one in told if one.failed)


def until(thing):
    """Wait for something that comes soon, however busy the machine is."""
    for _ in range(3000):
        if thing():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_one_that_is_late_has_failed_and_so_have_those_behind_it(kept):
    told, make = kept
    hold = threading.Event()
    shadow, candidate = make(deadline=0.05), Adds(100, hold=hold)
    route = route_of(candidate, quick=False)
    put(shadow, route, asked(1), asked(2))
    assert shadow.flush(30)
    assert [one.failed for one in told] == [True, True]
    assert candidate.calls == [1]
    shadow._deadline = 30
    hold.set()
    until(lambda: not shadow._aside._left)
    put(shadow, route, asked(3))
    assert shadow.flush(30)
    assert [one.prediction for one in told] == [None, None, 103]


def test_while_one_hangs_the_others_are_asked(kept):
    told, make = kept
    hold, before = threading.Event(), set(threading.enumerate())
    shadow = make(deadline=0.05)
    put(shadow, route_of(Adds(100, hold=hold), quick=False), asked(1), asked(2), asked(3))
    assert shadow.flush(30)
    shadow._deadline = 30
    put(shadow, route_of(Adds(200), release_id="m-3"), asked(4))
    assert shadow.flush(30)
    assert [one.prediction for one in told] == [None, None, None, 204]
    threads = set(threading.enumerate()) - before
    assert sorted(one.name for one in threads) == ["tidegate-aside"] * 2 + ["tidegate-shadow"]
    hold.set()


def test_what_was_never_asked_is_no_failure_of_the_candidate(kept):
    told, make = kept
    shadow = make(deadline=0.01)
    shadow._aside.ask = lambda _version, _does: Future()  # as on a machine that gets to nothing
    put(shadow, route_of(Adds(100)), asked(1, 2))
    assert shadow.flush(30)
    assert (told, shadow.dropped) == ([], 2)


def test_what_waits_when_it_closes_is_dropped(kept):
    told, make = kept
    hold = threading.Event()
    shadow, candidate = make(deadline=30), Adds(100, hold=hold)
    put(shadow, route_of(candidate, quick=False), asked(1), asked(2), asked(3, 4))
    until(lambda: candidate.calls)
    shadow.flush = lambda _seconds: False  # it takes too long
    shadow.close()
    hold.set()
    until(lambda: shadow.waiting == 0)
    assert ([one.prediction for one in told], shadow.dropped) == ([101], 3)


def test_what_finds_no_room_is_dropped_and_counted(kept):
    told, make = kept
    shadow = make(most_waiting=3)
    hold = threading.Event()
    put(shadow, route_of(Adds(100, hold=hold)), asked(1, 2), asked(3, 4), asked(5))
    assert shadow.dropped == 2
    hold.set()
    assert shadow.flush(5)
    assert [one.prediction for one in told] == [101, 102, 105]


def test_what_cannot_be_kept_is_counted_and_the_next_one_is_asked(kept):
    _, make = kept
    took = []

    def sink(rows):
        took.append(len(rows))
        if len(took) == 1:
            raise OSError("no space left")
        return 0

    shadow = make(sink)
    route = route_of(Adds(100))
    put(shadow, route, asked(1, 2))
    assert shadow.flush(5)
    put(shadow, route, asked(3))
    assert shadow.flush(5)
    assert (took, shadow.dropped) == ([2, 1], 2)


def test_requests_that_got_no_answer_or_named_an_arm_are_not_shadowed(kept):
    told, make = kept
    shadow = make()
    route = route_of(Adds(100))
    splits = [
        split(route, asked(1)),
        split(route, asked(2), arm="champion"),
        split(route, asked(3)),
    ]
    shadow.put(splits, [ValueError("at fault"), [], []])
    assert shadow.flush(5)
    assert [one.prediction for one in told] == [103]


def test_a_sample_is_by_the_chance_in_the_ids(kept):
    told, make = kept
    shadow = make()
    (one,) = put(shadow, route_of(Adds(100), sample=0.25), asked(*range(2000)))
    assert shadow.flush(5)
    assert 0.25 - 3 * (0.1875 / 2000) ** 0.5 < len(told) / 2000 < 0.25 + 3 * (0.1875 / 2000) ** 0.5
    chosen = [each for each, took in zip(one.ids, sampled(one.ids, 0.25), strict=True) if took]
    assert [each.request_id for each in told] == chosen


def test_the_busier_the_gateway_the_more_rows_share_a_call(kept):
    _, make = kept
    shadow, candidate = make(), Adds(100)
    put(shadow, route_of(candidate), *[asked(n) for n in range(700)])
    assert shadow.flush(5)
    assert sum(candidate.calls) == 700
    assert len(candidate.calls) <= 4


@pytest.mark.parametrize("quick", [True, False])
def test_users_are_given_the_champions_answers_while_the_shadow_hangs(kept, quick):
    told, make = kept
    hold = threading.Event()
    shadow = make(deadline=0.05)
    candidate, log = Adds(100, hold=hold), []
    route = route_of(candidate, quick=quick)
    lane = Lane(
        lambda: route,
        lambda _asked, answers: log.extend(answers),
        ThreadPoolExecutor(1),
        shadow=shadow.put,
    )

    async def story():
        return [await lane.ask(asked(n)) for n in range(5)]

    answers = [one for (one,) in asyncio.run(story())]
    assert not hold.is_set()  # all were given before the candidate said a word
    assert [(one.prediction, one.version, one.arm) for one in answers] == [
        (10 + n, 1, "champion") for n in range(5)
    ]
    assert {(one.update_id, one.step) for one in log} == {("m-2", 0)}
    assert shadow.flush(5)
    assert {one.request_id for one in told} == {one.request_id for one in answers}
    assert all(one.failed for one in told)
    hold.set()


def test_in_process_too(kept):
    told, make = kept
    shadow = make()
    gateway = Gateway(sink=lambda _asked, _answers: None, shadow=shadow.put)
    gateway.set_route(route_of(Adds(100)))
    answers = gateway.infer("m", pl.DataFrame({"x": [1.0, 2.0]}))
    assert [one.prediction for one in answers] == [11, 12]
    assert shadow.flush(5)
    assert [one.prediction for one in told] == [101, 102]


def test_without_a_shadow_nothing_is_asked_of_it():
    def never(*_):
        raise AssertionError

    gateway = Gateway(sink=lambda _asked, _answers: None, shadow=never)
    gateway.set_route(Route("m", Served(1, Adds(10), inputs=("x",))))
    assert gateway.infer("m", pl.DataFrame({"x": [1.0]}))[0].prediction == 11


def test_a_candidate_that_never_ends_a_call_does_not_hold_up_the_end():
    shadow = Shadow(lambda _rows: 0, deadline=0.05)
    put(shadow, route_of(Adds(100, hold=threading.Event()), quick=False), asked(1))
    began = threading.active_count()
    shadow.close()
    for _ in range(100):
        if threading.active_count() < began:
            break
        time.sleep(0.02)
    assert threading.active_count() < began
    put(shadow, route_of(Adds(100)), asked(1))
    assert shadow.dropped == 1


def test_what_the_sink_leaves_out_is_counted(kept):
    _, make = kept
    shadow = make(lambda rows: len(rows) - 1)
    put(shadow, route_of(Adds(100)), asked(1, 2, 3))
    assert shadow.flush(5)
    assert shadow.dropped == 2
