"""Judging what is on traffic: one that cannot be judged is no reason not to judge the others."""

from types import SimpleNamespace

import pytest

from tidegate.domain.errors import Conflict
from tidegate.domain.update import Outcome, Update
from tidegate.ledger.journal import Journal, Reader
from tidegate.process import judging
from tidegate.process.canary import JUDGED
from tidegate.process.unlabelled import COUNTED
from tidegate.process.watch import SEEN


class Log:
    """Stands for a prediction log that nobody reads."""


def test_one_that_cannot_be_judged_leaves_the_others_to_be(monkeypatch):
    judged = []

    def run(_home, update_id, _watch):
        judged.append(update_id)
        if update_id == "a-2":
            raise ValueError("damaged")
        if update_id == "b-2":
            raise Conflict("another judges it", do="wait")

    found = [SimpleNamespace(id=name) for name in ("a-2", "b-2", "c-2")]
    monkeypatch.setattr(judging, "on_traffic", lambda _home, _model: found)
    monkeypatch.setattr(judging, "run", run)
    with pytest.raises(ValueError, match="damaged"):
        judging.judge(SimpleNamespace(log=Log()))
    assert judged == ["a-2", "b-2", "c-2"]


def test_what_is_remembered_of_a_release_goes_when_it_has_ended(monkeypatch):
    home, memories = SimpleNamespace(log=Log()), (JUDGED, COUNTED, SEEN)
    for memory in memories:
        for model, update in (("m", "m-1"), ("m", "m-2"), ("other", "other-1")):
            memory.put(home.log, model, update, "much")
    live = {"m-2", "other-1"}
    found = [SimpleNamespace(id=name) for name in live]
    monkeypatch.setattr(judging, "on_traffic", lambda *_: found)
    monkeypatch.setattr(judging, "run", lambda *_: None)
    judging.judge(home, "other")
    assert all(memory.take(home.log, "m", "m-1") for memory in memories), "of that model alone"
    for memory in memories:
        memory.put(home.log, "m", "m-1", "much")
    judging.judge(home)
    for memory in memories:
        assert memory.take(home.log, "m", "m-1") is None
        assert memory.take(home.log, "m", "m-2") == memory.take(home.log, "other", "other-1")


@pytest.fixture
def case_files(database, monkeypatch):
    """A journal to write updates to, and the ids of those that were read since."""
    read, get = [], Reader.get

    def told(self, type_, id_):
        read.append(id_)
        return get(self, type_, id_)

    monkeypatch.setattr(Reader, "get", told)
    monkeypatch.setattr(Reader, "all", None)
    journal = Journal(database)

    def put(update, was=None):
        with journal.write("ada") as tx:
            tx.put(update, "update.stage", was=was)

    return SimpleNamespace(journal=journal), put, read


def update(number, stage, outcome=None):
    spec = {"model": "m", "task": "binary", "target": "y", "adapter": "sklearn.logistic_regression"}
    return Update.model_validate({
        "id": f"m-{number}", "model": "m", "number": number, "spec": spec, "proposer": "ada",
        "reason": "rows", "requested": "auto", "opened_at": "t", "changed_at": "t",
        "stage": stage, "outcome": outcome,
    })  # fmt: skip


def test_case_files_are_read_when_the_record_has_grown_and_ended_ones_once(case_files):
    home, put, read = case_files
    put(update(1, "observe", "completed"))
    put(update(2, "release"))
    put(update(3, "release"))  # waits for the second to end
    put(update(4, "train"))
    assert [one.id for one in judging.on_traffic(home)] == ["m-2", "m-3"]
    assert [one.id for one in judging.on_traffic(home, "m")] == ["m-2", "m-3"]
    assert judging.on_traffic(home, "other") == []
    assert read == ["m-1", "m-2", "m-3", "m-4"]
    ended = update(2, "release").model_copy(update={"outcome": Outcome.ROLLED_BACK})
    put(ended, was=update(2, "release"))
    read.clear()
    assert [one.id for one in judging.on_traffic(home)] == ["m-3"]
    assert read == ["m-2", "m-3", "m-4"]
    put(update(5, "train"))
    read.clear()
    judging.on_traffic(home)
    assert read == ["m-3", "m-4", "m-5"]
