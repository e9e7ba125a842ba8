"""A release in one word."""

import pytest

from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Deployment, ReleaseStatus, Step, promoted
from tidegate.release.controller import Decision, Move, apply, start
from tidegate.release.counting import record, record_pair
from tidegate.release.verdict import verdict

POLICY = RolloutPolicy()


def canary(step=0):
    release = start(
        "m-2", candidate=2, champion=1, policy=POLICY, bad_above=0.0, now="2026-01-01T00:00:00Z"
    )
    for _ in range(step):
        release = apply(release, Decision(move=Move.STEP, harm=1.5), "2026-01-01T01:00:00Z")
    return release


def ended(move):
    return apply(canary(1), Decision(move=move, harm=120.0), "2026-01-01T02:00:00Z")


def word(release, *, kept=None, champion=1, step=None, version=None):
    deployment = Deployment(model="m", champion=champion, release=kept or release)
    return verdict(deployment, release, POLICY, step=step, version=version).verdict


def test_a_canary_is_held_and_its_earlier_steps_may_be_left():
    assert word(canary()) == word(canary(), step=1) == "hold"
    assert word(canary(1), step=1) == "promote"
    assert word(canary(1), step=2) == word(canary(1)) == "hold"


@pytest.mark.parametrize("step", [None, 1, 2])
def test_the_end_is_the_word_for_every_step(step):
    assert word(ended(Move.ROLL_BACK), step=step) == "rollback"
    assert word(ended(Move.PROMOTE), kept=canary(1), step=step) == "promote"


def test_one_that_is_judged_and_not_recorded_yet_is_not_taken_back():
    release = ended(Move.PROMOTE)
    assert release.status is ReleaseStatus.PROMOTED
    assert word(release, kept=canary(1), champion=1) == "promote"
    after = promoted(Deployment(model="m", champion=1, release=release))
    assert word(release, kept=release, champion=after.champion) == "promote"


def test_a_promotion_that_was_taken_back_since_is_a_rollback():
    release = ended(Move.PROMOTE)
    assert word(release, kept=release, champion=1) == "rollback"


def test_asked_of_a_version_it_does_not_speak_of_another():
    assert word(ended(Move.ROLL_BACK), version=3) == "hold"
    assert word(ended(Move.ROLL_BACK), version=2) == "rollback"
    assert word(canary(), version=1) == "promote"  # it is in production
    assert word(None) == word(None, version=3) == "hold"


def test_it_tells_what_it_rests_on():
    deployment = Deployment(model="m", champion=1, release=canary(1))
    found = verdict(deployment, canary(1), POLICY, step=None, version=None)
    assert (found.step, found.steps, found.share, found.needed) == (2, 2, 0.5, 200)
    assert (found.candidate, found.champion, found.line) == (2, 1, 100)


def test_labels_are_of_the_kind_that_the_step_needs():
    steps = [Step(share=0, min_labels=3), Step(share=0.5, min_labels=3)]
    policy = RolloutPolicy(steps=steps)
    release = start(
        "m-2", candidate=2, champion=1, policy=policy, bad_above=0.0, now="2026-01-01T00:00:00Z"
    )
    for _ in range(2):
        release = record_pair(release, step=0, champion_bad=False, candidate_bad=False)
    deployment = Deployment(model="m", champion=1, release=release)
    found = verdict(deployment, release, policy, step=None, version=None)
    assert (found.labels, found.needed) == (2, 3), "two pairs, not their four answers"
    release = apply(release, Decision(move=Move.STEP, harm=1.0), "2026-01-01T01:00:00Z")
    for arm in ("champion", "candidate"):
        release = record(release, step=1, arm=arm, bad=False)
    found = verdict(deployment, release, policy, step=None, version=None)
    assert (found.labels, found.needed) == (2, 3)
