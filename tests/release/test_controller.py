"""The rollout: step by step on labels enough, back at once on harm or failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import ReleaseStatus, Step, Tally
from tidegate.release.controller import Move, apply, decide, start
from tidegate.release.counting import record, record_pair, with_events, with_failures

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
    assert decide(with_failures(begun(), {(0, "candidate"): 2}), POLICY).move is Move.WAIT
    release = settled(with_failures(begun(), {(0, "candidate"): 3}))
    assert release.status is ReleaseStatus.ROLLED_BACK
    assert "failed to answer 3 rows" in release.reason.text()


def test_failures_are_set_not_added():
    release = with_failures(with_failures(begun(), {(0, "candidate"): 1}), {(0, "candidate"): 1})
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


def policy(**changed):
    return RolloutPolicy(**(POLICY.model_dump() | changed))


def test_a_step_lasts_its_minutes():
    timed = policy(steps=[{"share": 0.2, "min_labels": 5, "min_minutes": 30}])
    release = labelled(begun(policy=timed, now="2026-01-01T10:00:00+00:00"), 5)
    waits = decide(release, timed, "2026-01-01T10:29:59+00:00")
    assert (waits.move, "30 minutes" in waits.reason.text()) == (Move.WAIT, True)
    assert decide(release, timed, "2026-01-01T10:30:00+00:00").move is Move.PROMOTE


def test_each_step_has_its_own_clock():
    timed = policy(
        steps=[
            {"share": 0.2, "min_labels": 5},
            {"share": 0.5, "min_labels": 5, "min_minutes": 30},
        ]
    )
    later, end = "2026-01-01T12:00:00+00:00", "2026-01-01T12:10:00+00:00"
    release = labelled(begun(policy=timed, now="2026-01-01T10:00:00+00:00"), 5)
    release = labelled(apply(release, decide(release, timed, later), later), 5)
    assert (release.step, decide(release, timed, end).move) == (1, Move.WAIT)


def test_harm_does_not_wait_for_the_clock():
    timed = policy(steps=[{"share": 0.2, "min_labels": 5, "min_minutes": 30}])
    release = labelled(begun(policy=timed), 30, arm="candidate", bad=True)
    assert decide(release, timed, "2026-01-01T10:00:00+00:00").move is Move.ROLL_BACK


def test_the_limit_on_harm_counts_beyond_the_champions_share():
    limited = policy(alpha=1e-9, max_harm=10)
    release = labelled(labelled(begun(policy=limited), 15, arm="candidate", bad=True), 20, bad=True)
    assert decide(release, limited).move is Move.STEP  # 15 of its own, 20 * 0.2 / 0.8 expected
    stopped = decide(labelled(release, 1, arm="candidate", bad=True), limited)
    assert stopped.move is Move.ROLL_BACK
    assert "11 bad answers more" in stopped.reason.text()
    assert stopped.harm < 1e9


def test_with_a_margin_labels_are_not_enough():
    strict = policy(steps=[{"share": 0.5, "min_labels": 10}], margin=0.25)
    release = labelled(labelled(begun(policy=strict), 50), 50, arm="candidate")
    held = decide(release, strict)
    assert (held.move, held.as_good) == (Move.WAIT, 1.0)
    assert "no worse" in held.reason.text()
    assert apply(release, held, "t1").waits == held.reason
    shown = decide(labelled(release, 60, bad=True), strict)
    assert shown.move is Move.PROMOTE
    assert shown.as_good >= 1 / strict.alpha


def test_a_margin_is_asked_for_at_the_last_step_only():
    strict = policy(margin=0.25)
    release = labelled(begun(policy=strict), 10)
    assert decide(release, strict).move is Move.STEP


def test_by_hand_each_step_waits_for_a_person():
    handled = policy(by_hand=True)
    release = labelled(begun(policy=handled), 10)
    held = decide(release, handled)
    assert (held.move, "by hand" in held.reason.text()) == (Move.WAIT, True)
    cleared = release.model_copy(update={"cleared": 1})
    assert decide(cleared, handled).move is Move.STEP
    second = labelled(apply(cleared, decide(cleared, handled), "t1"), 10)
    assert (second.step, decide(second, handled).move) == (1, Move.WAIT)
    assert decide(second.model_copy(update={"cleared": 2}), handled).move is Move.PROMOTE


def test_one_entitys_bad_answers_are_one_piece_of_evidence():
    release = begun()
    for number in range(40):
        first = number == 0
        release = record(release, step=0, arm="candidate", bad=True, first=first, first_bad=first)
    (tally,) = release.tallies
    assert (tally.candidate_bad, tally.bad_entities, tally.first_bad) == (40, (0, 1), (0, 1))
    assert decide(release, POLICY).harm < 10
    assert tally.excess == 40


def test_an_entity_whose_later_answer_is_bad_counts_for_harm_and_not_for_being_as_good():
    release = record(begun(), step=0, arm="candidate", bad=False)
    release = record(release, step=0, arm="candidate", bad=True, first=False, first_bad=True)
    assert (release.tallies[0].bad_entities, release.tallies[0].first_bad) == ((0, 1), (0, 0))


def test_a_release_of_before_entities_goes_on_where_it_was():
    release = begun()
    old = release.tallies[0].model_copy(update={"candidate_bad": 3, "candidate_labels": 3})
    release = record(
        release.model_copy(update={"tallies": [old]}), step=0, arm="candidate", bad=True
    )
    assert release.tallies[0].bad_entities == (0, 4)


def test_after_many_releases_it_takes_more_to_stop_one():
    first, spent = begun(), 0.0
    assert first.alpha == POLICY.alpha
    for _ in range(30):
        release = begun(spent=spent)
        spent = release.spent
    assert release.alpha < first.alpha
    harm = labelled(first, 9, arm="candidate", bad=True)
    value = decide(harm, POLICY).harm
    assert 1 / first.alpha <= value < 1 / (release.alpha / 100)
    assert decide(harm, POLICY).move is Move.ROLL_BACK
    strict = harm.model_copy(update={"alpha": 0.9 / value})
    assert decide(strict, POLICY).move is Move.WAIT


def test_slow_answers_are_harm():
    def slow(theirs, ours):
        return {(0, "champion"): [400, theirs], (0, "candidate"): [100, ours]}

    release = begun(slow_above=(5.0, 9.0))
    alike = with_events(release, "slow", slow(80, 20), 2)
    assert decide(alike, POLICY).move is Move.WAIT
    slower = with_events(release, "slow", slow(80, 90), 2)
    assert slower.tallies[0].candidate_slow == (100, 90)
    assert decide(slower, POLICY).move is Move.ROLL_BACK


def test_a_step_that_saw_nothing_slow_yet_is_no_hindrance():
    release = with_events(begun(slow_above=(5.0,)), "slow", {}, 1)
    assert release.tallies[0].candidate_slow == (0,)
    assert decide(release, POLICY).harm == 1.0


def test_a_step_that_has_only_begun_counts_for_nothing():
    release = with_events(begun(slow_above=(5.0,)), "slow", {(0, "candidate"): [7]}, 1)
    two = release.model_copy(update={"tallies": [*release.tallies, Tally(share=0.5)]})
    assert decide(two.model_copy(update={"step": 1}), POLICY).harm == decide(release, POLICY).harm


def test_answers_of_another_kind_are_harm_where_policy_says_so():
    counts = {(0, "champion"): [800, 16], (0, "candidate"): [200, 80]}
    release = with_events(begun(bands=("down", "up")), "bands", counts, 2)
    assert decide(release, policy(answers_beyond=2)).move is Move.ROLL_BACK
    assert decide(release, policy(answers_beyond=30)).move is Move.WAIT
    assert decide(release, POLICY).move is Move.WAIT


OFFICE = {"days": ["mon", "tue"], "begin": "09:00", "end": "17:00"}


@pytest.mark.parametrize(
    ("now", "move"),
    [
        ("2026-01-05T09:00:00+00:00", Move.STEP),  # a Monday
        ("2026-01-05T08:59:59+00:00", Move.WAIT),
        ("2026-01-05T16:59:59+00:00", Move.STEP),
        ("2026-01-05T17:00:00+00:00", Move.WAIT),
        ("2026-01-05T17:30:00+01:00", Move.STEP),  # 16:30 UTC
        ("2026-01-06T12:00:00+00:00", Move.STEP),
        ("2026-01-07T12:00:00+00:00", Move.WAIT),
        ("2026-01-10T22:00:00+00:00", Move.STEP),  # the other window, a Saturday night
    ],
)
def test_a_step_begins_in_a_window(now, move):
    timed = policy(windows=[OFFICE, {"days": ["sat"], "begin": "22:00"}])
    release = labelled(begun(policy=timed), 10)
    decision = decide(release, timed, now)
    assert decision.move is move
    assert (decision.reason is None) == (move is Move.STEP)


def test_the_first_step_begins_at_once_and_one_let_begin_by_hand_waits_for_its_window():
    night = "2026-01-10T03:00:00+00:00"
    timed = policy(windows=[OFFICE], by_hand=True)
    release = begun(policy=timed)
    assert (release.under_way, release.step, release.share > 0) == (True, 0, True)
    release = labelled(release, 10).model_copy(update={"cleared": 1})
    assert decide(release, timed, night).move is Move.WAIT
    assert decide(release, timed, "2026-01-05T09:00:00+00:00").move is Move.STEP


def test_going_back_waits_for_no_window():
    timed = policy(windows=[OFFICE])
    release = labelled(begun(policy=timed), 30, arm="candidate", bad=True)
    assert decide(release, timed, "2026-01-10T03:00:00+00:00").move is Move.ROLL_BACK


@pytest.mark.parametrize(
    "given",
    [
        {"begin": "17:00", "end": "09:00"},
        {"begin": "9:00"},
        {"end": "25:00"},
        {"days": []},
        {"days": ["monday"]},
    ],
)
def test_a_window_that_is_none_is_no_policy(given):
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        RolloutPolicy(windows=[given])


SHADOWED = {
    "steps": [
        {"share": 0, "min_labels": 10, "min_minutes": 30},
        {"share": 0.2, "min_labels": 10},
    ]
}


def paired(release, count, *, champion_bad=False, candidate_bad=False):
    for _ in range(count):
        release = record_pair(
            release, step=0, champion_bad=champion_bad, candidate_bad=candidate_bad
        )
    return release


def test_a_shadow_moves_on_to_the_first_share_with_its_pairs_and_its_minutes():
    shadowed = policy(**SHADOWED)
    release = begun(policy=shadowed, now="2026-01-01T10:00:00+00:00")
    assert (release.status, release.share, release.under_way) == (ReleaseStatus.SHADOW, 0.0, True)
    early, due = "2026-01-01T10:29:00+00:00", "2026-01-01T10:30:00+00:00"
    assert decide(paired(release, 9), shadowed, due).move is Move.WAIT
    release = paired(release, 10)
    assert decide(release, shadowed, early).move is Move.WAIT
    release = apply(release, decide(release, shadowed, due), due)
    assert (release.status, release.share, release.step) == (ReleaseStatus.CANARY, 0.2, 1)
    assert release.tallies[0].told == 10
    assert decide(labelled(release, 10), shadowed, due).move is Move.PROMOTE


def test_labels_that_have_no_pair_do_not_end_a_shadow():
    release = labelled(begun(policy=policy(**SHADOWED)), 50)
    assert release.tallies[0].told == 0


def test_harm_in_the_shadow_ends_the_release_before_anybody_is_touched():
    shadowed = policy(**SHADOWED)
    release = paired(begun(policy=shadowed), 15, candidate_bad=True)
    decision = decide(release, shadowed)
    assert decision.move is Move.ROLL_BACK
    assert apply(release, decision, "t1").tallies[0].excess == 0
    alike = paired(paired(begun(policy=shadowed), 15, candidate_bad=True), 15, champion_bad=True)
    assert decide(alike, shadowed).harm < 10


def test_pairs_on_which_both_are_bad_say_nothing_of_harm():
    release = paired(begun(policy=policy(**SHADOWED)), 500, champion_bad=True, candidate_bad=True)
    assert decide(release, policy(**SHADOWED)).harm == 1.0


def test_a_good_shadow_does_not_hide_a_harm_that_shows_on_traffic():
    """The two are pooled and not multiplied."""
    shadowed = policy(**SHADOWED)
    release = paired(begun(policy=shadowed), 500, champion_bad=True)
    release = apply(release, decide(release, shadowed), "t1")
    harmed = labelled(release, 15, arm="candidate", bad=True)
    assert decide(harmed, shadowed).move is Move.ROLL_BACK


def test_one_entity_is_one_pair_of_evidence():
    release = begun(policy=policy(**SHADOWED))
    for number in range(50):
        release = record_pair(
            release, step=0, champion_bad=False, candidate_bad=True,
            first=number == 0, first_differing=number == 0,
        )  # fmt: skip
    tally = release.tallies[0]
    assert (tally.told, tally.candidate_bad, tally.candidate_only) == (50, 50, 1)
    assert decide(release, policy(**SHADOWED)).harm < 10


def test_a_shadows_failures_count_against_the_candidate():
    shadowed = policy(**SHADOWED)
    release = with_failures(begun(policy=shadowed), {(0, "candidate"): 3})
    assert decide(release, shadowed).move is Move.ROLL_BACK


def test_failures_are_held_against_those_of_the_champion():
    """At a share of 0.2 the champion's 40 would be 10 of the candidate's."""
    both = {(0, "candidate"): 12, (0, "champion"): 40}
    assert decide(with_failures(begun(), both), POLICY).move is Move.WAIT
    assert decide(with_failures(begun(), both | {(0, "candidate"): 13}), POLICY).move is (
        Move.ROLL_BACK
    )


def test_a_shadow_serves_the_margin_as_well():
    """Where the candidate is far better on pairs, few labels on traffic are left to ask for."""
    shadowed = policy(**SHADOWED, margin=0.25)
    release = paired(begun(policy=shadowed), 300, champion_bad=True)
    release = labelled(apply(release, decide(release, shadowed), "t1"), 10)
    decision = decide(release, shadowed)
    assert (decision.move, decision.as_good > 100) == (Move.PROMOTE, True)


@pytest.mark.parametrize(
    "steps",
    [
        [{"share": 0, "min_labels": 9}],
        [{"share": 0.1, "min_labels": 9}, {"share": 0, "min_labels": 9}],
        [{"share": 0.1, "min_labels": 9, "sample": 0.5}],
        [{"share": 0, "min_labels": 9, "sample": 0}, {"share": 0.1, "min_labels": 9}],
    ],
)
def test_a_shadow_that_is_none_is_no_policy(steps):
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        RolloutPolicy(steps=steps)
