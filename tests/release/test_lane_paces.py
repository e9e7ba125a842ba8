"""A call's rows fit the candidate's time as well as the champion's, from the first call on."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tidegate.domain.answer import Asked
from tidegate.domain.predictor import Predictions
from tidegate.release.lane import FIRST_ROWS, MOST_ROWS, Lane
from tidegate.release.route import Route, Served


class Takes:
    """Says that it took so many seconds a row, by the clock of the test; counts its rows."""

    def __init__(self, seconds):
        self.seconds, self.calls = seconds, []

    def predict_numbers(self, block):
        self.calls.append(len(block))
        return Predictions(block[:, 0])


def asked(rows=1):
    return Asked(("x",), rows, block=np.zeros((rows, 1)))


def route_of(champion, candidate, *, quick=False, share=0.5, number=2):
    return Route(
        "m",
        Served(1, champion, inputs=("x",), quick=True),
        Served(number, candidate, inputs=("x",), quick=quick),
        share=share,
        release_id=f"m-{number}",
    )


@pytest.fixture
def lane_of(monkeypatch):
    """A lane whose calls take what their versions say they do, and no time in fact."""

    def timed(_clock, does, *of):
        splits = of[0]
        route, arm = splits[0].route, "candidate" if "candidate" in does.__name__ else "champion"
        rows = sum(len(one.rows[arm]) for one in splits)
        return does(*of), rows * getattr(route, arm).predictor.seconds

    monkeypatch.setattr("tidegate.release.lane._timed", timed)
    return lambda route, **more: Lane(
        lambda: route, lambda _asked, _answers: None, ThreadPoolExecutor(2), deadline=30, **more
    )


def burst(lane, count, rows=1, arm=None):
    async def story():
        some = [lane.ask(asked(rows), None, arm) for _ in range(count)]
        return [one for said in await asyncio.gather(*some) for one in said]

    return asyncio.run(story())


def test_a_burst_asks_a_slow_candidate_for_no_more_rows_than_fit_its_time(lane_of):
    """At 4 ms a row, 512 of them would take two seconds, and all would be its failures."""
    candidate = Takes(0.004)
    lane = lane_of(route_of(Takes(0.0), candidate))
    answers = burst(lane, 600)
    assert sum(one.arm == "candidate" for one in answers) == sum(candidate.calls)
    assert candidate.calls[0] <= FIRST_ROWS
    assert max(candidate.calls[1:]) <= 12
    assert lane._there.rows == MOST_ROWS, "it makes the champion's calls no smaller"


def test_one_that_proves_quick_is_asked_for_more(lane_of):
    candidate = Takes(0.00001)
    lane = lane_of(route_of(Takes(0.0), candidate))
    burst(lane, 1000)
    assert candidate.calls[0] <= FIRST_ROWS
    assert max(candidate.calls) > 100


def test_large_requests_at_a_small_share_are_enough_to_learn_from(lane_of):
    candidate = Takes(0.00001)
    lane = lane_of(route_of(Takes(0.0), candidate, share=0.05))
    burst(lane, 200, rows=100)
    assert lane._theirs.rows >= 4 * FIRST_ROWS


@pytest.mark.parametrize("quick", [True, False])
def test_the_next_candidate_begins_small_again(lane_of, quick):
    first, second = Takes(0.0), Takes(0.0)
    lane = lane_of(route_of(Takes(0.0), first, share=1.0, quick=quick))
    burst(lane, 1000)
    assert max(first.calls) > 100
    after = route_of(Takes(0.0), second, share=1.0, quick=quick, number=3)
    lane.route = lambda: after
    burst(lane, 1000)
    assert second.calls[0] <= FIRST_ROWS
    assert max(second.calls) > 100


def test_requests_that_name_the_champion_share_a_call_as_ever(lane_of):
    champion, candidate = Takes(0.0), Takes(0.1)
    lane = lane_of(route_of(champion, candidate))
    burst(lane, 5, arm="candidate")
    burst(lane, 300, arm="champion")
    assert champion.calls == [300]
