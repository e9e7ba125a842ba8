"""The shadow: a candidate is asked what the champion has answered, and nobody waits for it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import compress
from queue import SimpleQueue
from typing import Any, NamedTuple

from tidegate.domain.answer import Asked, Shadowed
from tidegate.release.gateway import Outcomes, predicted
from tidegate.release.route import Served, Split

_LOG = logging.getLogger("tidegate")

#: Rows that may wait. What comes beyond them is dropped, and counted.
MOST_WAITING = 10_000
#: How long rows wait for others: the more share a call, the less of the machine a shadow takes.
WAIT_SECONDS = 0.05
#: Rows in one call of a version that answers quickly; of others, each request is a call.
MOST_ROWS = 512
#: A call that takes longer has failed, as it would have in a canary.
DEADLINE_SECONDS = 1.0

_Call = Callable[[], list[Any]]


class _One(NamedTuple):
    """Rows of one request that a candidate is to be asked, and the ids of their answers."""

    candidate: Served
    release: str
    asked: Asked
    rows: list[int]
    ids: list[str]


class Shadow:
    """Takes requests at once and asks about them soon, in threads of its own.

    ``sink`` gets what was said; what it raises loses those answers. ``dropped`` counts rows that
    found no room, or could not be kept. A candidate that raises or takes longer than ``deadline``
    seconds has failed those rows, and while it is at an older call those that come after as well.
    """

    def __init__(
        self,
        sink: Callable[[list[Shadowed]], None],
        *,
        most_waiting: int = MOST_WAITING,
        deadline: float = DEADLINE_SECONDS,
    ):
        self._sink, self._most, self._deadline = sink, most_waiting, deadline
        self._waiting: deque[_One] = deque()
        self.waiting, self.dropped = 0, 0
        self._calls: SimpleQueue[tuple[Future[list[Any]], _Call] | None] = SimpleQueue()
        self._idle = threading.Condition()
        self._come = threading.Event()
        self._begun = self._closing = False

    def put(self, splits: Sequence[Split], answered: Outcomes) -> None:
        """Take requests that the champion has answered; never waits, and never raises."""
        try:
            for one, said in zip(splits, answered, strict=True):
                if not isinstance(said, Exception) and not one.chosen:
                    self._take(one)
        except Exception:  # the answers were given already
            _LOG.exception("a request could not be shadowed")

    def flush(self, seconds: float = 1.0) -> bool:
        """Wait until nothing waits any more; False where that takes longer."""
        self._come.set()
        with self._idle:
            return self._idle.wait_for(lambda: self.waiting == 0, seconds)

    def close(self) -> None:
        """Ask what waits, as far as that takes no more than two seconds, and stop."""
        self.flush(2.0)
        self._closing = True
        self._come.set()
        self._calls.put(None)

    def _take(self, one: Split) -> None:
        route = one.route
        if route.shadow is None or route.release_id is None:
            return
        wanted = [True] * len(one.ids) if route.sample == 1 else sampled(one.ids, route.sample)
        rows = list(compress(range(len(one.ids)), wanted))
        if not rows:
            return
        with self._idle:
            if self._closing or self.waiting + len(rows) > self._most:
                self.dropped += len(rows)
                return
            self.waiting += len(rows)
            ids = [one.ids[row] for row in rows]
            self._waiting.append(_One(route.shadow, route.release_id, one.asked, rows, ids))
            if not self._begun:
                self._begun = True
                for does in (self._run, self._answer):
                    threading.Thread(target=does, name="tidegate-shadow", daemon=True).start()
        if not self._come.is_set():
            self._come.set()

    def _run(self) -> None:
        while not self._closing:
            self._come.wait()
            self._come.clear()
            time.sleep(WAIT_SECONDS)
            while self._waiting and not self._closing:
                self._ask(self._next())

    def _next(self) -> list[_One]:
        """Requests of one candidate that share a call, one at least."""
        some, rows = [self._waiting.popleft()], 0
        first = some[0]
        while first.candidate.quick and self._waiting:
            rows += len(some[-1].rows)
            other = self._waiting[0]
            if other.candidate is not first.candidate or rows + len(other.rows) > MOST_ROWS:
                break
            some.append(self._waiting.popleft())
        return some

    def _ask(self, some: list[_One]) -> None:
        began = time.perf_counter()
        call: Future[list[Any]] = Future()
        self._calls.put((call, lambda: _said(some)))
        said: list[Any]
        try:
            said = call.result(self._deadline)
        except TimeoutError:
            call.cancel()
            said = [TimeoutError("late")] * len(some)
        latency = (time.perf_counter() - began) * 1000
        told = [
            row for one, what in zip(some, said, strict=True) for row in _rows(one, what, latency)
        ]
        try:
            self._sink(told)
        except Exception:
            _LOG.exception("what a candidate said in the shadow could not be kept")
            self.dropped += len(told)
        with self._idle:
            self.waiting -= sum(len(one.rows) for one in some)
            self._idle.notify_all()

    def _answer(self) -> None:
        """The candidates' own thread: one that never ends a call holds up nothing else."""
        while (work := self._calls.get()) is not None:
            call, does = work
            if call.set_running_or_notify_cancel():
                call.set_result(does())


def sampled(ids: Sequence[str], share: float) -> list[bool]:
    """Which of these requests are among ``share`` (0 to 1) of all: by the chance in their ids.

    >>> sampled(["00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff"], 0.5)
    [True, False]
    """
    return [int(one[-8:], 16) < share * 2**32 for one in ids]


def _said(some: list[_One]) -> list[Any]:
    """For each request the predictions, or what was raised."""
    try:
        return list(predicted(some[0].candidate, [(one.asked, one.rows) for one in some]))
    except BaseException as error:  # a candidate may raise whatever it likes
        return [error] * len(some)


def _rows(one: _One, said: Any, latency_ms: float) -> list[Shadowed]:
    values = None if isinstance(said, BaseException) else said.values.tolist()
    if values is None or len(values) != len(one.ids):
        return [
            Shadowed(each, one.release, one.candidate.version, None, True, latency_ms)
            for each in one.ids
        ]
    return [
        Shadowed(each, one.release, one.candidate.version, value, False, latency_ms)
        for each, value in zip(one.ids, values, strict=True)
    ]
