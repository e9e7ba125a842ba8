"""What stands behind the API: it follows the record whatever else is under way."""

import threading
import time

import pytest

from tidegate import Workspace
from tidegate.apps.api import hub as hub_module
from tidegate.apps.api.hub import Hub
from tidegate.apps.api.worker import Worker
from tidegate.domain.update import Update
from tidegate.monitoring.gateways import behind
from tidegate.process.judging import any_on_traffic


@pytest.fixture
def followed(lived, tmp_path):
    """A function: the gateways that do not route by the whole record within some seconds."""
    hubs = []

    def start(**facts):
        made = Hub(tmp_path / ".tidegate", None, worker=facts.pop("worker", False), **facts)
        hubs.append(made)
        return made

    yield start
    for made in hubs:
        made.close()


def late(hub, seconds):
    home = hub._workspace.home
    with home.journal.read() as reader:
        size = reader.size()
    return behind(home.database, size, seconds)


def test_it_follows_while_an_update_is_being_trained(followed, monkeypatch):
    training, done = threading.Event(), threading.Event()

    def trains(self, _update_id):
        training.set()
        done.wait(30)

    monkeypatch.setattr(hub_module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(Worker, "_resume", trains)
    hub = followed(worker=True)
    hub.start()
    try:
        assert training.wait(20), "no update was open"
        with hub._workspace.home.journal.write("root") as tx:
            was = tx.all(Update, "m")[-1]
            tx.put(was.model_copy(update={"reason": "another"}), "update.touched", was=was)
        assert late(hub, 20) == []
    finally:
        done.set()


def test_it_says_that_it_runs_while_it_loads_a_version(followed, monkeypatch):
    loading, done = threading.Event(), threading.Event()

    def loads(self):
        self._followed = 1_000_000  # what is known in between is not told
        loading.set()
        done.wait(30)

    monkeypatch.setattr(hub_module.Serving, "follow", loads)
    hub = followed()
    hub.start()
    try:
        assert loading.wait(20)
        began = time.monotonic()
        while not (names := late(hub, 0.0)):
            assert time.monotonic() - began < 20, "it never said that it runs"
            time.sleep(0.02)
        assert names == [hub._heartbeat.name]
    finally:
        done.set()


def test_one_that_cannot_follow_says_so_by_how_far_it_is(followed, monkeypatch):
    def broken(_self, _model):
        raise MemoryError

    monkeypatch.setattr(hub_module.Serving, "_refresh", broken)
    hub = followed()
    hub.start()
    began = time.monotonic()
    while not (names := late(hub, 0.0)):
        assert time.monotonic() - began < 20, "it never said that it runs"
        time.sleep(0.02)
    assert names == [hub._heartbeat.name]


def test_releases_are_judged_whatever_this_process_can_load(followed, monkeypatch):
    class Beside:
        updates, seen = False, threading.Event()

        def see_to(self, *, needed):
            if needed:
                self.seen.set()

        def close(self):
            pass

    def broken(_self, _model):
        raise MemoryError

    monkeypatch.setattr(hub_module.Serving, "_refresh", broken)
    followed(beside=Beside()).start()
    assert Beside.seen.wait(20)


def test_only_what_is_in_production_is_looked_at(lived, tmp_path):
    with Workspace(tmp_path / ".tidegate") as workspace:
        assert any_on_traffic(workspace.home)
        workspace.rollback("m", reason="drill")
        assert not any_on_traffic(workspace.home)
