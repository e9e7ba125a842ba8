"""Who answers which row: each to champion or candidate, and none unanswered."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import polars as pl

from tidegate.domain.answer import Answer, Arm, Asked, Floats
from tidegate.domain.errors import Conflict, DataError
from tidegate.domain.predictor import NumbersPredictor, Predictions, Predictor
from tidegate.release.splitter import takes_candidate


@dataclass(frozen=True)
class Served:
    """A version that is loaded and ready to answer; ``params`` is the id of its parameters.

    ``inputs`` are its columns where all of them are numbers: rows then need no frame. ``quick``:
    an answer takes less time than handing the rows to another thread.
    """

    version: int
    predictor: Predictor
    params: str = ""
    inputs: tuple[str, ...] | None = None
    quick: bool = False

    def of_numbers(self, block: Floats) -> Predictions:
        """Predictions for ``inputs`` as one array."""
        # Whoever gave inputs looked: to look again costs more than a small answer.
        return cast(NumbersPredictor, self.predictor).predict_numbers(block)

    def predict(self, asked: Asked, at: Sequence[int] | None = None) -> Predictions:
        """Predictions for the rows ``at`` these places, all by default."""
        block = None if self.inputs is None else asked.numbers(self.inputs)
        if block is not None:
            return self.of_numbers(block if at is None else block[list(at)])
        frame = asked.frame()
        return self.predictor.predict(frame if at is None else frame[list(at)])


@dataclass(frozen=True)
class Route:
    """Who answers for a model: ``candidate`` takes ``share`` of the requests of a release.

    ``key``: the column that names whose row it is.
    """

    model: str
    champion: Served | None
    candidate: Served | None = None
    share: float = 0.0
    release_id: str | None = None
    step: int | None = None
    key: str | None = None
    epoch: int = 0

    @property
    def quick(self) -> bool:
        """Whether every arm answers quickly."""
        arms = [arm for arm in (self.champion, self.candidate) if arm is not None]
        return all(arm.quick for arm in arms)


class _Ids:
    """Ids that nobody guesses, later ones after earlier ones: a database adds them at the end of
    its index. The system is asked for many at a time, as a call costs as much as a small answer."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def next(self) -> str:
        """32 hexadecimal digits: twelve of the time, twenty at random."""
        while True:
            try:
                return self._left.pop()  # one step: threads do not meet in it
            except IndexError:
                many, at = os.urandom(10 * 256).hex(), f"{time.time_ns() // 1_000_000:012x}"
                self._left = [at + many[n : n + 20] for n in range(0, len(many), 20)]


_IDS = _Ids()


def no_version(model: str) -> Conflict:
    """The error for a model that nothing answers for."""
    return Conflict(
        "model '{model}' has no version in production yet",
        do="start an update, and take it through its gates: tidegate update start {model}",
        model=model,
    )


@dataclass(slots=True)
class Split:
    """One request, its ids and keys, and which of its rows each arm takes (None: all of them).

    ``chosen``: whoever asked named the arm, so the answers say nothing of the release.
    """

    route: Route
    asked: Asked
    keys: Sequence[str] | None
    ids: list[str]
    champion: list[int] | None = None
    candidate: list[int] = field(default_factory=list)
    chosen: bool = False


def split(
    route: Route, asked: Asked, keys: Sequence[str] | None = None, arm: Arm | None = None
) -> Split:
    """Who takes which row; rows of one key stay together, rows without one are split by chance.

    ``arm``: takes all of them, for whoever tries a version out. Raises Conflict where no version is
    in production, or no candidate on traffic, DataError for keys that fit no rows.
    """
    if route.champion is None:
        raise no_version(route.model)
    if keys is None and route.key is not None:
        found = asked.column(route.key)
        keys = None if found is None else ["" if one is None else str(one) for one in found]
    if keys is not None and len(keys) != asked.rows:
        raise DataError(
            "{keys} keys came with {rows} rows",
            do="give one key a row, or none",
            keys=len(keys),
            rows=asked.rows,
        )
    made = Split(route, asked, keys, [_IDS.next() for _ in range(asked.rows)])
    if arm is not None:
        made.chosen = True
        if arm == "candidate":
            if route.candidate is None:
                raise Conflict(
                    "model '{model}' has no candidate on traffic",
                    do="leave the header Tidegate-Arm out, or start a release",
                    model=route.model,
                )
            made.champion, made.candidate = [], list(range(asked.rows))
    elif route.candidate is not None and route.release_id is not None:
        told, share, release = made.ids if keys is None else keys, route.share, route.release_id
        taken = [takes_candidate(release, key, share) for key in told]
        made.candidate = [row for row, took in enumerate(taken) if took]
        if made.candidate:
            made.champion = [row for row, took in enumerate(taken) if not took]
    return made


class Gateway:
    """Answers rows by the routes it was given.

    A route is replaced whole, so a request is answered by one route from its beginning to its
    end. Every answer goes to ``sink``, with what was asked, before it returns.
    """

    def __init__(self, sink: Callable[[Asked, list[Answer]], None]):
        self._sink = sink
        self._routes: dict[str, Route] = {}

    def route(self, model: str) -> Route | None:
        """The route of a model; None where there is none."""
        return self._routes.get(model)

    def set_route(self, route: Route) -> None:
        """Answer by ``route`` from the next request on."""
        self._routes[route.model] = route

    def infer(
        self, model: str, rows: pl.DataFrame | Asked, keys: Sequence[str] | None = None
    ) -> list[Answer]:
        """An answer for every row, in order; ``keys``, one a row, keep a user on one side.

        Raises Conflict where no version is in production, and what the champion raises where it
        cannot answer.
        """
        asked = rows if isinstance(rows, Asked) else Asked.of(rows)
        one = [split(self._routes[model], asked, keys)]
        (answers,) = joined(one, from_champion(one), from_candidate(one))
        if isinstance(answers, Exception):
            raise answers
        self._sink(asked, answers)
        return answers


#: What came of each of several requests; an error says that the request is at fault.
Outcomes = list[list[Answer] | Exception]


def from_champion(splits: Sequence[Split]) -> Outcomes:
    """The champion's answers to its rows of each request."""
    began = time.perf_counter()
    champion = _served(splits, "champion")
    said = _predicted(champion, [(one.asked, one.champion) for one in splits])
    return [
        each if isinstance(each, Exception) else _told(one, one.champion, each, champion, began)
        for one, each in zip(splits, said, strict=True)
    ]


def from_candidate(splits: Sequence[Split]) -> Outcomes:
    """The candidate's answers to its rows of each request; the champion's where it raises, whatever
    it raises, and then it counts against it."""
    began = time.perf_counter()
    taken = [one for one in splits if one.candidate]
    if not taken:
        return [[] for _ in splits]
    candidate = _served(taken, "candidate")
    said = _predicted(candidate, [(one.asked, one.candidate) for one in taken])
    found = {
        id(one): _told(one, one.candidate, each, candidate, began, arm="candidate")
        for one, each in zip(taken, said, strict=True)
        if not isinstance(each, Exception)
    }
    failed = [one for one in taken if id(one) not in found]
    rescued = dict(zip(map(id, failed), stood_in(failed), strict=True))
    return [found.get(id(one)) or rescued.get(id(one), []) for one in splits]


def stood_in(splits: Sequence[Split]) -> Outcomes:
    """The champion's answers to the candidate's rows, each marked as the candidate's failure."""
    if not splits:
        return []
    began, champion = time.perf_counter(), _served(splits, "champion")
    said = _predicted(champion, [(one.asked, one.candidate) for one in splits])
    return [
        # Where the champion raises as well, the request is at fault, and nothing is counted.
        each
        if isinstance(each, Exception)
        else _told(one, one.candidate, each, champion, began, arm="candidate", failed=True)
        for one, each in zip(splits, said, strict=True)
    ]


def joined(splits: Sequence[Split], champion: Outcomes, candidate: Outcomes) -> Outcomes:
    """Both arms' answers to each request, in the order of its rows."""
    made: Outcomes = []
    for one, mine, theirs in zip(splits, champion, candidate, strict=True):
        if isinstance(mine, Exception) or isinstance(theirs, Exception):
            made.append(mine if isinstance(mine, Exception) else theirs)
        elif mine and theirs:
            places = {request: at for at, request in enumerate(one.ids)}
            made.append(sorted(mine + theirs, key=lambda answer: places[answer.request_id]))
        else:
            made.append(mine or theirs)
    return made


def _served(splits: Sequence[Split], arm: Arm) -> Served:
    served = getattr(splits[0].route, arm)
    assert isinstance(served, Served)  # noqa: S101 - split looked
    return served


def _predicted(
    served: Served, jobs: Sequence[tuple[Asked, list[int] | None]]
) -> list[Predictions | Exception]:
    """What a version says to the rows of each request: in one call where all are numbers."""
    if len(jobs) > 1 and served.inputs is not None and all(asked.block is not None
                                                           for asked, _ in jobs):  # fmt: skip
        try:
            return _in_one_call(served, served.inputs, jobs)
        except Exception:  # noqa: S110 - one of them is at fault; asked one by one, it shows which
            pass
    said: list[Predictions | Exception] = []
    for asked, rows in jobs:
        try:
            said.append(served.predict(asked, rows))
        except Exception as error:
            said.append(error)
    return said


def _in_one_call(
    served: Served, inputs: tuple[str, ...], jobs: Sequence[tuple[Asked, list[int] | None]]
) -> list[Predictions | Exception]:
    blocks = []
    for asked, rows in jobs:
        block = asked.numbers(inputs)
        if block is None:
            raise LookupError
        blocks.append(block if rows is None else block[rows])
    said, at = served.of_numbers(np.concatenate(blocks)), 0
    parts: list[Predictions | Exception] = []
    for block in blocks:
        end = at + len(block)
        shares = None if said.probabilities is None else said.probabilities[at:end]
        parts.append(Predictions(said.values[at:end], said.classes, shares))
        at = end
    return parts


def _told(
    parts: Split, rows: list[int] | None, said: Predictions, served: Served, began: float, *,
    arm: Arm = "champion", failed: bool = False,
) -> list[Answer]:  # fmt: skip
    """Predictions as answers to ``rows``; ``began``: when they were asked for."""
    route, keys = parts.route, parts.keys
    latency = (time.perf_counter() - began) * 1000
    classes = None if said.classes is None else [str(name) for name in said.classes]
    shares = None if said.probabilities is None else said.probabilities.tolist()
    return [
        Answer(
            parts.ids[row], route.model, served.version, arm, value, classes,
            None if shares is None else shares[at], None if keys is None else keys[row],
            None if parts.chosen else route.release_id,
            None if parts.chosen else route.step, failed, latency, served.params, route.epoch,
        )
        for at, (row, value) in enumerate(
            zip(range(parts.asked.rows) if rows is None else rows, said.values.tolist(),
                strict=True)
        )
    ]  # fmt: skip
