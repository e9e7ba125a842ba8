"""What people end by hand, and what the record keeps of it."""

import pytest

from tidegate.domain.errors import Conflict
from tidegate.domain.evidence import ObserveEvidence, ReleaseEvidence
from tidegate.domain.rollout import ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome
from tidegate.process import releases
from tidegate.process.stages import observe, release


@pytest.fixture
def canary(team, make_rows):
    """A second version that has answered twenty requests, each of its answers labelled as bad."""
    team.approved(make_rows(1))
    return team.traffic(team.approved(make_rows(2)), wrong={2}, bursts=1)


@pytest.fixture
def watched(team, make_rows):
    """A second version in production that goes on being watched, a few labels behind it."""
    team.approved(make_rows(1))
    update = team.approved(make_rows(2))
    with team.as_("oli") as oli:
        update = oli.promote("m")
    return team.traffic(update, wrong={2}, bursts=1)


def evidence(team, update, stage, kind):
    with team.ws.home.journal.read() as reader:
        found = reader.evidence(team.ws.update(update.id).evidence_digest(stage))
    assert isinstance(found, kind)
    return found


def text(team, update):
    return team.ws.document(update.id, kind="deployment")


@pytest.mark.parametrize("end", ["rollback", "promote"])
def test_what_a_canary_had_seen_is_kept_when_a_person_ends_it(team, canary, end):
    before = team.ws.deployment_now("m").release
    assert sum(t.labels for t in before.tallies) == 20
    with team.as_("oli") as oli:
        if end == "rollback":
            oli.rollback("m", reason="it smells")
        else:
            assert oli.promote("m").stage is Stage.OBSERVE
    filed = evidence(team, canary, Stage.RELEASE, ReleaseEvidence)
    kept = team.ws.deployment("m").release
    for one in (filed, kept):
        assert (one.tallies, one.harm) == (before.tallies, before.harm)
    assert before.harm > 1
    assert f"the evidence of harm was {before.harm:.3g} to 1" in text(team, canary)
    assert f"Of {before.tallies[0].candidate_labels} that were labelled" in text(team, canary)
    assert all(again.same for again in team.ws.replay(canary.id))
    assert team.ws.verify().ok


@pytest.mark.parametrize(("stage", "fixture"), [(release, "canary"), (observe, "watched")])
def test_it_is_off_traffic_before_anything_is_judged(team, request, monkeypatch, stage, fixture):
    request.getfixturevalue(fixture)
    name, routed = "catch_up" if stage is release else "watched", []
    original = getattr(stage, name)

    def looked(*given, **named):
        found = team.ws.deployment("m")
        routed.append((found.champion, found.release.status))
        return original(*given, **named)

    monkeypatch.setattr(stage, name, looked)
    with team.as_("oli") as oli:
        assert oli.rollback("m", reason="it smells").champion == 1
    assert routed == [(1, ReleaseStatus.ROLLED_BACK)]


def test_a_promotion_by_hand_does_not_outweigh_the_harm_that_was_known(
    team, make_rows, monkeypatch
):
    """The labels are in, and nobody has judged them yet."""
    team.approved(make_rows(1))
    update = team.approved(make_rows(2))
    monkeypatch.setattr("tidegate.process.serving.judge", lambda *_: None)
    team.traffic(update, wrong={2}, bursts=20)
    with team.as_("oli") as oli:
        assert oli.promote("m").outcome is Outcome.ROLLED_BACK
    after = team.ws.deployment("m")
    assert (after.champion, after.release.status) == (1, ReleaseStatus.ROLLED_BACK)


def test_what_the_observation_had_seen_is_kept_when_a_person_ends_it(team, watched):
    with team.as_("oli") as oli:
        assert oli.rollback("m", reason="it smells").champion == 1
    ended = team.ws.update(watched.id)
    assert ended.outcome is Outcome.ROLLED_BACK
    filed = evidence(team, watched, Stage.OBSERVE, ObserveEvidence)
    assert filed.after.labels == filed.after.bad == 20
    kept = team.ws.deployment("m").release
    assert (kept.status, kept.harm) == (ReleaseStatus.ROLLED_BACK, filed.harm)
    assert filed.harm > 0
    assert f"the evidence of harm was {filed.harm:.3g} to 1" in text(team, watched)
    assert "oli rolled it back: it smells" in text(team, watched)
    assert all(again.same for again in team.ws.replay(watched.id))


def test_the_log_tells_the_harm_that_an_observation_ended_with(team, make_rows):
    team.approved(make_rows(1))
    serving = team.ws.serving()
    answers = serving.infer("m", make_rows(7).drop("y"), [f"before-{n}" for n in range(200)])
    serving.feedback("m", {a.request_id: a.prediction for a in answers})
    update = team.approved(make_rows(2))
    with team.as_("oli") as oli:
        oli.promote("m")
    assert team.traffic(update, wrong={2}).outcome is Outcome.ROLLED_BACK
    harm = evidence(team, update, Stage.OBSERVE, ObserveEvidence).harm
    assert harm >= 100
    assert f"At the end the evidence of harm was {harm:.3g} to 1" in text(team, update)


def test_one_that_is_being_rolled_back_is_not_promoted(team, canary):
    """Its update has yet to be finished."""
    with team.as_("oli") as oli:
        assert releases.roll_back(oli.home, "m", "it smells") == (2, canary.id)
        with pytest.raises(Conflict, match="no release under way"):
            oli.promote("m")
        assert oli.rollback("m", reason="again").champion == 1
    assert "oli rolled it back: it smells" in text(team, canary)


def test_a_second_rollback_takes_nothing_else_back(team, promoted, make_rows):
    promoted(1)
    promoted(2)
    team.approved(make_rows(3))
    with team.as_("oli") as oli:
        back = oli.rollback("m", reason="it smells")
        assert (back.champion, back.taken_back) == (2, 3)
        with pytest.raises(Conflict, match="version 3 was taken back already, and m@2 is in"):
            oli.rollback("m", reason="once more")
        assert oli.deployment("m").champion == 2
        back = oli.rollback("m", reason="further", to=1)
        assert (back.champion, back.taken_back) == (1, 2)


def test_a_promoted_one_that_went_back_says_why_in_its_log(team, promoted):
    promoted(1)
    second = promoted(2)
    with team.as_("oli") as oli:
        back = oli.rollback("m", reason="the phone rang")
        assert (back.champion, back.taken_back) == (1, 2)
        with pytest.raises(Conflict, match="version 2 was taken back already, and m@1 is in"):
            oli.rollback("m", reason="and again")
    assert "- oli went back from it to m@1: the phone rang" in text(team, second)
