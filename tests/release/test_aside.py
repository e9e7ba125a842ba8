"""Asked aside: what is raised arrives, what is left ends alone, and nothing is held for longer."""

import gc
import threading
import weakref
from functools import partial

import pytest

from tidegate.release.aside import Aside
from tidegate.release.route import Served


def thread_of(aside, version):
    return aside.ask(version, threading.current_thread).result(30)


def test_calls_are_made_one_after_another_in_one_thread():
    aside, version = Aside(), Served(1, None)
    threads = [thread_of(aside, version) for _ in range(5)]
    assert len(set(threads)) == 1
    assert threads[0].daemon


def test_whatever_is_raised_arrives_and_the_thread_goes_on():
    def leaves():
        raise SystemExit("a candidate may raise whatever it likes")

    aside, version = Aside(), Served(1, None)
    before = thread_of(aside, version)
    with pytest.raises(SystemExit):
        aside.ask(version, leaves).result(30)
    assert thread_of(aside, version) is before


def test_a_call_that_is_left_ends_alone_and_its_thread_with_it():
    aside, one, other = Aside(), Served(1, None), Served(2, None)
    begun, go_on, here = threading.Event(), threading.Event(), []

    def waits():
        here.append(threading.current_thread())
        begun.set()
        go_on.wait(30)

    call = aside.ask(one, waits)
    assert begun.wait(30)
    assert aside.leave(one, call)
    assert aside.ask(one, waits) is None
    assert thread_of(aside, other) is not here[0]
    go_on.set()
    here[0].join(30)
    assert not here[0].is_alive()
    assert thread_of(aside, one) is not here[0]


def test_a_call_that_has_not_begun_never_does():
    aside, one, other = Aside(), Served(1, None), Served(2, None)
    go_on, asked = threading.Event(), []
    first = aside.ask(one, lambda: go_on.wait(30))
    second = aside.ask(other, lambda: asked.append(1))
    assert not aside.leave(other, second)
    go_on.set()
    assert first.result(30)
    thread_of(aside, other)
    assert asked == []


def test_a_version_is_held_by_no_thread_that_is_idle():
    class Predictor:
        pass

    aside, predictor = Aside(), Predictor()
    held = weakref.ref(predictor)
    first = Served(1, predictor)
    aside.ask(first, partial(getattr, first, "predictor")).result(30)
    thread_of(aside, Served(2, None))
    del first, predictor
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("closed", [True, False])
def test_its_thread_ends_with_it(closed):
    aside = Aside()
    thread = thread_of(aside, Served(1, None))
    if closed:
        aside.close()
    else:
        del aside
    thread.join(30)
    assert not thread.is_alive()
