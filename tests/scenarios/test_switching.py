"""A gateway that follows the record: from version to version, and by none that cannot be loaded."""

import threading

import polars as pl
import pytest

from tidegate.domain.errors import Conflict, Incompatible
from tidegate.monitoring.gateways import Heartbeat
from tidegate.process import releases, resident

LIVE = pl.DataFrame({"a": [0.1, 2.0, -1.0], "b": [0.3, -2.0, 1.0]})


def versions(serving):
    return {answer.version for answer in serving.infer("m", LIVE, ["u", "v", "w"])}


def test_it_goes_by_what_the_record_says(team, make_rows):
    serving = team.ws.serving()
    serving.follow()
    team.approved(make_rows(1))
    serving.follow()
    assert versions(serving) == {1}
    epoch = serving.routed("m").epoch
    serving.follow()
    assert serving.routed("m").epoch == epoch
    team.approved(make_rows(2))
    serving.follow()
    route = serving.routed("m")
    assert (route.champion.version, route.candidate.version, route.epoch) == (1, 2, epoch + 1)
    assert route.champion.params != route.candidate.params
    with team.as_("oli") as oli:
        oli.rollback("m", reason="drill")
    serving.follow()
    assert serving.routed("m").candidate is None
    assert serving.stale_seconds < 5


@pytest.mark.parametrize("trouble", [Incompatible("broken", do="mend it"), MemoryError()])
def test_a_version_that_cannot_be_loaded_leaves_the_route(team, make_rows, monkeypatch, trouble):
    team.approved(make_rows(1))
    serving = team.ws.serving()
    serving.follow()
    load = resident.ready

    def broken(home, model, number):
        if number == 2:
            raise trouble
        return load(home, model, number)

    monkeypatch.setattr(resident, "ready", broken)
    team.approved(make_rows(2))
    with pytest.raises(type(trouble)):
        serving.follow()
    assert versions(serving) == {1}
    monkeypatch.setattr(resident, "ready", load)
    serving.follow()  # it is tried again, though nothing new was recorded
    assert serving.routed("m").candidate.version == 2


def test_requests_begun_on_a_version_end_on_it(team, make_rows):
    """The route is one object, replaced whole: what holds it keeps its versions."""
    team.approved(make_rows(1))
    serving = team.ws.serving()
    serving.follow()
    held = serving.routed("m")
    team.approved(make_rows(2))
    serving.follow()
    assert held.candidate is None
    assert held.champion.predictor.predict(LIVE).values.shape == (3,)


def test_a_rollback_is_done_when_every_gateway_routes_by_it(team, make_rows, monkeypatch):
    team.approved(make_rows(1))
    team.approved(make_rows(2))
    gateway = Heartbeat(team.ws.home.database)
    serving = team.ws.serving()
    serving.follow()
    gateway.say(serving.followed)
    monkeypatch.setattr(releases, "CONFIRM_SECONDS", 0.2)
    with team.as_("oli") as oli, pytest.raises(Conflict, match="have not followed"):
        oli.rollback("m", reason="drill")
    serving.follow()
    gateway.say(serving.followed)
    assert serving.routed("m").candidate is None
    stop = threading.Event()

    def follows():
        while not stop.wait(0.01):
            serving.follow()
            gateway.say(serving.followed)

    monkeypatch.setattr(releases, "CONFIRM_SECONDS", 30.0)
    team.approved(make_rows(3))
    thread = threading.Thread(target=follows)
    thread.start()
    try:
        with team.as_("oli") as oli:
            oli.rollback("m", reason="drill")
        assert serving.routed("m").candidate is None
    finally:
        stop.set()
        thread.join()
