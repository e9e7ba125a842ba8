"""Pairs of a bad and a good answer: what is judged where a splitter outside sends the requests."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.answer import Asked
from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Tally
from tidegate.release.judge import harm_e_value, log_paired
from tidegate.release.matching import Matching
from tidegate.release.route import Route, split

ALPHA, LINE, LABELS = 0.05, np.log(20), 2000


def paired(arms, bad, steps=None):
    """Pairs completed by each answer, ``(n, 2)``."""
    pairs = Matching()
    steps = np.zeros(len(arms), int) if steps is None else steps
    return np.array([
        pairs.take(int(step), "candidate" if arm else "champion", bad=bool(one))
        for step, arm, one in zip(steps, arms, bad, strict=True)
    ])  # fmt: skip


def stopped(runs, *, seed, ratio):
    """Share of runs that are ever stopped, with a share and a base rate that nobody is told."""
    rng, stops = np.random.default_rng(seed), 0
    day = np.arange(LABELS) / LABELS
    for _ in range(runs):
        share = 0.1 + 0.4 * (day > rng.random())  # the splitter takes a step when it likes
        base = 0.15 + 0.1 * np.sin(2 * np.pi * (3 * day + rng.random()))
        ours = rng.random(LABELS) < share
        bad = rng.random(LABELS) < base * np.where(ours, ratio, 1.0)
        counts = paired(ours, bad).cumsum(axis=0)
        stops += bool((log_paired(counts[:, 0], counts[:, 1]) >= LINE).any())
    return stops / runs


def test_a_harmless_candidate_is_seldom_stopped_whatever_the_share():
    """At most ALPHA and three standard errors of 400 runs."""
    bound = ALPHA + 3 * (ALPHA * (1 - ALPHA) / 400) ** 0.5
    assert stopped(400, seed=1, ratio=1.0) <= bound


def test_one_that_is_bad_twice_as_often_is_found():
    assert stopped(60, seed=2, ratio=2.0) > 0.9


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=60))
def test_no_answer_is_in_two_pairs_and_each_pair_is_of_one_step(answers):
    steps, arms, bad = (
        (np.array(one) for one in zip(*answers, strict=True)) if answers else ([],) * 3
    )
    found = paired(arms, bad, steps) if len(arms) else np.zeros((0, 2), int)
    assert found.sum() <= min(np.sum(bad), np.sum(~np.asarray(bad, bool)))
    for step in set(np.asarray(steps).tolist()):
        at = np.asarray(steps) == step
        ours = paired(arms[at], bad[at], steps[at])
        assert (found[at] == ours).all()
        both = Counter(zip(arms[at].tolist(), bad[at].tolist(), strict=True))
        assert ours[:, 0].sum() <= min(both[True, True], both[False, False])
        assert ours[:, 1].sum() <= min(both[False, True], both[True, False])


def test_with_pairs_the_planned_share_does_not_count():
    shares = (0.1, 0.9)
    values = [harm_e_value([Tally(share=s, candidate_bad=9, matched=(9, 2))]) for s in shares]
    assert values[0] == values[1]
    told = Tally(share=0.1, candidate_bad=9, candidate_labels=50, champion_bad=6,
                 champion_labels=100, matched=(9, 2))  # fmt: skip
    assert told.excess == 9 - 6 * 0.5


@pytest.mark.parametrize("asked", [{"margin": 0.2}, {"max_harm": 3}, {"latency": True},
                                   {"answers_beyond": 2}])  # fmt: skip
def test_what_takes_a_share_is_refused_with_a_splitter_outside(asked):
    with pytest.raises(ValueError, match="the share that answers were given at"):
        RolloutPolicy(splitter="outside", **asked)
    assert RolloutPolicy(**asked).splitter == "tidegate"


def routed(**facts):
    return Route(model="m", champion=object(), share=0.5, outside=True, **facts)


CANARY = {"candidate": object(), "release_id": "m-2", "step": 0}
ROWS = Asked.of(pl.DataFrame({"x": [1.0, 2.0, 3.0]}))


def test_marked_requests_count_and_others_are_the_champions():
    for arm in ("champion", "candidate"):
        one = split(routed(**CANARY), ROWS, None, arm)
        assert list(one.rows[arm]) == [0, 1, 2]
        assert not one.chosen
    one = split(routed(**CANARY), ROWS)
    assert list(one.rows["champion"]) == [0, 1, 2]
    assert one.chosen


def test_a_splitter_that_has_not_heard_of_the_end_is_answered():
    one = split(routed(), ROWS, None, "candidate")
    assert list(one.rows["champion"]) == [0, 1, 2]
    assert not one.rows["candidate"]


def test_rows_that_came_together_are_one_entity():
    one = split(routed(**CANARY), ROWS, None, "candidate")
    assert one.keys == [one.ids[0]] * 3
    assert split(routed(**CANARY), ROWS, ["a", "b", "c"], "candidate").keys == ["a", "b", "c"]
