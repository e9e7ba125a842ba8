"""Segments under one budget: a candidate alike in all is seldom stopped, harm in one is found."""

import numpy as np
import pytest

from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Tally
from tidegate.domain.segments import Segment, as_segment, segments_of
from tidegate.release.controller import start
from tidegate.release.evidence import harm
from tidegate.release.judge import log_evidence, log_paired, log_paired_as_good
from tidegate.release.signals import MAX_SEGMENTS, segments

ALPHA, LINE, RUNS = 0.05, 20.0, 400
SEGMENTS = [Segment(column="at", value=f"s{n}") for n in range(9)] + [Segment(column="at")]
#: A tenth of the requests each, and bad answers of very different frequency.
RATES = np.linspace(0.02, 0.4, len(SEGMENTS))


def traffic(rng, requests, harmed, *, share=0.3):
    """Bad answers of the candidate and of the champion in each segment, (runs, requests,
    segments) each, cumulated; ``harmed``: how many times as often the candidate's are bad, by
    segment."""
    where = rng.integers(0, len(SEGMENTS), (RUNS, requests))
    ours = rng.random((RUNS, requests)) < share
    rate = RATES[where] * np.where(ours, np.asarray(harmed)[where], 1.0)
    bad = rng.random((RUNS, requests)) < rate
    inside = where[..., None] == np.arange(len(SEGMENTS))
    return [
        (inside & (bad & side)[..., None]).cumsum(axis=1, dtype=np.int32) for side in (ours, ~ours)
    ]


def evidence(ours, theirs, share=0.3):
    """As ``harm`` pools it, at every request: (runs, requests)."""
    whole = log_evidence(ours.sum(-1)[..., None], theirs.sum(-1)[..., None], share)
    parts = log_evidence(ours[..., None], theirs[..., None], share)
    return (np.exp(whole) + np.exp(parts).mean(axis=-1)) / 2


def test_it_is_what_the_controller_pools():
    rng = np.random.default_rng(1)
    ours, theirs = rng.integers(0, 30, (2, len(SEGMENTS)))
    policy = RolloutPolicy(steps=[{"share": 0.3, "min_labels": 9}])
    release = start(
        "m-2", candidate=2, champion=1, policy=policy, bad_above=0.0, now="t0", segments=SEGMENTS
    )
    tally = Tally(
        share=0.3, candidate_bad=int(ours.sum()), champion_bad=int(theirs.sum()),
        candidate_segments=tuple(ours.tolist()), champion_segments=tuple(theirs.tolist()),
    )  # fmt: skip
    found = harm(release.model_copy(update={"tallies": [tally]}), policy)
    assert found.e_value == pytest.approx(float(evidence(ours, theirs)))


def test_alike_in_all_segments_it_is_seldom_stopped():
    """At most ALPHA, looked at after every request: 400 runs, three standard errors."""
    alike = np.ones(len(SEGMENTS))
    value = evidence(*traffic(np.random.default_rng(2), 1500, alike))
    assert (value >= LINE).any(axis=1).mean() <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


def test_harm_in_one_segment_of_a_candidate_that_is_better_elsewhere_is_found():
    """Overall as good as the champion, bad 2.5 times as often where a tenth of the requests are."""
    harmed = np.full(len(SEGMENTS), 0.7)
    harmed[8] = 2.5
    assert RATES @ harmed == pytest.approx(RATES.sum(), rel=0.03)
    ours, theirs = traffic(np.random.default_rng(3), 4000, harmed)
    found = (evidence(ours, theirs) >= LINE).any(axis=1).mean()
    whole = log_evidence(ours.sum(-1)[..., None], theirs.sum(-1)[..., None], 0.3)
    blind = (np.exp(whole) >= LINE).any(axis=1).mean()
    assert found > 0.9
    assert blind < 0.1


def test_the_segment_is_named_and_a_harm_to_all_is_not_put_down_to_one():
    policy = RolloutPolicy(steps=[{"share": 0.5, "min_labels": 9}])
    release = start(
        "m-2", candidate=2, champion=1, policy=policy, bad_above=0.0, now="t0", segments=SEGMENTS
    )

    def found(ours, theirs):
        tally = Tally(
            share=0.5, candidate_bad=sum(ours), champion_bad=sum(theirs),
            candidate_segments=tuple(ours), champion_segments=tuple(theirs),
        )  # fmt: skip
        return harm(release.model_copy(update={"tallies": [tally]}), policy).segment

    ten = [10] * 10
    assert found([4] * 8 + [60, 4], ten) == "at=s8"
    assert found([4] * 8 + [4, 60], ten) == "at=*"
    assert found([40] * 10, ten) is None


def test_pairs_by_segment_are_found_in_the_shadow():
    shadowed = RolloutPolicy(steps=[{"share": 0, "min_labels": 9}, {"share": 0.5, "min_labels": 9}])
    release = start(
        "m-2", candidate=2, champion=1, policy=shadowed, bad_above=0.0, now="t0",
        segments=SEGMENTS,
    )  # fmt: skip
    tally = Tally(
        share=0, candidate_only=24, champion_only=24,
        candidate_segments=(0,) * 9 + (20,), champion_segments=(2,) * 9 + (0,),
    )  # fmt: skip
    e_value, segment = harm(release.model_copy(update={"tallies": [tally]}), shadowed)
    assert (segment, e_value > 100) == ("at=*", True)


@pytest.mark.parametrize("ratio", [1.25, 1.6])
def test_pairs_at_the_margin_seldom_show_that_it_is_as_good(ratio):
    """At most ALPHA: 1,000 runs of 2,000 pairs, looked at after each."""
    rng, runs = np.random.default_rng(4), 1000
    both, theirs = 0.08, 0.04
    ours = (both + theirs) * ratio - both
    counts = np.stack(
        [
            rng.multinomial(1, [both, ours, theirs, 1 - both - ours - theirs], 2000).cumsum(axis=0)
            for _ in range(runs)
        ]
    )
    log = log_paired_as_good(counts[..., 0], counts[..., 1], counts[..., 2], 0.25)
    rate = (np.exp(log) >= LINE).any(axis=1).mean()
    assert rate <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / runs) ** 0.5


def test_pairs_of_one_as_good_show_it_and_sooner_than_a_split_does():
    rng, runs, pairs = np.random.default_rng(5), 300, 6000
    counts = rng.multinomial(pairs, [0.10, 0.02, 0.02, 0.86], runs)
    log = log_paired_as_good(counts[:, 0], counts[:, 1], counts[:, 2], 0.25)
    assert (np.exp(log) >= LINE).mean() > 0.95
    assert (log_paired(counts[:, 1], counts[:, 2]) < np.log(LINE)).mean() > 0.9


def test_segments_are_bounded_and_each_row_is_in_one_of_each_column():
    frequent = {
        "at": {f"s{n}": 100 - n for n in range(50)},
        "by": {"phone": 5, "desk": 9},
        "odd": {},
    }
    found = segments(frequent)
    assert len(found) <= MAX_SEGMENTS
    assert [str(one) for one in found if one.column == "by"] == ["by=desk", "by=phone", "by=*"]
    for row in ({"at": "s0", "by": "desk"}, {"at": "s49"}, {"by": 7.0, "odd": None}, {}):
        places = segments_of(found, row)
        assert sorted(found[at].column for at in places) == ["at", "by", "odd"]
    assert segments({f"c{n}": {"a": 9} for n in range(40)})[-1] == Segment(column="c19")
    assert segments({}) == []


def test_a_value_is_the_same_segment_in_whatever_type_it_comes():
    assert {as_segment(value) for value in (3, 3.0, "3", "3.0")} == {"3"}
    assert as_segment(True) == as_segment("true")
    assert as_segment(None) == "(missing)"
