"""One model's requests in an event loop: those that arrive together are answered together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from tidegate.domain.answer import Answer, Arm, Asked
from tidegate.domain.errors import Busy
from tidegate.release.aside import Aside, NotBegun
from tidegate.release.gateway import (
    Outcomes,
    from_candidate,
    from_champion,
    in_its_place,
    joined,
    of_candidate,
    stood_in_for,
    unanswered,
)
from tidegate.release.pace import Pace
from tidegate.release.route import Keys, Route, Split, split
from tidegate.release.waiting import Waiting, fail, give

#: Seconds, as a thread counts its own or as all do.
_Clock = Callable[[], float]
_T = TypeVar("_T")

#: Requests that may wait for a model; more are sent away, so that none waits without end.
MOST_WAITING = 1024
#: Rows that are answered in one call, at most.
MOST_ROWS = 512
#: Seconds that a call may take of the event loop, where nothing else goes on meanwhile.
HERE_SECONDS = 0.005
#: Seconds that a call may take in another thread: who comes meanwhile waits for the next one.
THERE_SECONDS = 0.05
#: Rows of the first call that a candidate shares in: what it takes for a row is not known yet.
FIRST_ROWS = 16
#: How long requests may wait for the candidate before the champion answers them.
DEADLINE_SECONDS = 1.0


@dataclass
class Lane:
    """Answers the requests for one model, by the route that stands when their turn comes.

    What arrives in one round of the loop is one call of the model, and what ``alone`` says is by
    itself is answered at once: nothing waits for company, and the busier it is, the more rows share
    a call, as many as fit its time (see ``Pace``). Models that take longer are asked in other
    threads, one call at a time; what arrives meanwhile is the next one. A candidate's rows of a
    call are few at first, and as many as fit its own time then. ``threads`` are for
    champions; a candidate is asked in a thread of its own, and one that is late is not asked again
    until it has ended that call: the champion answers at once, and it counts against the candidate.
    What a shadow is to be asked goes to ``shadow`` once the answers are given, as in
    ``Shadow.put``.
    """

    route: Callable[[], Route]
    sink: Callable[[Asked, list[Answer]], None]
    threads: ThreadPoolExecutor
    deadline: float = DEADLINE_SECONDS
    most_waiting: int = MOST_WAITING
    shadow: Callable[[Sequence[Split], Outcomes], None] | None = None
    alone: Callable[[], bool] = lambda: False
    _waiting: deque[Waiting] = field(default_factory=deque)
    _elsewhere: asyncio.Task[None] | None = None
    _called: bool = False
    _aside: Aside = field(default_factory=Aside)
    _here: Pace = field(default_factory=lambda: Pace(budget=HERE_SECONDS, most=MOST_ROWS))
    _there: Pace = field(default_factory=lambda: Pace(budget=THERE_SECONDS, most=MOST_ROWS))
    _theirs: Pace = field(default_factory=lambda: _of_a_candidate())
    _paced: int | None = None  # the candidate whose pace that is

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The columns of what is in production, where all are numbers."""
        champion = self.route().champion
        return None if champion is None else champion.inputs

    async def ask(
        self, asked: Asked, keys: Keys | None = None, arm: Arm | None = None
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
        one = Waiting(asked, keys, arm, asyncio.get_running_loop().create_future())
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
                give(self._waiting.popleft(), error)
            return
        if route.candidate is not None and route.candidate.version != self._paced:
            self._meets(route.candidate.version)
        pace = self._here if route.quick else self._there
        batch, splits, rows = self._next(route, pace.rows)
        # One that hangs in a thread may hang here as well, where nobody can leave it.
        elsewhere = rows > pace.rows or self._aside.holds(route.candidate)
        if batch and route.quick and not elsewhere:
            try:
                # This thread's own time: that others were at work says nothing of the model.
                began = time.thread_time()
                champion = stood_in_for(splits, from_champion(splits))
                answers = joined(splits, champion, from_candidate(splits))
                pace.took(rows, time.thread_time() - began)
                self._finish(batch, splits, answers)
            except BaseException as error:
                fail(batch, error)
        elif batch:
            loop = asyncio.get_running_loop()
            self._elsewhere = loop.create_task(self._in_threads(batch, splits, rows))
        self._call()

    def _meets(self, candidate: int) -> None:
        """Begin with few rows: how long this candidate takes is not known yet."""
        self._paced, self._theirs = candidate, _of_a_candidate()
        self._here.rows = min(self._here.rows, FIRST_ROWS)

    def _next(self, route: Route, most: int) -> tuple[list[Waiting], list[Split], int]:
        """Requests of ``most`` rows together, one at least, and how many rows they are.

        Of the candidate's they are no more than fit its time, as far as can be said before they are
        split: to choose by what they turned out to be would change its share.
        """
        batch, splits, rows = list[Waiting](), list[Split](), 0
        paced, theirs = route.candidate is not None and not route.quick, 0
        while self._waiting:
            one = self._waiting[0]
            if batch and (
                rows + one.asked.rows > most
                or (paced and theirs + _likely(route, one) > self._theirs.rows)
            ):
                break
            self._waiting.popleft()
            try:
                splits.append(split(route, one.asked, one.keys, one.arm))
            except Exception as error:
                give(one, error)
                continue
            batch.append(one)
            rows += one.asked.rows
            theirs += len(splits[-1].rows["candidate"])
        return batch, splits, rows

    async def _in_threads(self, batch: list[Waiting], splits: list[Split], rows: int) -> None:
        quick = splits[0].route.quick
        # As in the loop, where it will be asked again if that was quick enough.
        clock: _Clock = time.thread_time if quick else time.perf_counter
        try:
            asked = self._in_thread(clock, from_champion, splits)
            candidate, theirs = await self._in_time(clock, splits)
            champion, took = await asked
            if not any(champion):
                took = 0.0  # it was not asked
            if any(isinstance(said, Exception) for said in candidate):
                candidate, more = await self._in_thread(clock, in_its_place, splits, candidate)
                took += more
            if unanswered(splits, champion):
                champion = await self._rescued(splits, champion)
            if quick:
                if theirs is not None:
                    self._here.took(rows, took + theirs)
            elif took:  # the champion's own time: one that hangs beside it makes it no slower
                self._there.took(rows, took)
            self._finish(batch, splits, joined(splits, champion, candidate))
        except BaseException as error:
            fail(batch, error)
        finally:
            self._elsewhere = None
            self._call()

    def _in_thread(
        self, clock: _Clock, does: Callable[..., Outcomes], *of: Any
    ) -> asyncio.Future[tuple[Outcomes, float]]:
        """What the champion says, and the seconds that it takes."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self.threads, partial(_timed, clock, does, *of))

    async def _in_time(self, clock: _Clock, splits: list[Split]) -> tuple[Outcomes, float | None]:
        """What the candidate says, and the seconds that it takes; errors where it is late, and
        None."""
        rows = sum(len(one.rows["candidate"]) for one in splits)
        if not rows:
            return [[] for _ in splits], 0.0
        asked = not self._aside.holds(splits[0].route.candidate)
        try:
            said = await self._aside_in_time(splits, partial(_timed, clock, of_candidate, splits))
        except NotBegun as error:
            return _excused(splits, error), None
        if asked:
            self._theirs.took(rows, self.deadline if said is None else said[1])
        if said is not None:
            return said
        late = TimeoutError(f"the candidate gave no answer in {self.deadline:g} seconds")
        return [late if one.rows["candidate"] else [] for one in splits], None

    async def _rescued(self, splits: list[Split], champion: Outcomes) -> Outcomes:
        """The champion's answers, the candidate's where it raised, unless that is late."""
        try:
            said = await self._aside_in_time(splits, partial(stood_in_for, splits, champion))
        except NotBegun:
            return champion
        return champion if said is None else said

    async def _aside_in_time(self, splits: list[Split], does: Callable[[], _T]) -> _T | None:
        """What the candidate ``does``; None where it is late, or still at a call that was. Raises
        NotBegun where its thread did not come to it in that time."""
        version = splits[0].route.candidate
        call = None if version is None else self._aside.ask(version, does)
        if version is None or call is None:
            return None
        said = asyncio.wrap_future(call)
        await asyncio.wait([said], timeout=self.deadline)
        if not said.done():
            said.cancel()
            if not self._aside.leave(version, call):
                raise NotBegun("the machine had no time for the candidate")
            return None
        return said.result() if said.exception() is None else None

    def _finish(self, batch: list[Waiting], splits: list[Split], answers: Outcomes) -> None:
        for one, said in zip(batch, answers, strict=True):
            if not isinstance(said, Exception):
                try:
                    self.sink(one.asked, said)
                except Exception as error:  # no answer that is not kept
                    give(one, error)
                    continue
            give(one, said)
        if splits[0].route.shadow is not None and self.shadow is not None:
            self.shadow(splits, answers)


def _of_a_candidate() -> Pace:
    return Pace(budget=THERE_SECONDS, most=MOST_ROWS, first=FIRST_ROWS)


def _likely(route: Route, one: Waiting) -> float:
    """How many rows of a request the candidate is to be expected to take."""
    if one.arm is not None:
        return one.asked.rows if one.arm == "candidate" else 0
    return 0 if route.outside else one.asked.rows * route.share


def _excused(splits: list[Split], error: NotBegun) -> Outcomes:
    """The error for each request that the candidate was not asked for: these count for nobody.
    Who named the candidate is told that it was late."""
    told: Outcomes = []
    for one in splits:
        late = TimeoutError(str(error)) if one.chosen else error
        told.append(late if one.rows["candidate"] else [])
        one.chosen = one.chosen or bool(one.rows["candidate"])
    return told


def _timed(clock: _Clock, does: Callable[..., Outcomes], *of: Any) -> tuple[Outcomes, float]:
    began = clock()
    return does(*of), clock() - began
