"""The prediction log kept by a process of its own: answers do not wait for what is written.

Threads of one process take turns, dozens of times for what a database is told of some rows or
labels, and whoever asks meanwhile feels each. The process, ``python -m tidegate.process.scribe``,
reads a request a line from its standard input, in JSON, and writes a line when it has done what
that says. It ends when its input does, hence with whoever started it, however that ended.
"""

import argparse
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.domain import errors
from tidegate.domain.errors import Busy, StorageError, TidegateError
from tidegate.monitoring.prediction_log import Labelled, Row, Told
from tidegate.monitoring.text import as_json
from tidegate.process.children import close_pipes, ended_in, program, started
from tidegate.process.home import Home

_LOG = logging.getLogger("tidegate")

#: One that ended by itself is started again, but not more often than this.
PAUSE_SECONDS = 1.0
#: How long one may be at what it is asked, three times as long as it waits for another writer.
HUNG_SECONDS = 90.0
#: How long whoever has something to ask waits for those before.
WAIT_SECONDS = 30.0
#: How long one may take to come to its end, and to end then.
STOP_SECONDS = 30.0
#: On a machine that has too much to do, answers go first.
_NICER = 5


class Scribe:
    """Has the process keep the log of the workspace in ``folder``, as ``PredictionLog`` would.

    It is asked one thing at a time. Where it ended meanwhile, Busy is raised and another is
    started: what it was asked may be done or not, and does no harm when it is done again.
    """

    def __init__(self, folder: Path):
        self._program = program("tidegate.process.scribe", folder)
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None  # where it is at something
        self._next, self._closed = 0.0, False

    def start(self) -> None:
        """Have it ready before it is needed, if it can be."""
        with self._one_at_a_time, suppress(Busy):
            self._running()

    @property
    def pid(self) -> int | None:
        """The process, where one was started and has not been found ended."""
        return None if self._process is None else self._process.pid

    def see_to(self) -> None:
        """End one that does not come to an end with what it was asked: whoever waits is told."""
        began, process = self._asked_at, self._process
        if began is not None and process is not None and time.monotonic() - began > HUNG_SECONDS:
            process.kill()

    def write_rows(self, rows: Sequence[Row]) -> None:
        """As ``PredictionLog.write_rows``."""
        self._asked({"rows": rows})

    def label_many(
        self, labels: Mapping[str, Any], *, model: str | None = None, whole: Collection[int] = ()
    ) -> Told:
        """As ``PredictionLog.label_many``, at the moment they are written; ``features`` are left
        out."""
        plain = {request_id: _sendable(label) for request_id, label in labels.items()}
        told = self._asked({"labels": plain, "model": model, "whole": list(whole)})
        return Told(
            [Labelled(**one) for one in told["kept"]],
            {request_id: errors.restored(*why) for request_id, why in told["refused"].items()},
            told["unknown"],
        )

    def close(self) -> None:
        """Have it end what it is at, and end it where that takes too long; none is started then."""
        self._closed = True
        if not self._one_at_a_time.acquire(timeout=STOP_SECONDS):
            process = self._process
            if process is not None:
                process.kill()  # whoever waits for it lets go
            self._one_at_a_time.acquire()
        process, self._process = self._process, None
        self._one_at_a_time.release()
        if process is not None:
            ended_in(process, STOP_SECONDS)

    def _asked(self, request: dict[str, Any]) -> Any:
        """What the process says; raises what it raised, and Busy where it ended, or where others
        wait for it for long."""
        line = as_json(request).encode() + b"\n"
        if not self._one_at_a_time.acquire(timeout=WAIT_SECONDS):
            raise Busy(
                "the prediction log has been at what came before for {seconds:g} seconds",
                do="send the same again in a little while: nothing counts twice",
                seconds=WAIT_SECONDS,
            )
        try:
            said = self._said(self._running(), line)
        finally:
            self._asked_at = None
            self._one_at_a_time.release()
        if not said.endswith(b"\n"):
            raise _gone()
        told = json.loads(said)
        if "error" in told:
            raise errors.restored(*told["error"])
        if "problem" in told:
            raise RuntimeError(told["problem"])
        return told

    def _said(self, process: subprocess.Popen[bytes], line: bytes) -> bytes:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        self._asked_at, said = time.monotonic(), b""
        try:
            with suppress(OSError):  # it has ended
                process.stdin.write(line)
                process.stdin.flush()
                said = process.stdout.readline()
        finally:
            if not said.endswith(b"\n"):  # an answer that comes later is no other's
                self._ended(process)
        return said

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            now = time.monotonic()
            if self._closed or now < self._next:
                raise _gone()
            self._next = now + PAUSE_SECONDS
            try:
                self._process = started(self._program, subprocess.PIPE)
            except OSError as error:
                raise Busy(
                    "the process that keeps the prediction log cannot be started: {problem}",
                    do="send the same again in a second, and see to what the machine is short of",
                    problem=os.strerror(error.errno or 0),
                ) from error
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        self._process = None
        process.kill()
        close_pipes(process)
        status = process.wait()
        if not self._closed:
            message = "the process that keeps the prediction log ended (%s); another is started"
            _LOG.warning(message, status, extra={"event": "scribe_ended"})


def _sendable(label: Any) -> Any:
    """A label that JSON can say; what is none, nor a list or an object, is refused all the same."""
    if isinstance(label, float) and not math.isfinite(label):
        return None
    return type(label)() if isinstance(label, (list, dict)) else label


def _gone() -> Busy:
    return Busy(
        "the process that keeps the prediction log has ended",
        do="send the same again in a second: another is started, and nothing counts twice",
    )


# What follows is done in the process.


def main() -> None:
    """Keep the log until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    given = parser.parse_args()
    for name in (signal.SIGINT, signal.SIGTERM):  # it ends once its server has told all
        signal.signal(name, signal.SIG_IGN)
    if hasattr(os, "nice"):  # Windows has none
        os.nice(_NICER)
    # Whatever else writes to standard output writes no answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    aside = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    os.dup2(aside, sys.stdout.fileno())
    keeping = _Keeping(given.workspace)
    with suppress(BrokenPipeError):  # who asked has gone
        for line in sys.stdin.buffer:
            answers.write(as_json(keeping.told(line)).encode() + b"\n")
            answers.flush()
    keeping.close()


class _Keeping:
    """Does what it is asked, on a workspace that is opened as soon as it can be."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._home: Home | None = None

    def told(self, line: bytes) -> dict[str, Any]:
        """What is to be said of a request."""
        try:
            if self._home is None:
                self._home = Home.open(self._folder)
            return _done(self._home, json.loads(line))
        except TidegateError as error:
            if isinstance(error, StorageError):  # what is open may stay as it was found
                self.close()
            return {"error": errors.kept(error)}
        except Exception:
            return {"problem": traceback.format_exc()}

    def close(self) -> None:
        """Let go of the workspace."""
        home, self._home = self._home, None
        if home is not None:
            home.close()


def _done(home: Home, request: dict[str, Any]) -> dict[str, Any]:
    if "rows" in request:
        home.log.write_rows(request["rows"])
        return {}
    told = home.log.label_many(
        request["labels"], model=request["model"], whole=set(request["whole"])
    )
    return {
        # Nobody reads the features there, and a row may be long.
        "kept": [vars(replace(one, features="{}")) for one in told.kept],
        "refused": {request_id: errors.kept(why) for request_id, why in told.refused.items()},
        "unknown": told.unknown,
    }


if __name__ == "__main__":
    main()
