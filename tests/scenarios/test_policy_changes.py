"""A policy that changes during a release is the next one's: this one goes on by its own."""

import copy

import pytest

from tidegate.domain.rollout import ReleaseStatus
from tidegate.domain.update import Outcome
from tidegate.release.splitter import takes_candidate


def policy(team, **rollout):
    changed = copy.deepcopy(team.model)
    changed["policy"]["rollout"] |= rollout
    with team.as_("root") as root:
        root.apply_model(changed)


@pytest.fixture
def begun(team, make_rows):
    """A canary of this policy, which its model has not any more."""

    def begin(by, then):
        policy(team, **by)
        team.approved(make_rows(1))
        update = team.approved(make_rows(2))
        policy(team, **then)
        return update

    return begin


def test_status_and_verdict_go_by_the_policy_it_began_with(team, begun, make_rows):
    """One busy user whom the candidate answers badly: harm where each request counts, and none
    where each user does. Whoever looks, by label, leaves nothing behind that the judge acts on."""
    update = begun({"count_per": "entity"}, {"count_per": "request", "alpha": 0.04})
    serving = team.ws.serving()
    key = next(f"u{n}" for n in range(999) if takes_candidate(update.id, f"u{n}", 0.3))
    answers = serving.infer("m", make_rows(5, 30).drop("y"), [key] * 30)
    for answer in answers:
        team.ws.home.log.label(
            answer.request_id, 1 - answer.prediction, at=team.ws.home.journal.now()
        )
        assert team.ws.deployment_now("m").release.harm < 10
    told = team.ws.verdict("m")
    assert (told.verdict, told.line) == ("hold", 100)
    serving.tend("m")
    assert team.ws.update(update.id).outcome is None
    assert team.ws.deployment("m").release.status is ReleaseStatus.CANARY


def test_a_step_by_hand_goes_by_the_policy_it_began_with(team, begun, make_rows):
    begun({"by_hand": True}, {"by_hand": False})
    serving = team.ws.serving()
    keys = [f"k{n}" for n in range(60)]
    answers = serving.infer("m", make_rows(5, 60).drop("y"), keys)
    serving.feedback("m", {answer.request_id: answer.prediction for answer in answers})
    assert team.ws.deployment("m").release.step == 0
    assert team.ws.deployment_now("m").release.step == 0
    with team.as_("oli") as oli:
        assert oli.promote("m", step=True).outcome is not Outcome.ROLLED_BACK
    assert team.ws.deployment("m").release.step == 1
