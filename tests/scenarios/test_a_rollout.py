"""What policy asks of a canary, through the public interface."""

import copy
import time
from datetime import UTC, datetime

import pytest

from tidegate.domain.errors import Conflict
from tidegate.domain.rollout import DAYS, ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome
from tidegate.process.canary import SETTLED_SECONDS
from tidegate.release.splitter import takes_candidate


@pytest.fixture
def canary(team, make_rows):
    """A second version on a canary, under a policy that differs from the team's in this."""

    def started(**rollout):
        changed = copy.deepcopy(team.model)
        changed["policy"]["rollout"] |= rollout
        with team.as_("root") as root:
            root.apply_model(changed)
        team.approved(make_rows(1))
        return team.approved(make_rows(2))

    return started


def asked(team, frame, keys, *, wrong=()):
    """One request a row; every answer is labelled, and those of versions in ``wrong`` as wrong."""
    serving = team.ws.serving()
    answers = serving.infer("m", frame.drop("y"), keys)
    serving.feedback(
        "m",
        {a.request_id: 1 - a.prediction if a.version in wrong else a.prediction for a in answers},
    )
    return answers


def test_one_busy_user_does_not_roll_a_version_back(team, canary, make_rows):
    """A user on the candidate's side is wrong three hundred times; per request that is harm."""
    update = canary()
    rows, key = make_rows(5, 300), _on_candidate(team, make_rows)
    answers = asked(team, rows, [key] * 300, wrong={2})
    assert {a.arm for a in answers} == {"candidate"}
    release = team.ws.deployment_now("m").release
    assert team.ws.update(update.id).outcome is None
    assert sum(t.candidate_bad for t in release.tallies) >= 300
    assert sum(t.bad_entities[1] for t in release.tallies) <= 2
    assert release.harm < 100


def test_counted_per_request_the_same_user_does(team, canary, make_rows):
    update = canary(count_per="request")
    key = _on_candidate(team, make_rows)
    asked(team, make_rows(5, 300), [key] * 300, wrong={2})
    assert team.ws.update(update.id).outcome is Outcome.ROLLED_BACK


def test_a_limit_on_harm_stops_it_all_the_same(team, canary, make_rows):
    update = canary(max_harm=100)
    key = _on_candidate(team, make_rows)
    asked(team, make_rows(5, 300), [key] * 300, wrong={2})
    ended = team.ws.update(update.id)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert ended.filed[-1].verdict.findings[0].code == "max_harm"


def _on_candidate(team, make_rows):
    """A key whose requests the candidate answers."""
    serving, rows = team.ws.serving(), make_rows(6, 60)
    answers = serving.infer("m", rows.drop("y"), [f"user-{n}" for n in range(60)])
    return next(a.key for a in answers if a.arm == "candidate")


def test_steps_by_hand(team, canary):
    update = team.traffic(canary(by_hand=True), bursts=10)
    assert (update.stage, team.ws.deployment("m").release.step) == (Stage.RELEASE, 0)
    assert "by hand" in update.waiting.text()
    with team.as_("oli") as oli:
        update = oli.promote("m", step=True)
    assert (update.stage, team.ws.deployment("m").release.step) == (Stage.RELEASE, 1)
    update = team.traffic(update, bursts=10)
    assert update.stage is Stage.RELEASE
    with team.as_("oli") as oli:
        update = oli.promote("m", step=True)
    assert team.ws.deployment("m").champion == 2
    assert all(again.same for again in team.ws.replay(update.id))


def test_outside_its_windows_nothing_begins_but_by_hand(team, canary):
    day = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    update = team.traffic(canary(windows=[{"days": [day]}]), bursts=10)
    assert (update.stage, team.ws.deployment("m").release.step) == (Stage.RELEASE, 0)
    assert "one of policy's windows" in update.waiting.text()
    with team.as_("oli") as oli:
        oli.promote("m")
    assert team.ws.deployment("m").champion == 2


def test_no_step_waits_for_a_person_where_none_is_by_hand(team, canary):
    canary()
    with team.as_("oli") as oli, pytest.raises(Conflict, match="waits for a person"):
        oli.promote("m", step=True)


def test_with_a_margin_it_is_held_until_a_person_promotes_it(team, canary):
    """Nobody's answers are bad, so that being as good is never shown."""
    update = team.traffic(canary(margin=0.25), bursts=15)
    assert (update.stage, update.outcome) == (Stage.RELEASE, None)
    assert "no worse is not shown yet" in update.waiting.text()
    with team.as_("oli") as oli:
        update = oli.promote("m")
    verdict = next(f.verdict for f in update.filed if f.stage is Stage.RELEASE)
    assert [f.code for f in verdict.findings if f.code == "by_hand"] == ["by_hand"]
    assert verdict.passed


def test_labels_wait_for_their_age(team, canary):
    update = team.traffic(canary(maturity_minutes=600), bursts=10)
    release = team.ws.deployment_now("m").release
    assert (update.stage, release.status) == (Stage.RELEASE, ReleaseStatus.CANARY)
    assert sum(t.labels for t in release.tallies) == 0
    step, wait = (one.text() for one in team.ws.progress(team.ws.deployment_now("m")))
    assert step == "step 1 of 2: 0 of 40 labelled answers"
    assert wait == "200 labels wait until their answers are 600 minutes old"


def test_an_observation_tells_how_far_it_has_come(team, canary):
    update = canary()
    with team.as_("oli") as oli:
        oli.promote("m")
    assert [one.text() for one in team.ws.progress(team.ws.deployment_now("m"))] == [
        "observation: 0 of 40 labelled answers"
    ]
    team.traffic(update, bursts=1)
    (told,) = team.ws.progress(team.ws.deployment_now("m"))
    assert told.text().startswith("observation: 20 of 40 labelled answers; accuracy 1 so far, ")
    team.traffic(update)
    assert team.ws.progress(team.ws.deployment_now("m")) == []


def test_labels_come_of_age(team, canary):
    """With a window of three seconds every label that is told within it counts, once."""
    update = team.traffic(canary(maturity_minutes=0.05), bursts=3)
    time.sleep(3.1 + SETTLED_SECONDS)
    team.ws.serving().tend("m")
    release = team.ws.deployment("m").release
    assert release.step >= 1
    again = team.ws.deployment_now("m").release
    assert sum(t.labels for t in again.tallies) == 60
    assert team.ws.update(update.id).outcome is None


def test_each_release_takes_of_the_budget(team, canary, make_rows):
    team.traffic(canary())
    first = team.ws.deployment("m").release
    team.approved(make_rows(3))
    second = team.ws.deployment("m").release
    assert first.alpha == second.alpha == 0.01
    assert second.spent == pytest.approx(0.9 * first.spent + 0.01)


@pytest.fixture
def watched(team, make_rows, monkeypatch):
    """A canary whose champion gave two hundred answers before, under a policy that uses them."""
    monkeypatch.setattr("tidegate.process.stages.release.MIN_KNOWN", 100)

    def started(**rollout):
        changed = copy.deepcopy(team.model)
        changed["policy"]["rollout"] |= rollout
        with team.as_("root") as root:
            root.apply_model(changed)
        team.approved(make_rows(1))
        team.ws.serving().infer("m", make_rows(7, 200).drop("y"))
        return team.approved(make_rows(2))

    return started


def test_limits_of_latency_come_from_the_champions_answers_before(team, watched, make_rows):
    watched(latency=True)
    assert len(team.ws.deployment("m").release.slow_above) == 3
    team.ws.serving().infer("m", make_rows(7, 200).drop("y"))
    (tally,) = team.ws.deployment_now("m").release.tallies
    assert (len(tally.champion_slow), len(tally.candidate_slow)) == (3, 3)


def test_other_answers_are_harm_where_policy_says_so(team, watched, make_rows):
    """The candidate is asked for one class only; nobody tells a single label."""
    update = watched(answers_beyond=1.5)
    serving, rows = team.ws.serving(), make_rows(7, 200).drop("y")
    assert team.ws.deployment("m").release.bands == [0, 1]
    for _ in range(3):
        serving.infer("m", rows)
    release = team.ws.deployment_now("m").release
    counted = release.tallies[0].champion_bands + release.tallies[0].candidate_bands
    assert (sum(counted), release.status) == (600, ReleaseStatus.CANARY)
    keys = [f"u{n}" for n in range(4000)]
    ours = [key for key in keys if takes_candidate(update.id, key, 0.3)][:200]
    serving.infer("m", rows.with_columns(a=5.0, b=-5.0), ours)
    serving.tend("m")
    assert team.ws.update(update.id).outcome is Outcome.ROLLED_BACK
