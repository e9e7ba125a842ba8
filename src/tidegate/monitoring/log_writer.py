"""The prediction log written off the request path: in batches, by a thread of its own."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import chain

from tidegate.domain.answer import Answer, Asked
from tidegate.monitoring.prediction_log import FEATURES, Keeps, Row, values_of

_LOG = logging.getLogger("tidegate")

#: How long answers wait for others: what a crash can lose, beside what a slow disk holds up.
WAIT_SECONDS = 0.05
#: Rows in one transaction, and characters of their features: what is beyond them waits for the
#: next one.
AT_ONCE, CHARACTERS_AT_ONCE = 2000, 2**22
#: Rows that may wait. What comes beyond them is answered, not logged, and counted as lost.
MOST_WAITING = 100_000
#: Characters of them, likewise: a row may be long.
MOST_CHARACTERS = 2**28
#: How long it waits after the database refused, before it tries again.
PAUSE_SECONDS = 1.0


class LogWriter:
    """Takes answers at once and writes them soon.

    ``lost`` counts rows that found no room while the database could not be written; the ones
    waiting are kept and tried again.
    """

    def __init__(self, log: Keeps, now: Callable[[], str], *, most_waiting: int = MOST_WAITING):
        self._log, self._now, self._most = log, now, most_waiting
        self._waiting: deque[list[Row]] = deque()
        self._rows, self._characters, self.lost = 0, 0, 0
        self._taken, self._written = 0, 0
        self._lock = threading.Lock()
        self._come, self._done = threading.Event(), threading.Condition()
        self._hurry, self._wanted = threading.Event(), 0  # somebody waits for so many
        self._ticked, self._at = time.monotonic(), now()
        self._closing = False
        self._thread: threading.Thread | None = None  # from the first answer on

    def put(self, asked: Asked, answers: list[Answer]) -> None:
        """Take the answers to one request; never waits."""
        # What is kept is made here: threads take turns, and to wait for one's turn while another is
        # at it takes longer than this does.
        at = self._moment()
        rows = [values_of(answer, asked.record(row), at) for row, answer in enumerate(answers)]
        characters = _characters(rows)
        with self._lock:
            if (
                self._rows + len(rows) > self._most
                or self._characters + characters > MOST_CHARACTERS
            ):
                self.lost += len(rows)
                return
            self._rows += len(rows)
            self._characters += characters
            self._taken += 1
            self._waiting.append(rows)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tidegate-log", daemon=True)
                self._thread.start()
        if not self._come.is_set():
            self._come.set()

    def _moment(self) -> str:
        """Now, to a millisecond: asking and writing it down takes longer than an answer may."""
        tick = time.monotonic()
        if tick - self._ticked > 0.001:
            self._ticked, self._at = tick, self._now()
        return self._at

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._rows

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until all that was taken so far is written; False where that takes longer."""
        until = self._wanted = self._taken
        self._hurry.set()
        self._come.set()
        with self._done:
            return self._done.wait_for(lambda: self._written >= until, seconds)

    def close(self) -> None:
        """Write what waits, and stop; the log says how many could not be written."""
        if self._thread is None:
            return
        self.flush()
        self._closing = True
        self._come.set()
        self._thread.join(5.0)
        if self._rows:
            _LOG.error("%d answers were not written to the prediction log", self._rows)

    def _run(self) -> None:
        while not self._closing:
            self._come.wait()
            self._come.clear()
            self._hurry.wait(WAIT_SECONDS)
            self._hurry.clear()
            more = True
            while self._waiting and more and not self._closing:
                self._write_some()
                more = (
                    self._rows >= AT_ONCE
                    or self._characters >= CHARACTERS_AT_ONCE
                    or self._written < self._wanted
                )
            if self._waiting:
                self._come.set()

    def _write_some(self) -> None:
        some: list[list[Row]] = []
        rows = characters = 0
        while len(some) < len(self._waiting) and rows < AT_ONCE and characters < CHARACTERS_AT_ONCE:
            some.append(self._waiting[len(some)])
            rows += len(some[-1])
            characters += _characters(some[-1])
        try:
            self._log.write_rows(list(chain.from_iterable(some)))
        except Exception:  # answers go on; what waits is tried again
            _LOG.exception("the prediction log cannot be written; %d answers wait", self._rows)
            time.sleep(PAUSE_SECONDS)
            return
        with self._lock:
            for _ in some:
                self._waiting.popleft()
            self._characters -= characters
            self._rows -= rows
        with self._done:
            self._written += len(some)
            self._done.notify_all()


def _characters(rows: list[Row]) -> int:
    """Of what a row may have any number of: its features."""
    return sum([len(row[FEATURES]) for row in rows])
