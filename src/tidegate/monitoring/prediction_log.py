"""Every answer given, and what came true: labels arrive late, in any order, once an answer."""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa

from tidegate.domain.answer import Answer
from tidegate.domain.errors import TidegateError
from tidegate.domain.rollout import Places
from tidegate.ledger.journal import utc_now
from tidegate.monitoring.labels import fitted
from tidegate.monitoring.text import as_json
from tidegate.store.database import Database
from tidegate.store.tables import labels as _labels
from tidegate.store.tables import predictions as _predictions

#: Rows read or looked up at a time.
PORTION = 500
#: Rows of one statement, powers of two: a connection keeps every statement that it has seen, and of
#: any number of rows they would be hundreds. SQLite takes 32,766 values.
_AT_ONCE = tuple(2**power for power in range(9, -1, -1))

#: An answer as the log keeps it: what ``Logged`` holds, in its order.
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Logged:
    """One answer as the log keeps it; ``prediction`` and ``features`` are JSON text."""

    request_id: str
    model: str
    version: int
    arm: str
    update_id: str | None
    step: int | None
    key: str | None
    prediction: str
    features: str
    failed: bool
    latency_ms: float
    at: str

    @classmethod
    def of(cls, answer: Answer, features: Mapping[str, Any], at: str) -> "Logged":
        """A gateway's answer to a row of these ``features``, given at ``at`` (ISO 8601)."""
        return cls(*values_of(answer, features, at))


@dataclass(frozen=True)
class Labelled:
    """An answer and what came true. ``seq`` counts labels in the order they were told, ``features``
    are JSON text."""

    seq: int
    request_id: str
    model: str
    version: int
    arm: str
    update_id: str | None
    step: int | None
    prediction: Any
    label: Any
    failed: bool
    answered_at: str
    at: str
    key: str | None = None
    features: str = "{}"


class Told(NamedTuple):
    """Labels that were kept, in the order they were given, and why others were not, by request id;
    for ``unknown`` of these there is no answer in the log."""

    kept: list[Labelled]
    refused: dict[str, TidegateError]
    unknown: int


@dataclass(frozen=True)
class Counts:
    """How many answers a model gave, and how many of them have a label."""

    answers: int
    labelled: int


class Keeps(Protocol):
    """Keeps answers and labels: a ``PredictionLog``, or a process that has one."""

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Keep these answers."""

    def label_many(
        self, labels: Mapping[str, Any], *, model: str | None = None, whole: Collection[int] = ()
    ) -> Told:
        """Keep these labels, or say why not."""


class PredictionLog:
    """The log in a database."""

    def __init__(self, database: Database):
        self._database = database

    def write(self, answers: Sequence[Logged]) -> None:
        """Keep these answers, all or none; what is there already, by its id, is left as it is: a
        commit may have been done though nobody heard of it, and then they come again."""
        self.write_rows([_values(answer) for answer in answers])

    def write_rows(self, rows: Sequence[Row]) -> None:
        """As ``write``, of what ``values_of`` gives."""
        if not rows:
            return
        with self._database.write() as connection:
            # Many rows a statement, by the driver alone: between statements the thread waits for
            # its turn, which on a busy gateway takes longer than the writing.
            at = 0
            for many in _AT_ONCE:
                while len(rows) - at >= many:
                    values = tuple(chain.from_iterable(rows[at : at + many]))
                    connection.exec_driver_sql(_insert(connection.dialect, many), values)
                    at += many

    def label(self, request_id: str, label: Any, *, at: str) -> Labelled:
        """What came true for one request; raises why it cannot be kept, see ``label_many``."""
        told = self.label_many({request_id: label}, at=at)
        for problem in told.refused.values():
            raise problem
        return told.kept[0]

    def label_many(
        self,
        labels: Mapping[str, Any],
        *,
        at: str | Callable[[], str] = utc_now,
        model: str | None = None,
        whole: Collection[int] = (),
    ) -> Told:
        """What came true, by request id; one that cannot be kept is refused, and the others are.

        A label takes the type of the answer it belongs to: "7" for an answer 7 is 7; ``whole``:
        versions whose classes are whole numbers, though floats. An answer that is no number, null,
        takes any. The same label twice is one. Refused with NotFound is what belongs to no answer,
        or to another model's than ``model``'s, with Busy what belongs to none so far and was
        answered just now, by its id, with Conflict what is not the label that stands, and with
        DataError what no answer of the model can equal.

        ``at``: when they were told, or the clock, which is then read once no other writer is before
        them: so moments are in the order of labels, in all databases.
        """
        refused: dict[str, TidegateError] = {}
        with self._database.write() as connection:
            moment = at if isinstance(at, str) else at()
            rows = {row.request_id: row for row in self._rows(connection, list(labels))}
            new = []
            for request_id, label in labels.items():
                row = rows.get(request_id)
                told = fitted(request_id, label, row, model, whole=whole)
                if isinstance(told, TidegateError):
                    refused[request_id] = told
                elif row is not None and row.label is None:
                    new.append({"prediction_id": row.id, "label": told, "at": moment})
            if new:
                connection.execute(sa.insert(_labels), new)
            there = [request_id for request_id in labels if request_id not in refused]
            kept = {row.request_id: row for row in self._rows(connection, there)}
        return Told([_labelled(kept[one]) for one in there], refused, len(labels) - len(rows))

    def labelled(
        self,
        model: str,
        *,
        version: int | None = None,
        update_id: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[Labelled]:
        """Labelled answers in the order their labels were told, from the one after ``after``.

        ``version`` picks those of one version, ``update_id`` those given during its release.
        Read in portions: memory does not grow with their number.
        """
        picked = {"model": model, "version": version, "update_id": update_id}
        given = {name: value for name, value in picked.items() if value is not None}
        wanted = _joined(outer=False).order_by(_labels.c.seq)
        left = math.inf if limit is None else limit
        while left > 0:
            portion = wanted.where(_labels.c.seq > after).limit(int(min(left, PORTION)))
            for name, value in given.items():
                portion = portion.where(_known(_predictions.c[name], after) == value)
            with self._database.read() as connection:
                rows = connection.execute(portion).all()
            if not rows:
                return
            yield from (_labelled(row) for row in rows)
            after, left = rows[-1].seq, left - len(rows)

    def places(self) -> Places:
        """How far the log goes."""
        ends = sa.select(
            sa.select(sa.func.max(_predictions.c.id)).scalar_subquery(),
            sa.select(sa.func.max(_labels.c.seq)).scalar_subquery(),
        )
        with self._database.read() as connection:
            answers, labels = connection.execute(ends).one()
        return Places(answers=answers or 0, labels=labels or 0)

    def counts(self, model: str) -> Counts:
        """Answers and labels of a model."""
        joined = _predictions.outerjoin(_labels, _labels.c.prediction_id == _predictions.c.id)
        wanted = (
            sa.select(sa.func.count(_predictions.c.id), sa.func.count(_labels.c.seq))
            .select_from(joined)
            .where(_predictions.c.model == model)
        )
        with self._database.read() as connection:
            answers, labelled = connection.execute(wanted).one()
        return Counts(answers=answers, labelled=labelled)

    def failures(self, update_id: str) -> dict[tuple[int, str], int]:
        """How many answers the arms of a release failed to give, by step and arm."""
        wanted = (
            sa.select(_predictions.c.step, _predictions.c.arm, sa.func.count().label("answers"))
            .where(_predictions.c.update_id == update_id, _predictions.c.failed)
            .group_by(_predictions.c.step, _predictions.c.arm)
        )
        with self._database.read() as connection:
            return {(row.step, row.arm): row.answers for row in connection.execute(wanted)}

    def newest_labelled(self, model: str, version: int, limit: int) -> list[Labelled]:
        """The labelled answers of a version whose labels were told last, ``limit`` of them at
        most, in the order they were told."""
        wanted = (
            _joined(outer=False)
            .where(_predictions.c.model == model, _predictions.c.version == version)
            .order_by(_labels.c.seq.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        return [_labelled(row) for row in reversed(rows)]

    def _rows(self, connection: sa.Connection, request_ids: list[str]) -> Iterator[sa.Row[Any]]:
        for at in range(0, len(request_ids), PORTION):
            some = request_ids[at : at + PORTION]
            yield from connection.execute(
                _joined(outer=True).where(_predictions.c.request_id.in_(some))
            )


def values_of(answer: Answer, features: Mapping[str, Any], at: str) -> Row:
    """What is kept of an answer to a row of these ``features``, in the order of ``Logged``."""
    return (
        answer.request_id, answer.model, answer.version, answer.arm, answer.update_id, answer.step,
        answer.key, as_json(answer.prediction), as_json(features), answer.failed,
        answer.latency_ms, at,
    )  # fmt: skip


_values = attrgetter(*(one.name for one in fields(Logged)))
#: Where in a ``Row`` the features are.
FEATURES = [one.name for one in fields(Logged)].index("features")


@lru_cache(len(_AT_ONCE))
def _insert(dialect: sa.Dialect, rows: int) -> str:
    names = [one.name for one in fields(Logged)]
    mark = "%s" if dialect.paramstyle in ("format", "pyformat") else "?"
    marks = f"({', '.join([mark] * len(names))})"
    told = f"INSERT INTO predictions ({', '.join(names)}) VALUES "  # noqa: S608 - our own names
    return told + ", ".join([marks] * rows) + " ON CONFLICT (request_id) DO NOTHING"


def _joined(*, outer: bool) -> sa.Select[Any]:
    join = _predictions.outerjoin if outer else _predictions.join
    told_at = _labels.c.at.label("told_at")
    return sa.select(_predictions, _labels.c.seq, _labels.c.label, told_at).select_from(
        join(_labels, _labels.c.prediction_id == _predictions.c.id)
    )


def _known(column: sa.Column[Any], after: int) -> sa.ColumnElement[Any]:
    """A column of answers, to pick those by whose labels come after another: from the labels on,
    as by an index on the column all that came before would be read as well."""
    return sa.func.coalesce(column, column) if after else column


def _labelled(row: sa.Row[Any]) -> Labelled:
    return Labelled(
        seq=row.seq,
        request_id=row.request_id,
        model=row.model,
        version=row.version,
        arm=row.arm,
        update_id=row.update_id,
        step=row.step,
        prediction=json.loads(row.prediction),
        label=json.loads(row.label),
        failed=row.failed,
        answered_at=row.at,
        at=row.told_at,
        key=row.key,
        features=row.features,
    )
