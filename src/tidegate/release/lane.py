"""One model's requests in an event loop: those that arrive together are answered together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tidegate.domain.answer import Answer, Arm, Asked
from tidegate.domain.errors import Busy
from tidegate.release.gateway import (
    Outcomes,
    from_candidate,
    from_champion,
    joined,
    stood_in,
    stood_in_for,
    unanswered,
)
from tidegate.release.pace import Pace
from tidegate.release.route import Route, Split, split

#: Requests that may wait for a model; more are sent away, so that none waits without end.
MOST_WAITING = 1024
#: Rows that are answered in one call, at most.
MOST_ROWS = 512
#: Seconds that a call may take of the event loop, where nothing else goes on meanwhile.
HERE_SECONDS = 0.005
#: Seconds that a call may take in another thread: who comes meanwhile waits for the next one.
THERE_SECONDS = 0.05
#: How long requests may wait for the candidate before the champion answers them.
DEADLINE_SECONDS = 1.0


@dataclass(slots=True)
class _Waiting:
    asked: Asked
    keys: Sequence[str] | None
    arm: Arm | None
    answered: asyncio.Future[list[Answer]]


@dataclass
class Lane:
    """Answers the requests for one model, by the route that stands when their turn comes.

    What arrives in one round of the loop is one call of the model, and what ``alone`` says is by
    itself is answered at once: nothing waits for company, and the busier it is, the more rows share
    a call, as many as fit its time (see ``Pace``). Models that take longer are asked in other
    threads, one call at a time; what arrives meanwhile is the next one. What a shadow is to be
    asked goes to ``shadow`` once the answers are given, as in ``Shadow.put``.
    """

    route: Callable[[], Route]
    sink: Callable[[Asked, list[Answer]], None]
    threads: ThreadPoolExecutor
    deadline: float = DEADLINE_SECONDS
    most_waiting: int = MOST_WAITING
    shadow: Callable[[Sequence[Split], Outcomes], None] | None = None
    alone: Callable[[], bool] = lambda: False
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _elsewhere: asyncio.Task[None] | None = None
    _called: bool = False
    _here: Pace = field(default_factory=lambda: Pace(budget=HERE_SECONDS, most=MOST_ROWS))
    _there: Pace = field(default_factory=lambda: Pace(budget=THERE_SECONDS, most=MOST_ROWS))

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The columns of what is in production, where all are numbers."""
        champion = self.route().champion
        return None if champion is None else champion.inputs

    async def ask(
        self, asked: Asked, keys: Sequence[str] | None = None, arm: Arm | None = None
    ) -> list[Answer]:
        """An answer for every row, in order; from one ``arm``, where it is named.

        Raises Busy where too many wait already, and what the champion raises where it cannot
        answer.
        """
        if len(self._waiting) >= self.most_waiting:
            raise Busy(
                "{count:,} requests wait for the model already",
                do="try again in a second, or run more gateways",
                count=len(self._waiting),
            )
        one = _Waiting(asked, keys, arm, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._elsewhere is None and self.alone():
            self._round()
        else:
            self._call()
        return await one.answered

    def _call(self) -> None:
        """Have what waits answered, once, when the loop comes round."""
        if self._waiting and not self._called and self._elsewhere is None:
            self._called = True
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        """Answer what waits: here where that is quick, else in other threads."""
        self._called = False
        try:
            route = self.route()
        except Exception as error:
            while self._waiting:
                _give(self._waiting.popleft(), error)
            return
        pace = self._here if route.quick else self._there
        batch, splits, rows = self._next(route, pace.rows)
        if batch and route.quick and rows <= pace.rows:
            # This thread's own time: that others were at work says nothing of the model.
            began = time.thread_time()
            champion = stood_in_for(splits, from_champion(splits))
            answers = joined(splits, champion, from_candidate(splits))
            pace.took(rows, time.thread_time() - began)
            self._finish(batch, splits, answers)
        elif batch:
            loop = asyncio.get_running_loop()
            self._elsewhere = loop.create_task(self._in_threads(batch, splits, rows))
        self._call()

    def _next(self, route: Route, most: int) -> tuple[list[_Waiting], list[Split], int]:
        """Requests of ``most`` rows together, one at least, and how many rows they are."""
        batch, splits, rows = list[_Waiting](), list[Split](), 0
        while self._waiting and (not batch or rows + self._waiting[0].asked.rows <= most):
            one = self._waiting.popleft()
            try:
                splits.append(split(route, one.asked, one.keys, one.arm))
            except Exception as error:
                _give(one, error)
                continue
            batch.append(one)
            rows += one.asked.rows
        return batch, splits, rows

    async def _in_threads(self, batch: list[_Waiting], splits: list[Split], rows: int) -> None:
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        try:
            asked = loop.run_in_executor(self.threads, from_champion, splits)
            candidate = await self._in_time(splits)
            champion = await asked
            if unanswered(splits, champion):
                champion = await self._rescued(splits, champion)
            self._there.took(rows, time.perf_counter() - began)
            self._finish(batch, splits, joined(splits, champion, candidate))
        except BaseException as error:
            stops = RuntimeError(f"the gateway stops: {error!r}")
            self._finish(batch, splits, [stops] * len(batch))
            raise
        finally:
            self._elsewhere = None
            self._call()

    async def _in_time(self, splits: list[Split]) -> Outcomes:
        """The candidate's answers, or after the deadline the champion's in its place."""
        if not any(one.rows["candidate"] for one in splits):
            return [[] for _ in splits]
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self.threads, from_candidate, splits)
        try:
            return await asyncio.wait_for(asyncio.shield(work), self.deadline)
        except TimeoutError:
            return await loop.run_in_executor(self.threads, stood_in, splits)

    async def _rescued(self, splits: list[Split], champion: Outcomes) -> Outcomes:
        """The champion's answers, the candidate's where it raised, unless that is late."""
        work = asyncio.get_running_loop().run_in_executor(
            self.threads, stood_in_for, splits, champion
        )
        try:
            return await asyncio.wait_for(asyncio.shield(work), self.deadline)
        except TimeoutError:
            return champion

    def _finish(self, batch: list[_Waiting], splits: list[Split], answers: Outcomes) -> None:
        for one, said in zip(batch, answers, strict=True):
            if not isinstance(said, Exception):
                self.sink(one.asked, said)
            _give(one, said)
        if splits[0].route.shadow is not None and self.shadow is not None:
            self.shadow(splits, answers)


def _give(one: _Waiting, said: list[Answer] | Exception) -> None:
    if one.answered.done():
        return  # whoever asked has gone
    if isinstance(said, Exception):
        one.answered.set_exception(said)
    else:
        one.answered.set_result(said)
