"""The gateway in this process: each request to champion or candidate, and no request unanswered."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from tidegate.domain.answer import Answer, Arm
from tidegate.domain.errors import Conflict, DataError
from tidegate.domain.predictor import Predictions, Predictor
from tidegate.release.splitter import takes_candidate


@dataclass(frozen=True)
class Served:
    """A version that is loaded and ready to answer."""

    version: int
    predictor: Predictor


@dataclass(frozen=True)
class Route:
    """Who answers for a model: ``candidate`` takes ``share`` of the requests of a release."""

    model: str
    champion: Served | None
    candidate: Served | None = None
    share: float = 0.0
    release_id: str | None = None
    step: int | None = None


def no_version(model: str) -> Conflict:
    """The error for a model that nothing answers for."""
    return Conflict(
        "model '{model}' has no version in production yet",
        do="start an update, and take it through its gates: tidegate update start {model}",
        model=model,
    )


class Gateway:
    """Answers rows by the routes it was given; every answer goes to ``sink`` before it returns.

    A route is replaced whole, so a request is answered by one route from its beginning to its
    end.
    """

    def __init__(self, sink: Callable[[list[Answer]], None]):
        self._sink = sink
        self._routes: dict[str, Route] = {}

    def has(self, model: str) -> bool:
        """Whether the gateway knows a route for this model."""
        return model in self._routes

    def set_route(self, route: Route) -> None:
        """Answer by ``route`` from the next request on."""
        self._routes[route.model] = route

    def infer(
        self, model: str, rows: pl.DataFrame, keys: Sequence[str] | None = None
    ) -> list[Answer]:
        """An answer for every row, in order; ``keys``, one a row, keep a user on one side.

        Raises Conflict where no version is in production, and what the champion raises where it
        cannot answer.
        """
        route = self._routes[model]
        if route.champion is None:
            raise no_version(model)
        if keys is not None and len(keys) != rows.height:
            raise DataError(
                "{keys} keys came with {rows} rows",
                do="give one key a row, or none",
                keys=len(keys),
                rows=rows.height,
            )
        ids = [uuid.uuid4().hex for _ in range(rows.height)]
        chosen = [_to_candidate(route, key) for key in (keys if keys is not None else ids)]
        answers: dict[int, Answer] = {}
        for candidate in (False, True):
            at = [number for number, took in enumerate(chosen) if took is candidate]
            if at:
                asked = _Asked(ids, keys, at, rows[at])
                answers |= zip(at, _answer(route, asked, candidate=candidate), strict=True)
        ordered = [answers[number] for number in range(rows.height)]
        self._sink(ordered)
        return ordered


@dataclass(frozen=True)
class _Asked:
    """The rows of a request that one arm answers; ``at`` are their places in it."""

    ids: list[str]
    keys: Sequence[str] | None
    at: list[int]
    rows: pl.DataFrame


def _to_candidate(route: Route, key: str) -> bool:
    if route.candidate is None or route.release_id is None:
        return False
    return takes_candidate(route.release_id, key, route.share)


def _answer(route: Route, asked: _Asked, *, candidate: bool) -> list[Answer]:
    assert route.champion is not None  # noqa: S101 - infer looked
    served, began = route.champion, time.perf_counter()
    predictions, failed = None, False
    if candidate and route.candidate is not None:
        try:
            predictions = route.candidate.predictor.predict(asked.rows)
            served = route.candidate
        except Exception:  # whatever it is, the user is answered, and it counts against it
            failed = True
    if predictions is None:
        # Where the champion raises as well, the request is at fault, and nothing is counted.
        predictions = route.champion.predictor.predict(asked.rows)
    latency = (time.perf_counter() - began) * 1000
    arm: Arm = "candidate" if candidate else "champion"
    return [
        Answer(
            request_id=asked.ids[number],
            model=route.model,
            version=served.version,
            arm=arm,
            prediction=predictions.values[row : row + 1].tolist()[0],
            probabilities=_probabilities(predictions, row),
            features=features,
            key=asked.keys[number] if asked.keys is not None else None,
            update_id=route.release_id,
            step=route.step,
            failed=failed,
            latency_ms=latency,
        )
        for row, (number, features) in enumerate(zip(asked.at, asked.rows.to_dicts(), strict=True))
    ]


def _probabilities(predictions: Predictions, row: int) -> dict[str, float] | None:
    if predictions.probabilities is None or predictions.classes is None:
        return None
    shares = predictions.probabilities[row].tolist()
    return {str(name): share for name, share in zip(predictions.classes, shares, strict=True)}
