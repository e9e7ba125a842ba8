"""Candidates are asked aside: in a thread that nobody waits for longer than for an answer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from tidegate.release.route import Served

_T = TypeVar("_T")
_Calls = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class NotBegun(Exception):
    """Nobody came to a call in time: the machine, or a champion that let no other thread have a
    turn, is at fault, and not the version."""


class Aside:
    """Asks versions that may never answer, one call after another, in a daemon thread.

    One thread at a time calls it. Whoever waits for a call no longer says so by ``leave``; its
    thread is left to it, and what comes next has another one. A version is not asked while it is at
    a call that was left: so it takes no more than one thread with it.
    """

    def __init__(self) -> None:
        self._thread: _Thread | None = None
        #: Ids of versions that are at a call that was left; as long as they are, they live.
        self._left: set[int] = set()

    def holds(self, version: Served | None) -> bool:
        """Whether the version is still at a call that was left."""
        return bool(self._left) and id(version) in self._left

    def ask(self, version: Served, does: Callable[[], _T]) -> Future[_T] | None:
        """What ``does`` returns, soon; None where the version is still at a call that was left."""
        if self.holds(version):
            return None
        if self._thread is None:
            self._thread = _Thread()
        call: Future[_T] = Future()
        self._thread.calls.put((call, does))
        return call

    def leave(self, version: Served, call: Future[Any]) -> bool:
        """Wait for a call no longer; False where it had not begun, and now never will."""
        if call.cancel():
            return False
        self._thread = None
        self._left.add(id(version))
        call.add_done_callback(lambda _: self._left.discard(id(version)))
        return True

    def close(self) -> None:
        """Let the thread end, once it has done what it was given."""
        self._thread = None


class _Thread:
    """A thread that ends when nobody holds this any more, and the call it is at has ended."""

    def __init__(self) -> None:
        self.calls: _Calls = SimpleQueue()
        threading.Thread(
            target=_work, args=(self.calls,), name="tidegate-aside", daemon=True
        ).start()

    def __del__(self) -> None:
        self.calls.put(None)


def _work(calls: _Calls) -> None:
    while (given := calls.get()) is not None:
        call, does = given
        if call.set_running_or_notify_cancel():
            try:
                call.set_result(does())
            except BaseException as error:  # a candidate may raise whatever it likes
                call.set_exception(error)
        del given, call, does  # a version that is let go of is not held by an idle thread
