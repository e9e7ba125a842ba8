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
from pathlib import Path
from typing import Any

from tidegate.domain import errors
from tidegate.domain.errors import Busy, TidegateError
from tidegate.monitoring.prediction_log import Labelled, Row, Told
from tidegate.monitoring.text import as_json
from tidegate.process.children import program
from tidegate.process.home import Home

_LOG = logging.getLogger("tidegate")

#: One that ended by itself is started again, but not more often than this.
PAUSE_SECONDS = 1.0
#: How long one that has no more input may take to end.
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
        self._next = 0.0

    def start(self) -> None:
        """Have it ready before it is needed."""
        with self._one_at_a_time:
            self._running()

    @property
    def pid(self) -> int | None:
        """The process, where one was started and has not been found ended."""
        return None if self._process is None else self._process.pid

    def write_rows(self, rows: Sequence[Row]) -> None:
        """As ``PredictionLog.write_rows``."""
        self._asked({"rows": rows})

    def label_many(
        self, labels: Mapping[str, Any], *, model: str | None = None, whole: Collection[int] = ()
    ) -> Told:
        """As ``PredictionLog.label_many``, at the moment they are written."""
        plain = {request_id: _sendable(label) for request_id, label in labels.items()}
        told = self._asked({"labels": plain, "model": model, "whole": list(whole)})
        return Told(
            [Labelled(**one) for one in told["kept"]],
            {request_id: errors.restored(*why) for request_id, why in told["refused"].items()},
            told["unknown"],
        )

    def close(self) -> None:
        """Have it end what it is at, and end it where that takes too long."""
        with self._one_at_a_time:
            process, self._process = self._process, None
            if process is not None:
                _close(process)
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _asked(self, request: dict[str, Any]) -> Any:
        """What the process says; raises what it raised, and Busy where it ended."""
        line = as_json(request).encode() + b"\n"
        with self._one_at_a_time:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
            said = b""
            try:
                with suppress(OSError):  # it has ended
                    process.stdin.write(line)
                    process.stdin.flush()
                    said = process.stdout.readline()
            finally:
                if not said.endswith(b"\n"):  # an answer that comes later is no other's
                    self._ended(process)
        if not said.endswith(b"\n"):
            raise _gone()
        told = json.loads(said)
        if "error" in told:
            raise errors.restored(*told["error"])
        if "problem" in told:
            raise RuntimeError(told["problem"])
        return told

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            now = time.monotonic()
            if now < self._next:
                raise _gone()
            self._next = now + PAUSE_SECONDS
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._program, stdin=pipe, stdout=pipe)  # noqa: S603 - ours
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        self._process = None
        process.kill()
        _close(process)
        message = "the process that keeps the prediction log ended (%s); another is started"
        _LOG.warning(message, process.wait(), extra={"event": "scribe_ended"})


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


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it did not read
                pipe.close()


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
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
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
            return {"error": errors.kept(error)}
        except Exception:
            return {"problem": traceback.format_exc()}

    def close(self) -> None:
        """Let go of the workspace."""
        if self._home is not None:
            self._home.close()


def _done(home: Home, request: dict[str, Any]) -> dict[str, Any]:
    if "rows" in request:
        home.log.write_rows(request["rows"])
        return {}
    told = home.log.label_many(
        request["labels"], model=request["model"], whole=set(request["whole"])
    )
    return {
        "kept": [vars(one) for one in told.kept],
        "refused": {request_id: errors.kept(why) for request_id, why in told.refused.items()},
        "unknown": told.unknown,
    }


if __name__ == "__main__":
    main()
