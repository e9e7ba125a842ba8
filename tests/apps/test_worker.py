"""When the worker judges."""

from itertools import pairwise
from threading import Event
from types import SimpleNamespace

import pytest

from tidegate.apps.api import worker


class _Clock:
    """A time that passes only where it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def _judged_at(monkeypatch, takes: float, seconds: float) -> list[float]:
    """When releases are judged, from now on, where a label comes before each look and a judgement
    ``takes`` so long."""
    clock, begun, labels = _Clock(), [], iter(range(10**6))

    def judge(_home: object) -> None:
        begun.append(round(clock.now - 100, 3))
        clock.now += takes

    monkeypatch.setattr(worker, "time", clock)
    monkeypatch.setattr(worker, "judge", judge)
    log = SimpleNamespace(places=lambda: SimpleNamespace(labels=next(labels)))
    mine = worker.Worker(SimpleNamespace(home=SimpleNamespace(log=log)), Event())
    while clock.now < 100 + seconds:
        mine.judge()
        clock.now += worker.LOOK_SECONDS
    return begun


def test_what_is_judged_quickly_is_judged_at_each_look(monkeypatch):
    assert _judged_at(monkeypatch, 0.001, 0.2) == pytest.approx([0, 0.051, 0.102, 0.153])


@pytest.mark.parametrize(("takes", "pause"), [(0.1, 0.4), (0.2, 0.8), (5.0, 1.0)])
def test_what_takes_long_rests_in_between(monkeypatch, takes, pause):
    """Four times as long as it took, a second at most, and until the next look."""
    begun = _judged_at(monkeypatch, takes, 30.0)
    assert len(begun) > 4
    for one, after in pairwise(begun):
        assert pause <= after - one - takes <= pause + worker.LOOK_SECONDS + 1e-6
