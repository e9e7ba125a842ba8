"""A version that one gateway refuses: tried again, told of, and no trouble of other models."""

import pytest

from tidegate.domain.errors import Conflict, Incompatible, StorageError
from tidegate.monitoring.gateways import Heartbeat
from tidegate.process import releases, resident
from tidegate.process.following import FOLLOWED, Following
from tidegate.process.resident import Fails


@pytest.fixture
def refuses(monkeypatch):
    """Versions, by model and number, that are refused from now on; and those that were tried."""
    ready, refused, tried = resident.ready, set(), []

    def tries(home, model, number):
        tried.append((model, number))
        if (model, number) in refused:
            raise Incompatible("no library here", do="install it")
        return ready(home, model, number)

    monkeypatch.setattr(resident, "ready", tries)
    monkeypatch.setattr(resident, "FIRST_PAUSE_SECONDS", 0.0)
    return refused, tried


@pytest.fixture
def second(team, make_rows):
    """A function: one more version of a second model, "n", in production."""
    with team.as_("root") as root:
        root.apply_model({**team.model, "model": "n"})

    def promote(seed):
        data = team.ws.add_data("n", [team.file(make_rows(seed), f"n{seed}")]).snapshot
        update = team.ws.start_update("n", data=data.id, reason="new rows")
        with team.as_("wei") as wei:
            update = wei.approve(update.id)
        with team.as_("oli") as oli:
            while update.outcome is None:
                update = oli.promote("n")

    return promote


def canary(team, make_rows, *steps):
    model = {**team.model, "policy": {"rollout": {"steps": list(steps)}}}
    with team.as_("root") as root:
        root.apply_model(model)
    team.approved(make_rows(1))
    team.approved(make_rows(2))


def champion(serving, model):
    return serving.routed(model).champion.version


@pytest.fixture
def gateway(team):
    """A gateway, and a function that lets it follow and say how far it is."""
    serving, heartbeat = team.ws.serving(judges=False), Heartbeat(team.ws.home.database)

    def follows():
        serving.follow()
        heartbeat.say(serving.followed, serving.notes)

    yield serving, follows
    heartbeat.end()
    serving.close()


def test_it_hurts_no_rollback_of_another_model(
    team, second, promoted, refuses, gateway, monkeypatch
):
    """Model m's champion is refused; n is rolled back, followed, and has ready what was before."""
    refused, _ = refuses
    refused.add(("m", 1))
    promoted(1), second(1), second(2)
    serving, follows = gateway
    follows()
    assert serving.routed("m") is None
    assert champion(serving, "n") == 2
    assert serving.followed == team.ws.home.journal.size()
    assert ("n", 1) in serving._resident._served, "what a rollback goes back to is at hand"
    with team.as_("oli") as oli:
        releases.roll_back(oli.home, "n", "drill")
        follows()
        assert champion(serving, "n") == 1
        releases.confirm(oli.home, "n")
    refused.clear()
    follows()
    assert champion(serving, "m") == 1
    assert serving.notes == []


def test_a_rollback_to_what_cannot_be_loaded_is_not_followed(
    team, promoted, second, refuses, gateway, monkeypatch
):
    refused, _ = refuses
    promoted(1), promoted(2)
    serving, follows = gateway
    follows()
    serving._resident.keep("m", {2})
    refused.add(("m", 1))
    monkeypatch.setattr(releases, "CONFIRM_SECONDS", 0.0)
    following = Following(team.ws.home)
    with team.as_("oli") as oli:
        releases.roll_back(oli.home, "m", "drill")
        follows()
        assert (champion(serving, "m"), [note.version for note in serving.notes]) == (2, [1])
        with pytest.raises(Conflict, match="have not followed"):
            releases.confirm(oli.home, "m")
        second(1)
        follows()
        following.look(serving.followed)
        releases.confirm(oli.home, "n")
        assert FOLLOWED not in kinds(team)
        refused.clear()
        follows()
        assert champion(serving, "m") == 1
        releases.confirm(oli.home, "m")
    following.look(serving.followed)
    assert kinds(team)[-1] == FOLLOWED


def kinds(team):
    with team.ws.home.journal.read() as reader:
        return [event.kind for event in reader.events()]


def test_what_a_rollback_goes_back_to_is_tried_again(promoted, refuses, gateway):
    refused, tried = refuses
    promoted(1), promoted(2)
    refused.add(("m", 1))
    serving, follows = gateway
    for _ in range(3):
        follows()
    assert tried.count(("m", 1)) == 3
    assert [(note.version, note.refused) for note in serving.notes] == [(1, True)]
    refused.clear()
    follows()
    follows()
    assert tried.count(("m", 1)) == 4
    assert serving.notes == []


def test_a_candidate_in_the_shadow_is_tried_again(team, make_rows, refuses, gateway):
    refused, tried = refuses
    canary(team, make_rows, {"share": 0, "min_labels": 30}, {"share": 0.5, "min_labels": 1000})
    refused.add(("m", 2))
    serving, follows = gateway
    for _ in range(3):
        follows()
    assert tried.count(("m", 2)) == 3
    route = serving.routed("m")
    assert isinstance(route.shadow.predictor, Fails)
    assert route.epoch == 1, "that it fails once more is no other route"
    refused.clear()
    follows()
    assert not isinstance(serving.routed("m").shadow.predictor, Fails)


def test_one_that_was_rolled_back_is_not_tried_any_more(team, make_rows, refuses, gateway):
    refused, tried = refuses
    canary(team, make_rows, {"share": 0.5, "min_labels": 1000})
    refused.add(("m", 2))
    serving, follows = gateway
    follows()
    with team.as_("oli") as oli:
        releases.roll_back(oli.home, "m", "drill")
    follows()
    tried.clear()
    for _ in range(3):
        follows()
    assert (tried, serving.notes) == ([], [])


@pytest.mark.parametrize("trouble", [StorageError("the store is away", do="wait"), MemoryError()])
def test_nothing_is_tried_between_its_pauses(team, promoted, gateway, monkeypatch, trouble):
    tried = []

    def fails(*_):
        tried.append(1)
        raise trouble

    promoted(1)
    monkeypatch.setattr(resident, "ready", fails)
    serving, follows = gateway
    for _ in range(20):
        follows()
    assert (len(tried), serving.followed) == (1, team.ws.home.journal.size())
