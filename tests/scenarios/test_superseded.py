"""A release that begins while the version in production is still observed."""

import pytest

from tidegate.domain.rollout import Deployment, ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome
from tidegate.process import judging, releases


@pytest.fixture
def observed(team, promoted, make_rows):
    """A second version in production, and twenty labels of its observation."""
    promoted(1)
    update = team.approved(make_rows(2))
    with team.as_("oli") as oli:
        oli.promote("m")
    update = team.traffic(update, bursts=1)
    assert (update.stage, update.outcome) == (Stage.OBSERVE, None)
    return update


def findings(team, update):
    return team.ws.update(update.id).filed[-1].verdict.findings


def test_the_next_release_ends_the_observation_and_says_so(team, observed, make_rows):
    third = team.approved(make_rows(3))
    ended = team.ws.update(observed.id)
    assert ended.outcome is Outcome.COMPLETED
    told = findings(team, observed)[-1]
    assert told.code == "superseded"
    assert "the release of m@3 began" in told.message.text()
    assert "0 of 20 answers to everybody were bad" in told.message.text()
    release = team.ws.deployment("m").release
    assert (release.update, release.status) == (third.id, ReleaseStatus.CANARY)
    assert "superseded" in team.ws.document(observed.id, kind="deployment")
    assert all(again.same for again in team.ws.replay(observed.id))
    assert team.ws.verify().ok


def test_it_can_be_gone_back_to(team, observed, make_rows):
    team.approved(make_rows(3))
    with team.as_("oli") as oli:
        while oli.promote("m").outcome is None:
            pass
        assert oli.deployment("m").champion == 3
        assert oli.rollback("m", reason="it smells").champion == 2


def test_harm_that_had_shown_by_then_takes_it_back(team, observed, make_rows, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("tidegate.process.serving.judge", lambda *_: None)
        team.traffic(observed, wrong={2}, bursts=10)
    third = team.approved(make_rows(3))
    assert team.ws.update(observed.id).outcome is Outcome.ROLLED_BACK
    assert third.outcome is Outcome.REJECTED
    assert team.ws.deployment("m").champion == 1


def test_one_whose_release_was_replaced_before_does_not_stay_open(team, observed, make_rows):
    """As records have it that were written before an observation could be superseded."""
    with team.ws.home.journal.write("worker") as tx:
        was = tx.get(Deployment, "m")
        other = was.release.model_copy(update={"update": "m-9", "candidate": 9})
        tx.put(was.model_copy(update={"release": other}), "release.started", was=was)
    judging.judge(team.ws.home)
    assert team.ws.update(observed.id).outcome is Outcome.COMPLETED
    assert [f.code for f in findings(team, observed)] == ["superseded"]
    assert team.ws.deployment("m").release == other


def test_a_release_that_a_person_has_ended_is_finished_before_the_next(team, promoted, make_rows):
    """The person's process has recorded it and not come further when the worker looks."""
    promoted(1)
    second, third = team.approved(make_rows(2)), team.approved(make_rows(3))
    assert "m-2 is on traffic" in third.waiting.text()
    with team.as_("oli") as oli:
        releases.roll_back(oli.home, "m", "it smells")
    third = team.ws.resume(third.id)
    assert team.ws.update(second.id).outcome is Outcome.ROLLED_BACK
    assert "version 3 answers 30%" in third.waiting.text()
