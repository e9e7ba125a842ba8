"""Gateways that run, and whether all of them have followed the record."""

import threading
import time

from tidegate.domain.messages import say
from tidegate.domain.rollout import Deployment, ServingNote
from tidegate.monitoring import gateways
from tidegate.monitoring.gateways import Heartbeat, behind, running


def test_those_that_run_and_have_not_followed_are_named(database):
    quick, slow = Heartbeat(database), Heartbeat(database)
    quick.say(7)
    slow.say(6)
    assert behind(database, 7, 0.0) == [slow.name]
    assert behind(database, 6, 0.0) == []
    slow.say(8)
    assert behind(database, 7, 0.0) == []


def test_one_that_refuses_the_champion_has_not_followed_however_far_it_has_read(database):
    one = Heartbeat(database)
    text = say("version {v} is odd", v="m@2")
    one.say(7, [ServingNote(model="m", version=2, refused=True, text=text)])
    assert behind(database, 7, 0.0, Deployment(model="m", champion=2)) == [one.name]
    assert behind(database, 7, 0.0, Deployment(model="m", champion=1)) == []
    assert behind(database, 7, 0.0, Deployment(model="other", champion=2)) == []
    one.say(7, [ServingNote(model="m", version=2, refused=False, text=text)])
    assert behind(database, 7, 0.0, Deployment(model="m", champion=2)) == []


def test_it_waits_no_longer_than_they_take(database):
    one = Heartbeat(database)
    one.say(1)
    later = threading.Timer(0.2, one.say, [2])
    later.start()
    began = time.monotonic()
    assert behind(database, 2, 30.0) == []
    assert time.monotonic() - began < 15
    later.join()


def test_who_has_ended_or_gone_silent_is_not_waited_for(database, monkeypatch):
    ended, silent = Heartbeat(database), Heartbeat(database)
    ended.say(1)
    silent.say(1)
    ended.end()
    assert behind(database, 9, 0.0) == [silent.name]
    monkeypatch.setattr(gateways, "GONE_SECONDS", -1.0)
    assert behind(database, 9, 0.0) == []
    assert behind(database, 9, 0.0, ran=[ended.name, silent.name]) == [silent.name]
    silent.end()
    assert behind(database, 9, 0.0, ran=[silent.name]) == []


def test_it_says_so_again_only_where_there_is_something_to_say(database, monkeypatch):
    one, said = Heartbeat(database), []
    write = database.write
    monkeypatch.setattr(database, "write", lambda: said.append(1) or write())
    for seen in (3, 3, 3, 4, 4):
        one.say(seen)
    assert len(said) == 2
    monkeypatch.setattr(gateways, "HEARTBEAT_SECONDS", 0.0)
    one.say(4)
    assert len(said) == 3


def test_what_they_refuse_is_told_as_soon_as_it_changes(database):
    note = ServingNote(model="m", version=2, refused=True, text=say("version {v} is odd", v="m@2"))
    one, other = Heartbeat(database), Heartbeat(database)
    one.say(3)
    other.say(4)
    one.say(3, [note])
    told = {each.name: each for each in running(database)}
    assert set(told) == {one.name, other.name}
    assert (told[one.name].followed, told[one.name].notes) == (3, (note,))
    assert told[other.name].notes == ()
    one.say(3)
    assert [each.notes for each in running(database)] == [(), ()]
    other.end()
    assert [each.name for each in running(database)] == [one.name]
