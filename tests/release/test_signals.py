"""What counts as an event: slow answers, bands of answers, and labels of one age."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.release.judge import log_evidence
from tidegate.release.signals import (
    LATENCY_QUANTILES,
    band_of,
    classes,
    edges,
    log_bands,
    log_slow,
    matured,
)
from tidegate.release.signals import slow_above as limits_of

ALPHA, LINE, SHARE = 0.05, np.log(20), 0.1


def test_limits_are_the_champions_quantiles():
    assert limits_of(range(1001)) == pytest.approx([500, 900, 990])
    assert len(limits_of([3.0])) == len(LATENCY_QUANTILES)
    with pytest.raises(ValueError, match="latency"):
        limits_of([])


def latencies(rng, stretch, runs, requests):
    """Counts of slow answers, (runs, requests, quantiles, 1), as requests come, of each side."""
    ours = rng.random((runs, requests)) < SHARE
    took = rng.lognormal(0, 0.6, (runs, requests))
    took = np.where(ours & (took > np.exp(0.6)), took * stretch, took)
    limits = limits_of(rng.lognormal(0, 0.6, 300))  # known badly, which must not matter
    slow = took[..., None] > np.array(limits)
    counts = ((slow & side[..., None]).cumsum(axis=1)[..., None] for side in (ours, ~ours))
    return tuple(counts)


def test_latencies_that_are_alike_seldom_stop():
    """At most ALPHA and three standard errors of 300 runs, looked at after every request."""
    log = log_slow(*latencies(np.random.default_rng(1), 1.0, 300, 1500), SHARE)
    assert (log >= LINE).any(axis=1).mean() <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / 300) ** 0.5


def test_a_longer_tail_is_found():
    log = log_slow(*latencies(np.random.default_rng(2), 2.0, 50, 3000), SHARE)
    assert (log >= LINE).any(axis=1).mean() >= 0.9


@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1))
def test_the_most_frequent_classes_are_counted(answers):
    counted = classes(answers)
    assert counted == sorted(set(counted))
    assert len(counted) == min(20, len(set(answers)))
    rarest = min(answers.count(name) for name in counted)
    assert all(answers.count(name) <= rarest for name in set(answers) - set(counted))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_edges_ascend_between_the_champions_answers(answers):
    found = edges(answers)
    assert found == sorted(set(found))
    assert min(answers) <= found[0]
    assert found[-1] <= max(answers)


def bands(rng, champion, candidate, runs, requests):
    ours = rng.random((runs, requests)) < SHARE
    drawn = rng.random((runs, requests))
    band = np.where(
        ours, np.searchsorted(np.cumsum(candidate), drawn),
        np.searchsorted(np.cumsum(champion), drawn),
    )  # fmt: skip
    hit = band[..., None] == np.arange(len(champion))
    return tuple((hit & side[..., None]).cumsum(axis=1)[..., None] for side in (ours, ~ours))


def test_answers_distributed_alike_seldom_stop_even_with_no_tolerance():
    same = (0.6, 0.3, 0.08, 0.02)
    log = log_bands(*bands(np.random.default_rng(3), same, same, 300, 1500), SHARE, 1.0)
    assert (log >= LINE).any(axis=1).mean() <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / 300) ** 0.5


@pytest.mark.parametrize("moved", [(0.4, 0.3, 0.08, 0.22), (0.97, 0.01, 0.01, 0.01)])
def test_a_rare_answer_that_becomes_common_and_a_common_one_that_becomes_rare_are_found(moved):
    was = (0.6, 0.3, 0.08, 0.02)
    log = log_bands(*bands(np.random.default_rng(4), was, moved, 50, 4000), SHARE)
    assert (log >= LINE).any(axis=1).mean() >= 0.9


told = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 30)).map(lambda t: (t[0], t[0] + t[1])),
    max_size=40,
).map(lambda times: sorted(times, key=lambda t: t[1]))


@given(told, st.integers(1, 30), st.integers(0, 90))
def test_labels_mature_in_the_order_of_their_requests_and_none_twice(times, window, now):
    labels = [(answered, told, n) for n, (answered, told) in enumerate(times) if told <= now]
    ripe = list(matured(labels, window, now))
    answered = [times[n][0] for n in ripe]
    assert answered == sorted(answered)
    due = {n for at, came, n in labels if came - at <= window and at + window <= now}
    assert sorted(ripe) == sorted(due)


@given(told, st.integers(1, 30), st.integers(0, 90), st.integers(0, 90))
def test_more_labels_never_change_what_had_matured(times, window, one, other):
    early, late = sorted((one, other))

    def at(now):
        return list(matured([(a, t, n) for n, (a, t) in enumerate(times) if t <= now], window, now))

    assert at(late)[: len(at(early))] == at(early)


def test_where_mistakes_are_told_sooner_a_window_keeps_the_promise():
    """The candidate's bad answers are told at once, the champion's after up to 2,000 requests.

    Both are bad at 10%. As they come, the candidate is stopped far too often; with a window of
    2,000 requests at most ALPHA and three standard errors of 200 runs.
    """
    rng, runs = np.random.default_rng(5), 200
    stops = {"as they come": 0, "matured": 0}
    for _ in range(runs):
        ours = rng.random(4000) < 0.3
        bad = np.flatnonzero(rng.random(4000) < 0.1)
        came = bad + np.where(ours[bad], 0, rng.integers(0, 2000, len(bad)))
        order = np.argsort(came, kind="stable")
        labels = [(float(bad[n]), float(came[n]), bool(ours[bad[n]])) for n in order]
        for name, sides in (
            ("as they come", [side for _, _, side in labels]),
            ("matured", list(matured(labels, 2000, 1e9))),
        ):
            mine = np.cumsum(sides)[:, None]
            total = np.arange(1, len(sides) + 1)[:, None]
            stops[name] += bool((log_evidence(mine, total - mine, 0.3) >= LINE).any())
    assert stops["matured"] / runs <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / runs) ** 0.5
    assert stops["as they come"] / runs > 0.5


def test_an_answer_lies_in_one_band():
    numbers = [-3.5, 0.0, 0.25, 1.0, 7.25, 1e-7]
    assert [band_of(n, [0.0, 1.0], numbers=True) for n in numbers] == [[0], [1], [1], [2], [2], [1]]
    said = ["up", "down", "odd", 1, None]
    bands = ["down", "up"]
    assert [band_of(one, bands, numbers=False) for one in said] == [[1], [0], [], [], []]
