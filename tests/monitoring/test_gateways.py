"""Gateways that run, and whether all of them have followed the record."""

import threading
import time

from tidegate.monitoring import gateways
from tidegate.monitoring.gateways import Heartbeat, behind


def test_those_that_run_and_have_not_followed_are_named(database):
    quick, slow = Heartbeat(database), Heartbeat(database)
    quick.say(7)
    slow.say(6)
    assert behind(database, 7, 0.0) == [slow.name]
    assert behind(database, 6, 0.0) == []
    slow.say(8)
    assert behind(database, 7, 0.0) == []


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
