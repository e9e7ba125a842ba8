"""Who takes which row: the route of a model, and a request split by it."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from tidegate.domain.answer import Arm, Asked, Floats
from tidegate.domain.errors import Conflict, DataError
from tidegate.domain.predictor import NumbersPredictor, Predictions, Predictor
from tidegate.release.splitter import takes_candidate

#: Characters of a key: it is kept with each answer.
MOST_OF_A_KEY = 1000
#: How old the time in an id may be: to write it down for each takes as long as to draw one.
AGE_SECONDS = 0.1


@dataclass(frozen=True)
class Served:
    """A version that is loaded and ready to answer; ``params`` is the id of its parameters.

    ``inputs`` are its columns where all of them are numbers: rows then need no frame. ``quick``:
    an answer takes less time than handing the rows to another thread. ``classes``: those that it
    knows, where it answers any.
    """

    version: int
    predictor: Predictor
    params: str = ""
    inputs: tuple[str, ...] | None = None
    quick: bool = False
    classes: tuple[Any, ...] | None = None

    def of_numbers(self, block: Floats) -> Predictions:
        """Predictions for ``inputs`` as one array."""
        # Whoever gave inputs looked: to look again costs more than a small answer.
        return cast(NumbersPredictor, self.predictor).predict_numbers(block)

    def predict(self, asked: Asked, rows: Sequence[int]) -> Predictions:
        """Predictions for these rows of a request, ascending."""
        block = self.block(asked, rows)
        if block is not None:
            return self.of_numbers(block)
        frame = asked.frame()
        return self.predictor.predict(frame if len(rows) == asked.rows else frame[list(rows)])

    def block(self, asked: Asked, rows: Sequence[int]) -> Floats | None:
        """``inputs`` of these rows as one array; None where they did not come as numbers alone."""
        block = None if self.inputs is None else asked.numbers(self.inputs)
        return block if block is None or len(rows) == asked.rows else block[list(rows)]


@dataclass(frozen=True)
class Route:
    """Who answers for a model: ``candidate`` takes ``share`` of the requests of a release.

    ``key``: the column that names whose row it is. ``outside``: a splitter in front says who
    answers, and ``share`` is only what it should be. ``shadow`` is asked ``sample`` (0 to 1) of
    what the champion has answered, and nobody is given what it says.
    """

    model: str
    champion: Served | None
    candidate: Served | None = None
    share: float = 0.0
    release_id: str | None = None
    step: int | None = None
    key: str | None = None
    epoch: int = 0
    outside: bool = False
    shadow: Served | None = None
    sample: float = 1.0

    @cached_property
    def quick(self) -> bool:
        """Whether every arm answers quickly."""
        arms = [arm for arm in (self.champion, self.candidate) if arm is not None]
        return all(arm.quick for arm in arms)


class _Ids:
    """Ids that nobody guesses, later ones after earlier ones: a database adds them at the end of
    its index. The system is asked for many at a time, as a call costs as much as a small answer."""

    def __init__(self) -> None:
        self._left: list[str] = []
        self._at, self._until = "", 0.0

    def some(self, count: int) -> list[str]:
        """32 hexadecimal digits each: twelve of the time, as ``given_at`` reads it, twenty at
        random."""
        tick = time.monotonic()
        if tick > self._until:
            self._at, self._until = f"{time.time_ns() // 1_000_000:012x}", tick + AGE_SECONDS
        at = self._at
        return [at + self._random() for _ in range(count)]

    def _random(self) -> str:
        while True:
            try:
                return self._left.pop()  # one step: threads do not meet in it
            except IndexError:
                many = os.urandom(10 * 256).hex()
                self._left = [many[n : n + 20] for n in range(0, len(many), 20)]


_IDS = _Ids()

#: Whose row each is, None where that is not known.
Keys = Sequence[str | None]


def no_version(model: str) -> Conflict:
    """The error for a model that nothing answers for."""
    return Conflict(
        "model '{model}' has no version in production yet",
        do="start an update, and take it through its gates: tidegate update start {model}",
        model=model,
    )


@dataclass(slots=True)
class Split:
    """One request, its ids and keys, and the rows that each arm takes.

    ``chosen``: the arm was not left to chance, or there was no time to ask it, so the answers say
    nothing of the release.
    """

    route: Route
    asked: Asked
    keys: Keys | None
    ids: list[str]
    rows: dict[Arm, Sequence[int]]
    chosen: bool = False


def split(route: Route, asked: Asked, keys: Keys | None = None, arm: Arm | None = None) -> Split:
    """Who takes which row; rows of one key stay together, rows without one are split by chance.

    ``arm``: takes all of them, for whoever tries a version out. Raises Conflict where no version is
    in production, or no candidate on traffic, DataError for keys that fit no rows.
    """
    if route.champion is None:
        raise no_version(route.model)
    if arm == "candidate" and route.candidate is None and not route.outside:
        raise _no_candidate(route)
    if keys is None and route.key is not None:
        found = asked.column(route.key)
        keys = None if found is None else [_key(one) for one in found]
    if keys is not None and len(keys) != asked.rows:
        raise DataError(
            "{keys} keys came with {rows} rows",
            do="give one key a row, or none",
            keys=len(keys),
            rows=asked.rows,
        )
    for key in keys or ():
        # PostgreSQL keeps no U+0000 in a text.
        if key is not None and (len(key) > MOST_OF_A_KEY or "\0" in key):
            raise DataError(
                "a key holds more than {most:,} characters, or one that is none (U+0000)",
                do="name whose row it is by a short text",
                most=MOST_OF_A_KEY,
            )
    ids = _IDS.some(asked.rows)
    if route.outside:
        # A splitter learns of a release's end a little later than we do: nobody pays for that.
        taken: Arm = "champion" if arm is None or route.candidate is None else arm
        if asked.rows > 1 and (keys is None or None in keys):  # sent together, they count once
            keys = [ids[0] if key is None else key for key in keys or [None] * asked.rows]
        return Split(route, asked, keys, ids, _all(asked.rows, taken), chosen=arm is None)
    rows = _shared(route, ids, keys) if arm is None else _all(asked.rows, arm)
    return Split(route, asked, keys, ids, rows, chosen=arm is not None)


def _key(told: Any) -> str | None:
    """What a key column holds, as a key; None where it is missing: null, or NaN among numbers."""
    return None if told is None or told != told else str(told)


def _no_candidate(route: Route) -> Conflict:
    if route.shadow is None:
        return Conflict(
            "model '{model}' has no candidate on traffic",
            do="leave the header Tidegate-Arm out, or start a release",
            model=route.model,
        )
    return Conflict(
        "the candidate of model '{model}' is in its shadow, where nobody is given its answers",
        do="leave the header Tidegate-Arm out; it answers once a step gives it traffic",
        model=route.model,
    )


def _all(rows: int, arm: Arm) -> dict[Arm, Sequence[int]]:
    return {"champion": (), "candidate": (), arm: range(rows)}


def _shared(route: Route, ids: list[str], keys: Keys | None) -> dict[Arm, Sequence[int]]:
    """Each row by the share that the candidate takes: by its key, or its own id without one."""
    if route.candidate is None or route.release_id is None:
        return _all(len(ids), "champion")
    named = ids
    if keys is not None:
        named = [one if key is None else key for one, key in zip(ids, keys, strict=True)]
    taken = [takes_candidate(route.release_id, name, route.share) for name in named]
    return {
        "champion": [row for row, took in enumerate(taken) if not took],
        "candidate": [row for row, took in enumerate(taken) if took],
    }
