"""The worker as a process of its own: answers do not wait for what it does.

Threads of one process take turns, so that a judgement of ten milliseconds, or a search of
minutes, would be felt by whoever asks meanwhile. The process, ``python -m tidegate.apps.api``, ends
when its standard input does, hence with whoever started it, however that ended; or on SIGTERM. It
stops at the next safe place, on a second SIGTERM at once, and an update that was under way goes on
from there when a worker runs again.
"""

import argparse
import logging
import logging.config
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

from tidegate.apps.api.worker import LOOK_SECONDS, TICK_SECONDS, Worker, again, until
from tidegate.apps.http import logs
from tidegate.domain.errors import TidegateError
from tidegate.process.children import ended_in, program, started
from tidegate.process.workspace import Workspace

_LOG = logging.getLogger("tidegate")

#: How long after one that ended by itself the next is started: twice as long each time, up to so
#: long, until one has lived for a minute.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, STEADY_SECONDS = 1.0, 60.0, 60.0
#: How long one that is told to stop may take for it.
STOP_SECONDS = 60.0
#: On a machine that has too much to do, answers go first.
_NICER = 10


class Beside:
    """Starts the process once there is work for it, and again where it ends by itself."""

    def __init__(self, folder: Path | None, actor: str | None, *, updates: bool, log: logs.Form):
        self._program = [*program("tidegate.apps.api", folder), f"--log={log}"]
        self._program += [] if actor is None else [f"--as={actor}"]
        self._program += ["--updates"] if updates else []
        self.updates = updates
        self._process: subprocess.Popen[bytes] | None = None
        self._began, self._next, self._pause = 0.0, 0.0, PAUSE_SECONDS

    @property
    def pid(self) -> int | None:
        """The process, where it was started."""
        return None if self._process is None else self._process.pid

    def see_to(self, *, needed: bool) -> None:
        """Start it where it is ``needed`` and does not run; what runs goes on."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._ended(status, now)
        if needed and now >= self._next:
            self._process = started(self._program)
            self._began = now

    def _ended(self, status: int, now: float) -> None:
        if now - self._began >= STEADY_SECONDS:
            self._pause = PAUSE_SECONDS
        message = "the worker ended by itself (%s); another is started in %g seconds"
        _LOG.warning(message, status, self._pause, extra={"event": "worker_ended"})
        self._process, self._next = None, now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """Have it stop where that loses least, and end it where that takes too long."""
        if self._process is not None and not ended_in(self._process, STOP_SECONDS):
            message = "the worker did not stop in %g seconds, and was ended"
            _LOG.warning(message, STOP_SECONDS, extra={"event": "worker_killed"})


def main() -> None:
    """Work until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--as", dest="actor")
    parser.add_argument("--updates", action="store_true", help="run open updates on as well")
    parser.add_argument("--log", type=logs.Form, default=logs.Form.TEXT)
    given = parser.parse_args()
    logging.config.dictConfig(logs.config(given.log))
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells all; the server ends us
    signal.signal(signal.SIGTERM, partial(_told_to_stop, stop))
    if hasattr(os, "nice"):  # Windows has none
        os.nice(_NICER)
    threading.Thread(target=_until_it_ends, args=(stop,), daemon=True).start()
    workspace = _opened(given.workspace, given.actor, stop)
    if workspace is None:
        return
    with workspace:
        worker = Worker(workspace, stop)
        jobs = [("judge", worker.judge, LOOK_SECONDS)]
        jobs += [("work", worker.work, TICK_SECONDS)] if given.updates else []
        threads = [threading.Thread(target=partial(again, *job, stop)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _told_to_stop(stop: threading.Event, *_signal: object) -> None:
    """The handler runs in the main thread, which for that reason never waits for ``stop``."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stop.set()


def _until_it_ends(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # no lock is held meanwhile, as its buffer would be
        pass
    stop.set()


def _opened(folder: Path | None, actor: str | None, stop: threading.Event) -> Workspace | None:
    """The workspace, as soon as its record can be read; None where it is time to stop by then."""
    failing = False
    while not stop.is_set():
        try:
            return Workspace(folder, actor=actor, progress=until(stop), watch=until(stop))
        except TidegateError as problem:
            if not failing:
                told = {"event": "record_unreadable"}
                _LOG.error("work: %s; it is tried again", problem, extra=told)
            failing = True
            time.sleep(TICK_SECONDS)
    return None
