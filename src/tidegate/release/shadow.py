"""The shadow: a candidate is asked what the champion has answered, and nobody waits for it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

from tidegate.domain.answer import Asked, Shadowed
from tidegate.release.aside import Aside
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


class _One(NamedTuple):
    """Rows of one request that a candidate is to be asked, and the ids of their answers."""

    candidate: Served
    release: str
    asked: Asked
    rows: list[int]
    ids: list[str]


class Shadow:
    """Takes requests at once and asks about them soon, in threads of its own.

    ``sink`` gets what was said, and gives how many of it were left out; what it raises loses those
    answers. ``dropped`` counts rows that found no room, were not asked after all, or were not kept.
    A candidate that raises or takes
    longer than ``deadline`` seconds has failed those rows, and until it has ended that call those
    that come after as well; it is not asked then, and other candidates are.
    """

    def __init__(
        self,
        sink: Callable[[list[Shadowed]], int],
        *,
        most_waiting: int = MOST_WAITING,
        deadline: float = DEADLINE_SECONDS,
    ):
        self._sink, self._most, self._deadline = sink, most_waiting, deadline
        self._waiting: deque[_One] = deque()
        self.waiting, self.dropped, self._taken = 0, 0, 0
        self._aside = Aside()
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
        """Wait until nothing of what was taken so far waits; False where that takes longer."""
        self._come.set()
        with self._idle:
            so_far = self._taken
            return self._idle.wait_for(lambda: self._taken - self.waiting >= so_far, seconds)

    def close(self) -> None:
        """Ask what waits, as far as that takes no more than two seconds, and stop."""
        self.flush(2.0)
        self._closing = True
        self._come.set()

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
            self._taken += len(rows)
            ids = [one.ids[row] for row in rows]
            self._waiting.append(_One(route.shadow, route.release_id, one.asked, rows, ids))
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._run, name="tidegate-shadow", daemon=True).start()
        if not self._come.is_set():
            self._come.set()

    def _run(self) -> None:
        while not self._closing:
            self._come.wait()
            self._come.clear()
            time.sleep(WAIT_SECONDS)
            while self._waiting and not self._closing:
                self._ask(self._next())
        self._aside.close()
        with self._idle:
            self._done(self.waiting, lost=self.waiting)

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
        began, version = time.perf_counter(), some[0].candidate
        rows = sum(len(one.rows) for one in some)
        said: list[Any] = [TimeoutError("late")] * len(some)
        call = self._aside.ask(version, partial(_said, some))
        if call is not None:
            try:
                said = call.result(self._deadline)
            except TimeoutError:
                if not self._aside.leave(version, call):
                    self._done(rows, lost=rows)  # the machine is at fault, not the candidate
                    return
        latency, lost = (time.perf_counter() - began) * 1000, rows
        try:
            pairs = zip(some, said, strict=True)
            lost = self._sink([row for one, what in pairs for row in _rows(one, what, latency)])
        except Exception:
            _LOG.exception("what a candidate said in the shadow could not be kept")
        self._done(rows, lost=lost)

    def _done(self, rows: int, *, lost: int) -> None:
        """So many rows wait no longer, and so many of them were lost."""
        with self._idle:
            self.waiting -= rows
            self.dropped += lost
            self._idle.notify_all()


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
