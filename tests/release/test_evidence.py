"""The kernel: an e-process in every use of it, by its mean and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tidegate.domain.rollout import Tally
from tidegate.release.judge import (
    AS_GOOD,
    as_good_e_value,
    harm_e_value,
    log_evidence,
    log_mean,
    log_paired,
    log_shift,
    value,
)
from tidegate.release.plan import labels_needed

ALPHA, LINE = 0.05, np.log(20)
events = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=80)
SHARES = (0.05, 0.3, 0.5)


def counted(events):
    tallies = [Tally(share=share) for share in SHARES]
    for step, ours in events:
        name = "candidate_bad" if ours else "champion_bad"
        tallies[step] = tallies[step].model_copy(update={name: getattr(tallies[step], name) + 1})
    return tallies


def at_most(rate, runs):
    """ALPHA, and three standard errors of so many runs."""
    return rate <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / runs) ** 0.5


@given(events, st.randoms())
def test_the_order_of_bad_answers_does_not_matter(given_events, random):
    shuffled = list(given_events)
    random.shuffle(shuffled)
    assert harm_e_value(counted(shuffled)) == harm_e_value(counted(given_events))


@given(events)
def test_a_change_of_share_counts_answer_by_answer(given_events):
    """The evidence for each risk ratio is the product of the single answers' evidence."""
    for ratio in (np.array([3.0]), np.array([0.5])):
        single = sum(
            float(log_evidence([int(ours)], [int(not ours)], SHARES[step], ratio))
            for step, ours in given_events
        )
        tallies = counted(given_events)
        whole = log_evidence(
            [t.candidate_bad for t in tallies], [t.champion_bad for t in tallies],
            list(SHARES), ratio,
        )  # fmt: skip
        assert float(whole) == pytest.approx(single, abs=1e-9)


def test_many_runs_at_once_are_each_run_alone():
    rng = np.random.default_rng(1)
    ours, theirs = rng.integers(0, 30, (2, 5, 7, 3))
    together = log_evidence(ours, theirs, np.array(SHARES))
    assert together.shape == (5, 7)
    alone = log_evidence(ours[4, 6], theirs[4, 6], np.array(SHARES))
    assert float(together[4, 6]) == pytest.approx(float(alone))


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("ratio", [1.0, 0.7])
def test_its_mean_without_harm_is_at_most_one(share, ratio):
    """Over all ways that 40 bad answers can fall; exactly 1 where the two are alike."""
    n, k = 40, np.arange(41)
    chance = binom.pmf(k, n, share * ratio / (share * ratio + 1 - share))
    mean = float(chance @ np.exp(log_evidence(k[:, None], n - k[:, None], share)))
    assert mean == pytest.approx(1.0) if ratio == 1 else mean < 1


@pytest.mark.parametrize("ratio", [1.25, 1.6])
def test_the_mean_for_as_good_is_at_most_one_at_the_margin_and_beyond(ratio):
    n, share = 40, 0.3
    mean = sum(
        binom.pmf(k, n, share * ratio / (share * ratio + 1 - share))
        * as_good_e_value([Tally(share=share, candidate_bad=k, champion_bad=n - k)], 0.25)
        for k in range(n + 1)
    )
    assert mean == pytest.approx(1.0) if ratio == 1.25 else mean < 1


def test_a_candidate_at_the_margin_is_seldom_promoted_however_often_one_looks():
    """At most ALPHA; 1,000 runs of 4,000 bad answers, looked at after each."""
    rng, runs, share = np.random.default_rng(2), 1000, 0.5
    ours = (rng.random((runs, 4000)) < share * 1.25 / (share * 1.25 + 1 - share)).cumsum(axis=1)
    theirs = np.arange(1, 4001) - ours
    log = log_evidence(ours[..., None], theirs[..., None], share, AS_GOOD, 1.25)
    assert at_most((log >= LINE).any(axis=1).mean(), runs)


def test_a_candidate_as_good_is_promoted_with_the_labels_that_the_plan_asks_for():
    """In nine of ten runs, as ``power`` says, give or take three standard errors."""
    rng, runs, share, bad = np.random.default_rng(3), 1000, 0.5, 0.15
    labels = labels_needed(share, bad, 0.25, alpha=ALPHA, power=0.9)
    asked = rng.binomial(labels, share, runs)
    ours, theirs = rng.binomial(asked, bad), rng.binomial(labels - asked, bad)
    promoted = np.mean(
        [
            as_good_e_value([Tally(share=share, candidate_bad=a, champion_bad=b)], 0.25) >= 20
            for a, b in zip(ours.tolist(), theirs.tolist(), strict=True)
        ]
    )
    assert promoted >= 0.9 - 3 * (0.09 / runs) ** 0.5
    assert (
        labels_needed(share, bad, 0.5, alpha=ALPHA)
        < labels
        < labels_needed(0.1, bad, 0.25, alpha=ALPHA)
    )


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match="margin"):
        as_good_e_value([], margin)


def test_shadowed_pairs_without_difference_seldom_stop():
    """Sequential McNemar, looked at after every pair that differs."""
    rng, runs = np.random.default_rng(4), 1000
    ours = (rng.random((runs, 2000)) < 0.5).cumsum(axis=1)
    log = log_paired(ours, np.arange(1, 2001) - ours)
    assert at_most((log >= LINE).any(axis=1).mean(), runs)


def test_a_shadow_needs_far_fewer_labels_than_a_split():
    """0.88 against 0.85 where they differ on 6%: the median over 100 runs of each."""
    rng = np.random.default_rng(5)
    both = rng.multinomial(10, [0.045, 0.015, 0.94], (100, 300)).cumsum(axis=1)
    found = log_paired(both[..., 0], both[..., 1]) >= LINE
    paired = np.median(10 * (found.argmax(axis=1) + 1))
    asked = rng.binomial(200, 0.05, (100, 500))
    ours, theirs = rng.binomial(asked, 0.15), rng.binomial(200 - asked, 0.12)
    split = log_evidence(ours.cumsum(1)[..., None], theirs.cumsum(1)[..., None], 0.05) >= LINE
    assert found.any(axis=1).all()
    assert split.any(axis=1).mean() > 0.9
    assert paired < 0.1 * np.median(200 * (split.argmax(axis=1) + 1))


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_shift_looks_both_ways_alike(ours, theirs):
    assert float(log_shift([ours], [theirs], 0.5, 2.0)) == pytest.approx(
        float(log_shift([theirs], [ours], 0.5, 2.0)), abs=1e-9
    )


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_a_tolerated_shift_seldom_stops(ratio):
    rng, runs, share = np.random.default_rng(6), 600, 0.2
    ours = (rng.random((runs, 1500)) < share * ratio / (share * ratio + 1 - share)).cumsum(axis=1)
    log = log_shift(ours[..., None], np.arange(1, 1501)[:, None] - ours[..., None], share, 2.0)
    assert at_most((log >= LINE).any(axis=1).mean(), runs)


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=6),
    st.lists(st.floats(0.1, 10), min_size=6, max_size=6),
)
def test_a_pooled_value_is_the_weighted_mean(logs, weights):
    weights = weights[: len(logs)]
    assert float(np.exp(log_mean(logs, weights))) == pytest.approx(
        float(np.average(np.exp(logs), weights=weights)), rel=1e-9
    )


def test_values_stay_finite():
    assert np.isfinite(value(1e9))
    assert float(log_mean([-np.inf, -np.inf])) == -np.inf
