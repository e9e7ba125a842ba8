"""A gateway that follows the record: from version to version, and by none that cannot be loaded."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tidegate.domain.answer import Asked
from tidegate.domain.errors import Conflict, Incompatible, IntegrityError, StorageError
from tidegate.monitoring import gateways
from tidegate.monitoring.gateways import Heartbeat
from tidegate.process import releases, resident
from tidegate.process import serving as serving_module
from tidegate.process.loading import load_version
from tidegate.process.production import changed_since
from tidegate.release.lane import Lane
from tidegate.training.adapters.logistic import LogisticRegression

LIVE = pl.DataFrame({"a": [0.1, 2.0, -1.0], "b": [0.3, -2.0, 1.0]})


def declare_another(team):
    with team.as_("root") as root:
        root.apply_model(dict(root.model("m").model_dump(exclude_none=True), model="other"))


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


def test_only_models_of_which_the_record_tells_something_new_are_looked_at(team, make_rows):
    home = team.ws.home
    team.approved(make_rows(1))
    declare_another(team)
    size = home.journal.size()
    assert [found.spec.model for found in changed_since(home, None)] == ["m", "other"]
    assert [found.spec.model for found in changed_since(home, size - 1)] == ["other"]
    assert changed_since(home, size) == []


def test_what_was_read_before_another_thread_routed_is_not_routed_by(team, make_rows, monkeypatch):
    team.approved(make_rows(1))
    team.approved(make_rows(2))
    serving = team.ws.serving()

    def overtaken(home, event):
        found = changed_since(home, event)
        with team.as_("oli") as oli:
            oli.rollback("m", reason="drill")
        serving.refresh("m")
        return found

    monkeypatch.setattr(serving_module, "changed_since", overtaken)
    serving.follow()
    assert serving.routed("m").candidate is None


def test_a_look_that_fails_keeps_no_other_from_routing(team, make_rows, monkeypatch):
    team.approved(make_rows(1))
    team.approved(make_rows(2))
    serving = team.ws.serving()
    serving.follow()
    assert serving.routed("m").candidate is not None
    with team.as_("oli") as oli:
        oli.rollback("m", reason="drill")

    def meanwhile(home, event):
        found = changed_since(home, event)
        declare_another(team)  # the record grows, of another model
        with monkeypatch.context() as patch:
            patch.setattr(resident.Resident, "load", fails)
            with pytest.raises(StorageError):
                serving.refresh("m")
        return found

    def fails(_self, _model, _number):
        raise StorageError("the disk is away", do="bring it back")

    with monkeypatch.context() as patch:
        patch.setattr(serving_module, "changed_since", meanwhile)
        serving.follow()
    serving.follow()
    assert serving.routed("m").candidate is None


def test_a_model_whose_documents_are_damaged_keeps_no_other_from_being_routed(team, make_rows):
    team.approved(make_rows(1))
    declare_another(team)
    with team.ws.home.database.write() as connection:
        damage = "UPDATE documents SET digest = '0' WHERE kind = 'model' AND id = 'other'"
        connection.exec_driver_sql(damage)
    serving = team.ws.serving()
    with pytest.raises(IntegrityError):
        serving.follow()
    assert serving.routed("m").champion.version == 1


def test_a_record_that_has_shrunk_is_another_one(team, make_rows, monkeypatch):
    team.approved(make_rows(1))
    serving, looked = team.ws.serving(), []

    def seen(home, event):
        looked.append(event)
        return changed_since(home, event)

    monkeypatch.setattr(serving_module, "changed_since", seen)
    serving.follow()
    size = team.ws.home.journal.size()
    team.approved(make_rows(2))
    serving.follow()
    monkeypatch.setattr(type(team.ws.home.journal), "size", lambda _self: 1)
    serving.follow()
    assert looked == [None, size, None]


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
    monkeypatch.setattr(resident, "FIRST_PAUSE_SECONDS", 0.0)
    team.approved(make_rows(2))
    serving.follow()
    (note,) = serving.notes
    assert (note.version, note.refused) == (2, True)
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
    assert team.ws.open_updates("m") == [], "the update ends, whatever a gateway does"
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


def test_a_gateway_that_falls_silent_is_waited_for_all_the_same(team, make_rows, monkeypatch):
    """It ran when the rollback was recorded, and says nothing from then on: it was stopped, say."""
    team.approved(make_rows(1))
    team.approved(make_rows(2))
    gateway = Heartbeat(team.ws.home.database)
    gateway.say(1)
    monkeypatch.setattr(releases, "CONFIRM_SECONDS", 0.2)
    confirm = releases.confirm

    def later(*given):
        monkeypatch.setattr(gateways, "GONE_SECONDS", -1.0)
        return confirm(*given)

    monkeypatch.setattr(releases, "confirm", later)
    with team.as_("oli") as oli, pytest.raises(Conflict, match=gateway.name):
        oli.rollback("m", reason="drill")


class Asking:
    """Requests, one after another in an event loop, each held against the version it names."""

    def __init__(self, team, serving):
        self._team, self._serving = team, serving
        self._lane = Lane(lambda: serving.route("m"), lambda *_: None, serving.threads)
        self._known = {}
        self.versions = []

    async def once(self):
        asked = Asked(("a", "b"), 1, block=np.array([[0.1 + len(self.versions) / 1000, 0.3]]))
        (answer,) = await self._lane.ask(asked, [f"u{len(self.versions)}"])
        params, predictor = self._computes(answer.version)
        assert answer.params == params
        assert not answer.failed
        assert answer.shares == predictor.predict(asked.frame()).probabilities[0].tolist()
        self.versions.append(answer.version)
        await asyncio.sleep(0)

    async def until(self, thing, *, most=200_000):
        while not thing():
            await self.once()
            assert len(self.versions) < most

    def _computes(self, version):
        """What a version's parameters are called, and compute, worked out beside the gateway."""
        if version not in self._known:
            params = self._team.ws.version(f"m@{version}")[1].id
            fitted = load_version(self._team.ws.home, "m", version)
            self._known[version] = params, fitted.predictor()
        return self._known[version]


@pytest.mark.parametrize("end", ["loads", "fails"])
def test_every_answer_while_a_version_loads_slowly_is_by_the_one_before(
    team, promoted, monkeypatch, end
):
    """However long the load takes: it ends after fifty answers, and not before."""
    promoted(1)
    serving = team.ws.serving()
    serving.follow()
    promoted(2)
    asking, load = Asking(team, serving), LogisticRegression.load
    for version in (1, 2):  # before what loads is made slow
        asking._computes(version)
    loading, enough = threading.Event(), threading.Event()

    def slow(self, state):
        loading.set()
        assert enough.wait(60)
        if end == "fails":
            raise MemoryError
        return load(self, state)

    monkeypatch.setattr(LogisticRegression, "load", slow)

    async def story():
        thread = threading.Thread(target=serving.follow)
        thread.start()
        await asking.until(loading.is_set)
        begun = len(asking.versions)
        await asking.until(lambda: len(asking.versions) >= begun + 50)
        assert set(asking.versions) == {1}
        enough.set()
        await asking.until(lambda: not thread.is_alive())
        switched = len(asking.versions)
        await asking.until(lambda: len(asking.versions) >= switched + 20)
        return asking.versions[switched:]

    after = asyncio.run(story())
    assert set(after) == ({2} if end == "loads" else {1})
    assert asking.versions == sorted(asking.versions), "none by the old one after one by the new"
    assert [note.refused for note in serving.notes] == [True] * (end == "fails")


def test_the_loop_answers_while_a_large_version_is_read(team, promoted, monkeypatch):
    """Unpacking and hashing 200 MB leave the thread that answers its turns."""
    promoted(1)
    serving = team.ws.serving()
    serving.follow()
    fit = LogisticRegression.fit

    def heavy(self, rows, job):
        fitted = fit(self, rows, job)
        ballast = np.random.default_rng(0).random(50_000_000, np.float32)
        tensors = {**fitted.state.tensors, "ballast": ballast}
        groups = {**fitted.state.groups, "coef": ["coef", "ballast"]}
        return replace(fitted, state=replace(fitted.state, tensors=tensors, groups=groups))

    with monkeypatch.context() as patched:
        patched.setattr(LogisticRegression, "fit", heavy)
        promoted(2)
    asking = Asking(team, serving)
    for version in (1, 2):
        asking._computes(version)

    async def story():
        thread = threading.Thread(target=serving.follow)
        thread.start()
        await asking.until(lambda: not thread.is_alive())
        meanwhile = len(asking.versions)
        await asking.until(lambda: len(asking.versions) >= meanwhile + 20)
        return asking.versions[:meanwhile], asking.versions[meanwhile:]

    meanwhile, after = asyncio.run(story())
    assert 1 in meanwhile, "none was answered while it loaded"
    assert meanwhile == sorted(meanwhile)
    assert set(after) == {2}
