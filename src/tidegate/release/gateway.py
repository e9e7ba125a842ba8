"""What versions say to requests: one call for many, and none unanswered."""

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from tidegate.domain.answer import Answer, Arm, Asked
from tidegate.domain.errors import Incompatible
from tidegate.domain.predictor import Predictions
from tidegate.release.aside import NotBegun
from tidegate.release.route import Keys, Route, Served, Split, split

_LOG = logging.getLogger("tidegate")

#: What came of each of several requests; an error says that the request is at fault.
Outcomes = list[list[Answer] | Exception]


class Gateway:
    """Answers rows by the routes it was given.

    A route is replaced whole, so a request is answered by one route from its beginning to its
    end. Every answer goes to ``sink``, with what was asked, before it returns; what a shadow is to
    be asked after that goes to ``shadow``, as in ``Shadow.put``.
    """

    def __init__(
        self,
        sink: Callable[[Asked, list[Answer]], None],
        shadow: Callable[[Sequence[Split], Outcomes], None] | None = None,
    ):
        self._sink, self._shadow = sink, shadow
        self._routes: dict[str, Route] = {}

    def route(self, model: str) -> Route | None:
        """The route of a model; None where there is none."""
        return self._routes.get(model)

    def set_route(self, route: Route) -> None:
        """Answer by ``route`` from the next request on."""
        self._routes[route.model] = route

    def infer(self, model: str, rows: pl.DataFrame, keys: Keys | None = None) -> list[Answer]:
        """An answer for every row, in order; ``keys``, one a row, keep a user on one side.

        Raises Conflict where no version is in production, and what the champion raises where it
        cannot answer.
        """
        asked = Asked.of(rows)
        route = self._routes[model]
        one = [split(route, asked, keys)]
        champion = stood_in_for(one, from_champion(one))
        (answers,) = joined(one, champion, from_candidate(one))
        if isinstance(answers, Exception):
            raise answers
        self._sink(asked, answers)
        if route.shadow is not None and self._shadow is not None:
            self._shadow(one, [answers])
        return answers


def from_champion(splits: Sequence[Split]) -> Outcomes:
    """The champion's answers to its rows of each request."""
    return _answered(splits, "champion", splits[0].route.champion)


def unanswered(splits: Sequence[Split], champion: Outcomes) -> list[int]:
    """Places of the requests in which the champion raised, and a candidate on traffic may stand in:
    not those that named the champion themselves."""
    if splits[0].route.candidate is None:
        return []
    return [
        place
        for place, (one, said) in enumerate(zip(splits, champion, strict=True))
        if isinstance(said, Exception) and not one.chosen
    ]


def stood_in_for(splits: Sequence[Split], champion: Outcomes) -> Outcomes:
    """The champion's answers, and the candidate's where it raised, marked as its failure.

    Both arms' failures are then treated alike: were the champion's left out, its harder requests
    would be missing from its bad answers and not from the candidate's. Where the candidate raises
    as well, the request is at fault, and what the champion raised stands.
    """
    places = unanswered(splits, champion)
    if not places:
        return champion
    some = [splits[place] for place in places]
    found = list(champion)
    rescued = _answered(some, "champion", some[0].route.candidate, failed=True)
    for place, each in zip(places, rescued, strict=True):
        if not isinstance(each, Exception):
            found[place] = each
    return found


def from_candidate(splits: Sequence[Split]) -> Outcomes:
    """The candidate's answers to its rows of each request; the champion's where it raises, whatever
    it raises, and then it counts against it."""
    return in_its_place(splits, of_candidate(splits))


def of_candidate(splits: Sequence[Split]) -> Outcomes:
    """What the candidate itself says to its rows of each request."""
    return _answered(splits, "candidate", splits[0].route.candidate)


def in_its_place(splits: Sequence[Split], candidate: Outcomes) -> Outcomes:
    """The candidate's answers, and the champion's where there is an error, marked as its failure,
    unless it was not asked at all (NotBegun); who named the candidate gets its error.

    Where the champion raises as well, the request is at fault, and nothing is counted.
    """
    failed = [
        place
        for place, said in enumerate(candidate)
        if isinstance(said, NotBegun) or (isinstance(said, Exception) and not splits[place].chosen)
    ]
    if not failed:
        return candidate
    some = [splits[place] for place in failed]
    found = list(candidate)
    blamed = not isinstance(candidate[failed[0]], NotBegun)  # which is so of all or of none
    rescued = _answered(some, "candidate", some[0].route.champion, failed=blamed)
    for place, each in zip(failed, rescued, strict=True):
        if blamed and not isinstance(each, Exception):
            _tell_why(splits[place].route, found[place])
        found[place] = each
    return found


def _tell_why(route: Route, error: object) -> None:
    facts = {"model": route.model, "version": route.candidate and route.candidate.version}
    _LOG.warning(
        "a request failed in the candidate",
        exc_info=error if isinstance(error, Exception) else None,
        extra={"event": "candidate_failed", "facts": {**facts, "arm": "candidate"}},
    )


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


def _answered(
    splits: Sequence[Split], arm: Arm, served: Served | None, *, failed: bool = False
) -> Outcomes:
    """What ``served`` answers to the rows that ``arm`` takes of each request; none where it takes
    none."""
    began = time.perf_counter()
    places = [place for place, one in enumerate(splits) if one.rows[arm]]
    found: Outcomes = [[] for _ in splits]
    if not places:
        return found
    assert served is not None  # noqa: S101 - split gave it rows
    said = predicted(served, [(splits[place].asked, splits[place].rows[arm]) for place in places])
    for place, each in zip(places, said, strict=True):
        found[place] = (
            each
            if isinstance(each, Exception)
            else _told(splits[place], arm, each, served, began, failed=failed)
        )
    return found


def predicted(
    served: Served, jobs: Sequence[tuple[Asked, Sequence[int]]]
) -> list[Predictions | Exception]:
    """What a version says to the rows of each request: in one call where all are numbers, and one
    by one where that raises, as it then shows which of them is at fault."""
    blocks = [served.block(asked, rows) for asked, rows in jobs]
    numbers = [block for block in blocks if block is not None]
    if 1 < len(numbers) == len(blocks):
        try:
            many = np.concatenate(numbers)
            said = _whole(served.of_numbers(many), len(many), served)
            return list(_parts(said, [len(block) for block in numbers]))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: S110 - asked again below
            pass
    return [_one(served, asked, rows) for asked, rows in jobs]


def _one(served: Served, asked: Asked, rows: Sequence[int]) -> Predictions | Exception:
    try:
        return _whole(served.predict(asked, rows), len(rows), served)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic in Rust is no Exception, and ends no gateway
        told = RuntimeError(f"version {served.version} raised {error!r}")
        return error if isinstance(error, Exception) else told


def _whole(said: Predictions, rows: int, served: Served) -> Predictions:
    """Predictions, one for every row; raises Incompatible where a version told fewer or more: whose
    they are is then unknown."""
    shares = said.probabilities
    if said.values.shape == (rows,) and (shares is None or len(shares) == rows):
        return said
    raise Incompatible(
        "version {version} was asked for {rows} rows, and answered with values of shape {given}",
        do="mend its adapter: it tells one value, and its probabilities, for every row",
        version=served.version,
        rows=rows,
        given=str(said.values.shape if shares is None else (said.values.shape, shares.shape)),
    )


def _parts(said: Predictions, lengths: Sequence[int]) -> list[Predictions]:
    parts, at = [], 0
    for length in lengths:
        part = slice(at, at + length)
        shares = None if said.probabilities is None else said.probabilities[part]
        parts.append(Predictions(said.values[part], said.classes, shares))
        at += length
    return parts


def _told(
    one: Split, arm: Arm, said: Predictions, served: Served, began: float, *, failed: bool
) -> list[Answer]:
    """Predictions as answers to an arm's rows; ``began``: when they were asked for."""
    route, keys = one.route, one.keys
    latency = (time.perf_counter() - began) * 1000
    release, step = (None, None) if one.chosen else (route.release_id, route.step)
    classes = None if said.classes is None else [str(name) for name in said.classes]
    shares = None if said.probabilities is None else said.probabilities.tolist()
    return [
        Answer(
            one.ids[row], route.model, served.version, arm, value, classes,
            None if shares is None else shares[at], None if keys is None else keys[row],
            release, step, failed, latency, served.params, route.epoch,
        )
        for at, (row, value) in enumerate(zip(one.rows[arm], said.values.tolist(), strict=True))
    ]  # fmt: skip
