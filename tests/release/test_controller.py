"""The rollout: step by step on labels enough, back at once on harm or failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import ReleaseStatus, Step
from tidegate.release.controller import Move, apply, decide, record, start, with_failures

POLICY = RolloutPolicy(
    steps=[Step(share=0.2, min_labels=10), Step(share=0.5, min_labels=10)], max_failures=2
)


def begun(**changed):
    facts = {"candidate": 2, "champion": 1, "policy": POLICY, "bad_above": 0.0, "now": "t0"}
    return start("m-2", **(facts | changed))


def labelled(release, count, *, arm="champion", bad=False):
    for _ in range(count):
        release = record(release, step=release.step, arm=arm, bad=bad)
    return release


def settled(release):
    return apply(release, decide(release, POLICY), "t1")


def test_it_begins_with_the_smallest_share():
    release = begun()
    assert (release.status, release.share, release.step) == (ReleaseStatus.CANARY, 0.2, 0)


def test_a_first_version_has_nobody_to_be_compared_with():
    release = begun(champion=None)
    assert (release.status, release.share) == (ReleaseStatus.PROMOTED, 1.0)


def test_it_waits_for_labels_then_steps_then_is_promoted():
    release = labelled(begun(), 9)
    assert decide(release, POLICY).move is Move.WAIT
    release = settled(labelled(release, 1, arm="candidate"))
    assert (release.step, release.share) == (1, 0.5)
    release = settled(labelled(release, 10))
    assert release.status is ReleaseStatus.PROMOTED
    assert release.ended_at == "t1"
    assert [tally.labels for tally in release.tallies] == [10, 10]


def test_harm_rolls_back_even_where_the_labels_are_enough():
    release = settled(labelled(labelled(begun(), 30, arm="candidate", bad=True), 30))
    assert release.status is ReleaseStatus.ROLLED_BACK
    assert release.share == 0.0
    assert "evidence of harm" in release.reason.text()
    assert release.harm >= 1 / POLICY.alpha


def test_failures_roll_back_without_a_single_label():
    assert decide(with_failures(begun(), {0: 2}), POLICY).move is Move.WAIT
    release = settled(with_failures(begun(), {0: 3}))
    assert release.status is ReleaseStatus.ROLLED_BACK
    assert "failed 3 requests" in release.reason.text()


def test_failures_are_set_not_added():
    release = with_failures(with_failures(begun(), {0: 1}), {0: 1})
    assert release.tallies[0].candidate_failures == 1


def test_a_late_label_counts_at_the_step_its_answer_was_given_in():
    release = settled(labelled(begun(), 10))
    release = record(release, step=0, arm="candidate", bad=True)
    assert (release.tallies[0].candidate_bad, release.tallies[1].labels) == (1, 0)


@given(st.lists(st.tuples(st.sampled_from(["champion", "candidate"]), st.booleans()), max_size=60))
def test_every_label_is_counted_once(events):
    release = begun()
    for arm, bad in events:
        release = record(release, step=0, arm=arm, bad=bad)
    (tally,) = release.tallies
    assert tally.labels == len(events)
    assert tally.candidate_bad + tally.champion_bad == sum(bad for _, bad in events)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [{"share": 0, "min_labels": 9}],
        [{"share": 1.5, "min_labels": 9}],
        [{"share": 0.5, "min_labels": 0}],
        [{"share": 0.5, "min_labels": 9}, {"share": 0.1, "min_labels": 9}],
    ],
)
def test_a_rollout_without_steps_or_with_wrong_ones_is_no_policy(given):
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        RolloutPolicy(steps=given)
