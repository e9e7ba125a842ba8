"""Feedback while the log, or the shadow, is behind with what it is about."""

from types import SimpleNamespace

import pytest

from tidegate.domain.errors import Busy, DataError, NotFound
from tidegate.monitoring.prediction_log import Told
from tidegate.process.serving import Serving
from tidegate.release.route import Route, Served


def serving(told, *, flushed=True):
    """One that judges nothing, over a log that says this to any labels."""
    log = SimpleNamespace(label_many=lambda *_, **__: told)
    journal = SimpleNamespace(now=lambda: "t")
    made = Serving(SimpleNamespace(log=log, journal=journal), judges=False)
    made._check_served = lambda _model: None
    made.writer.flush = lambda: flushed
    return made


UNKNOWN = {"who": NotFound("unknown", do="look")}


def test_labels_for_answers_that_wait_to_be_logged_are_asked_for_again():
    with pytest.raises(Busy, match="again in a little while") as caught:
        serving(Told([], UNKNOWN, 1), flushed=False).feedback("m", {"who": 1})
    assert caught.value.status == 503
    with pytest.raises(Busy, match="1 of the labels"):
        serving(Told(["kept"], UNKNOWN, 1), flushed=False).feedback("m", {"who": 1, "r": 1})


def test_where_the_log_is_behind_and_all_is_there_nothing_is_asked_again():
    told = Told(["kept"], {"r0": DataError("bad", do="mend")}, 0)
    assert serving(told, flushed=False).feedback("m", {"r0": 1, "r1": 1}) is told


def test_what_is_unknown_to_a_log_that_is_not_behind_is_refused():
    with pytest.raises(NotFound):
        serving(Told([], UNKNOWN, 1)).feedback("m", {"who": 1})
    assert serving(Told(["kept"], UNKNOWN, 1)).feedback("m", {"who": 1, "r": 1}).unknown == 1


def test_where_none_is_kept_and_some_may_be_later_they_are_asked_for_again():
    soon = {"r1": Busy("not yet", do="wait")}
    for refused in (soon, UNKNOWN | soon):
        with pytest.raises(Busy):
            serving(Told([], refused, 1)).feedback("m", dict.fromkeys(refused, 1))
    told = serving(Told(["kept"], soon, 1)).feedback("m", {"r": 1, "r1": 1})
    assert [one.status for one in told.refused.values()] == [503]


@pytest.fixture
def asked():
    """A serving, and of which versions it said that labels are whole."""
    made, told = serving(None), []
    made._home.log.label_many = lambda *_, **how: told.append(set(how["whole"])) or Told([], {}, 0)
    return made, told


@pytest.mark.parametrize(
    ("classes", "whole"),
    [((0.0, 1.0), True), ((0.5, 1.0), False), ((0, 1), False), (("a", "b"), False), (None, False)],
)
def test_labels_are_whole_where_all_classes_are(asked, classes, whole):
    """Of whole numbers that are no floats, the answer's own type says so."""
    made, told = asked
    made._gateway.set_route(Route("m", Served(1, None, classes=classes)))
    made.feedback("m", {"r": 1})
    assert told == [{1} if whole else set()]


def test_each_version_has_classes_of_its_own_and_keeps_them_when_it_has_gone(asked):
    made, told = asked
    one, other, third = (
        Served(number, None, classes=classes)
        for number, classes in ((1, (0.0, 1.0)), (2, (0.0, 0.5, 1.0)), (3, (0.0, 2.0)))
    )
    for route in (Route("m", one, other), Route("m", other, shadow=third), Route("n", other)):
        made._gateway.set_route(route)
        made.feedback(route.model, {"r": 1})
    assert told == [{1}, {1, 3}, set()]
