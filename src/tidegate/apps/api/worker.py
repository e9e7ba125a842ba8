"""What is done beside answering: releases are judged, and open updates run on."""

import logging
import threading
import time
from collections.abc import Callable

from tidegate.domain.errors import TidegateError
from tidegate.domain.stage import Stage
from tidegate.process.judging import judge
from tidegate.process.workspace import Workspace

_LOG = logging.getLogger("tidegate")

#: How often open updates are looked at.
TICK_SECONDS = 1.0
#: How often it is looked whether somebody has said what came true.
LOOK_SECONDS = 0.05
#: Releases are judged again once four times as long has passed as it took, a second at most: a
#: large one takes some more time, and not the machine.
REST = 4.0
#: Longest pause before an update that cannot go on, for a full disk say, is tried again.
PATIENCE_SECONDS = 300.0


class Stopping(BaseException):
    """It is time to stop: what was under way goes on from there when somebody works again.

    No error, so that nobody takes it for one of training's.
    """


def until(stop: threading.Event) -> Callable[..., None]:
    """For a workspace's ``watch`` and ``progress``: ends what is under way once ``stop`` is set, at
    the next place where that loses least."""

    def look(*_told: object) -> None:
        if stop.is_set():
            raise Stopping

    return look


class Worker:
    """Works on an open workspace until ``stop`` is set."""

    def __init__(self, workspace: Workspace, stop: threading.Event):
        self._workspace, self._stop = workspace, stop
        self._troubles: dict[str, tuple[float, float]] = {}
        self._labels, self._next, self._rests = -1, 0.0, 0.0

    def judge(self) -> None:
        """Judge releases where there are new labels, and at each tick for what needs none."""
        began = time.monotonic()
        if began < self._rests:
            return
        labels = self._workspace.home.log.places().labels
        if labels == self._labels and began < self._next:
            return
        self._labels, self._next = labels, began + TICK_SECONDS
        judge(self._workspace.home)
        now = time.monotonic()
        self._rests = now + min(REST * (now - began), TICK_SECONDS)

    def work(self) -> None:
        """Run open updates on; one that cannot go on is tried again, later each time.

        One worker of a workspace does so at a time: what another is at would be done twice.
        """
        for update in self._workspace.updates():
            if update.outcome is None and update.stage is not Stage.APPROVE:
                self._resume(update.id)

    def _resume(self, update_id: str) -> None:
        again, pause = self._troubles.get(update_id, (0.0, TICK_SECONDS))
        if time.monotonic() < again or self._stop.is_set():
            return
        try:
            with self._workspace.home.database.turn() as mine:
                if not mine:
                    return  # it is looked again at the next tick
                self._workspace.resume(update_id)
            self._troubles.pop(update_id, None)
        except Exception as error:  # others go on
            known = isinstance(error, TidegateError)
            _LOG.warning("update %s cannot go on: %s", update_id, error, exc_info=not known)
            pause = min(2 * pause, PATIENCE_SECONDS)
            self._troubles[update_id] = (time.monotonic() + pause, pause)


def again(what: str, do: Callable[[], None], seconds: float, stop: threading.Event) -> None:
    """Do it again and again, with a pause, until ``stop`` is set."""
    failing = False
    while not stop.wait(TICK_SECONDS if failing else seconds):
        try:
            do()
            if failing:
                told = {"event": "record_back"}
                _LOG.warning("%s: the record can be read again", what, extra=told)
            failing = False
        except Stopping:
            _LOG.info("%s: stopped; it goes on when a worker runs again", what)
        except Exception as problem:  # what is routed goes on answering; the log tells, once
            if not failing:
                known = isinstance(problem, TidegateError)
                _LOG.error(
                    "%s: %s; it is tried again", what, problem, exc_info=not known,
                    extra={"event": "record_unreadable"},
                )  # fmt: skip
            failing = True
