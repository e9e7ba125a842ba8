"""The judge keeps its promise: it cries wolf at most as often as policy allows, and finds harm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.rollout import Tally
from tidegate.release.judge import harm_e_value

ALPHA = 0.05


def stopped(rng, *, champion, candidate, share, requests, runs):
    """Share of runs in which the judge, looking after every request, ever acts at ALPHA."""
    stops = 0
    for _ in range(runs):
        arm = rng.random(requests) < share
        bad = rng.random(requests) < np.where(arm, candidate, champion)
        ours, theirs = 0, 0
        for took in arm[bad]:
            ours, theirs = ours + int(took), theirs + int(not took)
            # It can only grow where the candidate answers badly: elsewhere one need not look.
            tally = Tally(share=share, candidate_bad=ours, champion_bad=theirs)
            if took and harm_e_value([tally]) >= 1 / ALPHA:
                stops += 1
                break
    return stops / runs


@pytest.mark.parametrize(("share", "rate"), [(0.05, 0.3), (0.1, 0.1), (0.5, 0.3), (0.5, 0.02)])
def test_harmless_candidates_are_seldom_stopped(share, rate):
    """At most ALPHA by Ville's inequality; 600 runs add at most three standard errors."""
    rng = np.random.default_rng(7)
    stops = stopped(rng, champion=rate, candidate=rate, share=share, requests=2000, runs=600)
    assert stops <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / 600) ** 0.5


def test_better_candidates_are_hardly_ever_stopped():
    rng = np.random.default_rng(8)
    assert stopped(rng, champion=0.2, candidate=0.1, share=0.2, requests=2000, runs=200) <= 0.01


@pytest.mark.parametrize(
    ("share", "champion", "candidate", "requests"),
    [(0.1, 0.1, 0.3, 1500), (0.5, 0.1, 0.2, 1500), (0.2, 0.0, 0.05, 1500), (0.5, 0.3, 0.4, 4000)],
)
def test_harm_is_found(share, champion, candidate, requests):
    """In at least nine of ten runs."""
    rng = np.random.default_rng(9)
    found = stopped(
        rng, champion=champion, candidate=candidate, share=share, requests=requests, runs=60
    )
    assert found >= 0.9


@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.01, 0.99))
def test_one_more_bad_answer_of_the_candidate_is_never_evidence_for_it(ours, theirs, share):
    def at(bad):
        return harm_e_value([Tally(share=share, candidate_bad=bad, champion_bad=theirs)])

    assert at(ours + 1) >= at(ours)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=4))
def test_steps_of_one_share_count_as_one(counts):
    split = [Tally(share=0.3, candidate_bad=a, champion_bad=b) for a, b in counts]
    whole = Tally(
        share=0.3,
        candidate_bad=sum(a for a, _ in counts),
        champion_bad=sum(b for _, b in counts),
    )
    assert harm_e_value(split) == pytest.approx(harm_e_value([whole]))


def test_under_no_difference_it_expects_one():
    """An e-value: its mean over all ways that n bad answers can fall is exactly 1."""
    from scipy.stats import binom

    share, n = 0.2, 30
    mean = sum(
        binom.pmf(k, n, share)
        * harm_e_value([Tally(share=share, candidate_bad=k, champion_bad=n - k)])
        for k in range(n + 1)
    )
    assert mean == pytest.approx(1.0)


def test_a_catastrophe_is_a_number_still():
    assert np.isfinite(harm_e_value([Tally(share=0.01, candidate_bad=100_000)]))
