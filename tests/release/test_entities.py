"""Counting per entity: the bound holds for entities of any size, and memory does not grow."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegate.release.entities import FirstEvents, FirstPerEntity
from tidegate.release.judge import AS_GOOD, log_evidence

ALPHA, LINE, SHARE = 0.05, np.log(20), 0.1
ENTITIES, EVENTS = 400, 1500


def stopped(runs, *, seed, by_entity, rate=1.0):
    """Share of runs of heavy-tailed sticky entities, each on one side, that are ever stopped.

    The candidate's entities err ``rate`` times as often.
    """
    rng, stops = np.random.default_rng(seed), 0
    for _ in range(runs):
        ours = rng.random(ENTITIES) < SHARE
        errs = (rng.pareto(1.1, ENTITIES) + 1) * rng.gamma(0.5, 2, ENTITIES)
        errs *= np.where(ours, rate, 1.0)
        who = rng.choice(ENTITIES, EVENTS, p=errs / errs.sum())
        if by_entity:
            known = FirstPerEntity(ENTITIES)
            who = np.array([one for one in who if known.first(str(one))])
        candidate = ours[who].cumsum()
        champion = np.arange(1, len(who) + 1) - candidate
        log = log_evidence(candidate[:, None], champion[:, None], SHARE)
        stops += bool((log >= LINE).any())
    return stops / runs


def test_busy_users_are_no_harm():
    """At most ALPHA and three standard errors of 300 runs; per request it is several times that."""
    bound = ALPHA + 3 * (ALPHA * (1 - ALPHA) / 300) ** 0.5
    assert stopped(300, seed=1, by_entity=True) <= bound
    assert stopped(300, seed=1, by_entity=False) > 2 * bound


def test_a_better_candidate_whose_entities_err_later_is_not_stopped():
    """The champion's entities run out first, so that the last first errors are the candidate's."""
    assert stopped(200, seed=2, by_entity=True, rate=0.3) <= ALPHA


def test_first_errors_would_promote_a_worse_candidate_and_first_answers_do_not():
    """Why being as good is judged by first answers: with first errors a worse side runs dry.

    400 entities, each asking 80 times; the candidate errs 1.5 times as often, at a margin of 1.25.
    """
    rng, runs, share, base = np.random.default_rng(3), 300, 0.5, 0.2
    promoted = {"first errors": 0, "first answers": 0}
    for _ in range(runs):
        ours = rng.random(4000) < share
        rate = np.where(ours, 1.5 * base, base)
        when = rng.geometric(rate)  # at which answer each errs for the first time
        order = np.argsort(when + rng.random(4000))
        for name, bad in (("first errors", ours[order]), ("first answers", ours[when == 1])):
            mine = bad.cumsum()[:, None]
            total = np.arange(1, len(bad) + 1)[:, None]
            log = log_evidence(mine, total - mine, share, AS_GOOD, 1.25)
            promoted[name] += bool((log >= LINE).any())
    assert promoted["first answers"] / runs <= ALPHA
    assert promoted["first errors"] / runs > 0.5


@given(st.lists(st.text(max_size=6), max_size=200))
def test_no_known_entity_is_new(keys):
    seen = FirstPerEntity(1000)
    told = [seen.first(key) for key in keys]
    known = set()
    for key, new in zip(keys, told, strict=True):
        assert not (new and key in known)
        known.add(key)


def test_at_its_limit_it_takes_few_new_ones_for_known():
    """One in two thousand at the limit, fewer before: at most 10 of 10,000, by a wide margin."""
    seen = FirstPerEntity(10_000)
    assert sum(not seen.first(f"user-{n}") for n in range(10_000)) <= 10


def test_which_side_an_entity_is_on_does_not_sway_it():
    """Far beyond the limit many new ones count as known; on both sides alike."""
    from tidegate.release.splitter import takes_candidate

    seen, lost, asked = FirstPerEntity(200), [0, 0], [0, 0]
    for n in range(4000):
        side = takes_candidate("m-1", f"user-{n}", 0.5)
        asked[side] += 1
        lost[side] += not seen.first(f"user-{n}")
    shares = [lost[side] / asked[side] for side in (0, 1)]
    assert min(shares) > 0.5
    assert abs(shares[0] - shares[1]) < 0.05


def test_keys_that_are_no_text_at_all_are_keys():
    seen = FirstPerEntity(10)
    assert seen.first("\ud800")
    assert not seen.first("\ud800")


def test_an_entity_counts_where_it_first_had_an_event():
    events = FirstEvents(2)
    for step, arm, key, kinds in [
        (0, "champion", "ann", [0]),
        (1, "champion", "ann", [0, 1]),
        (0, "candidate", "bob", [0]),
        (0, "candidate", None, [0]),
        (0, "candidate", None, [0]),
        (0, "candidate", "eve", []),
    ]:
        events.add(step, arm, key, kinds)
    assert events.counts == {
        (0, "champion"): [1, 0],
        (1, "champion"): [0, 1],
        (0, "candidate"): [3, 0],
    }


def test_long_keys_are_told_apart_and_do_not_take_their_length():
    seen, length = FirstPerEntity(100), 100_000
    keys = [f"{'k' * length}{number}" for number in range(3)]
    assert [seen.first(key) for key in (*keys, *keys)] == [True] * 3 + [False] * 3
    assert sum(map(len, seen._recent)) < 200
