"""What a gateway keeps loaded, and what it lets go of with its last user."""

import gc
import weakref
from contextlib import suppress

import polars as pl

from tidegate.domain.errors import Incompatible
from tidegate.process import resident
from tidegate.training.adapters.logistic import LogisticRegression

LIVE = pl.DataFrame({"a": [0.1, 2.0, -1.0], "b": [0.3, -2.0, 1.0]})


def test_the_version_before_is_kept_ready_and_those_before_that_are_freed(team, promoted):
    """By their last user: the gateway's collector seldom looks."""
    promoted(1)
    serving = team.ws.serving()
    serving.follow()
    held = serving.routed("m")
    watched = [
        weakref.ref(held.champion),
        weakref.ref(held.champion.predictor),
        weakref.ref(held.champion.predictor.transform),
    ]
    promoted(2)
    serving.follow()
    second = serving.routed("m").champion
    promoted(3)
    gc.collect()
    gc.disable()
    try:
        serving.follow()
        assert serving.routed("m").champion.version == 3
        # A request that began on it still holds it, and is answered by it.
        assert held.champion.predictor.predict(LIVE).values.shape == (3,)
        del held
        assert [ref() for ref in watched] == [None] * 3
    finally:
        gc.enable()
    with team.as_("oli") as oli:
        oli.rollback("m", reason="drill")
    serving.follow()
    assert serving.routed("m").champion is second, "it was loaded already"


def test_what_a_rollback_goes_back_to_is_loaded_where_a_gateway_starts(team, promoted, monkeypatch):
    promoted(1)
    promoted(2)
    loaded, make = [], resident.ready

    def told(home, model, number):
        loaded.append(number)
        return make(home, model, number)

    monkeypatch.setattr(resident, "ready", told)
    serving = team.ws.serving()
    serving.follow()
    assert loaded == [2, 1]
    with team.as_("oli") as oli:
        oli.rollback("m", reason="drill")
    serving.follow()
    assert {a.version for a in serving.infer("m", LIVE, ["u", "v", "w"])} == {1}
    assert loaded == [2, 1]


def test_memory_is_given_back_when_a_version_has_lost_its_last_user(team, promoted, monkeypatch):
    promoted(1)
    given = []
    monkeypatch.setattr(resident, "give_back", lambda: given.append(len(given)))
    serving = team.ws.serving()
    serving.follow()
    assert len(given) == 1, "of what the load took on its way"
    held = serving.routed("m")
    for seed in (2, 3):
        promoted(seed)
        serving.follow()
    assert len(given) == 3
    serving.follow()
    assert len(given) == 3
    del held
    serving.follow()
    assert len(given) == 4


def test_a_load_that_fails_leaves_nothing_behind(team, promoted, monkeypatch):
    """Not even in the error's own frames, which hold all that was read by then."""
    promoted(1)
    serving = team.ws.serving()
    serving.follow()
    promoted(2)
    watched = []

    def fails(self, state):
        watched.append(weakref.ref(state))
        raise Incompatible("broken", do="mend it")

    monkeypatch.setattr(LogisticRegression, "load", fails)
    monkeypatch.setattr(resident, "FIRST_PAUSE_SECONDS", 0.0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with suppress(Incompatible):
                serving.follow()
        assert [ref() for ref in watched] == [None] * 3
    finally:
        gc.enable()
