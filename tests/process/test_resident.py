"""Versions that cannot be loaded: tried again later and later, and at once on news of the model."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tidegate.domain.errors import Incompatible, StorageError
from tidegate.process import resident
from tidegate.process.resident import Resident


class Odd(Exception):
    """One that cannot be made of its text alone."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


class Gateway:
    """What a gateway has, whose version raises ``trouble`` each time it is made ready."""

    def __init__(self, monkeypatch, trouble):
        self.now, self.events, self.tries, self.trouble = 0.0, {"m": 7}, [], trouble
        monkeypatch.setattr(resident, "ready", self._ready)
        monkeypatch.setattr(resident.time, "monotonic", lambda: self.now)
        self.resident = Resident(SimpleNamespace(journal=self))

    @contextmanager
    def read(self):
        yield SimpleNamespace(last_of=lambda model: self.events[model])

    def _ready(self, *_):
        self.tries.append(self.now)
        if self.trouble is not None:
            raise self.trouble
        return SimpleNamespace(served=Odd("a", "version"), note=None)

    def asked(self, seconds):
        """The moments at which it was tried, asked each half second for so long."""
        self.tries.clear()
        began = self.now
        for _ in range(2 * seconds):
            self.fails()
            self.now += 0.5
        return [at - began for at in self.tries]

    def fails(self):
        problem = self.resident.load("m", 2)
        assert isinstance(problem, (type(self.trouble), RuntimeError))
        return problem


@pytest.mark.parametrize("trouble", [Incompatible("broken", do="mend it"), Odd("so", "so")])
def test_it_is_tried_again_later_each_time(monkeypatch, trouble):
    gateway = Gateway(monkeypatch, trouble)
    assert gateway.asked(200) == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert [note.refused for note in gateway.resident.notes] == [True]
    assert str(trouble) in str(gateway.fails())


def test_news_of_its_model_try_it_at_once(monkeypatch):
    gateway = Gateway(monkeypatch, MemoryError())
    gateway.asked(40)
    gateway.events["m"] += 1
    assert gateway.asked(8) == [0, 1, 3, 7]
    gateway.trouble, gateway.now = None, gateway.now + 60
    assert gateway.resident.load("m", 2) is gateway.resident.load("m", 2)
    assert gateway.resident.notes == []


def test_where_the_store_is_at_fault_it_is_tried_whenever_it_is_asked_for(monkeypatch):
    gateway = Gateway(monkeypatch, StorageError("the store is away", do="wait"))
    assert len(gateway.asked(5)) == 10


def test_a_version_that_is_not_live_is_forgotten_with_its_trouble(monkeypatch):
    gateway = Gateway(monkeypatch, MemoryError())
    gateway.fails()
    gateway.resident.keep("m", {1})
    gateway.fails()
    assert gateway.tries == [0, 0]
