"""What the prediction log knows of answers without labels: how slow, and what they said."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from tidegate.store.database import Database
from tidegate.store.tables import predictions as _predictions

#: Answers read at a time.
PORTION = 2000


class Told(NamedTuple):
    """One answer of a release, by its place in the log; ``prediction`` is JSON text."""

    id: int
    step: int
    arm: str
    key: str | None
    latency_ms: float
    prediction: str


def latencies(database: Database, model: str, version: int, limit: int = 10_000) -> list[float]:
    """Milliseconds that a version's newest answers took, ``limit`` of them at most."""
    return list(_newest(database, _predictions.c.latency_ms, model, version, limit))


def answers(database: Database, model: str, version: int, limit: int = 10_000) -> list[Any]:
    """What a version's newest answers said, of ``limit`` of them at most; those that are no number,
    null, say nothing."""
    found = _newest(database, _predictions.c.prediction, model, version, limit)
    return [said for answer in found if (said := json.loads(answer)) is not None]


def answered(database: Database, update_id: str) -> dict[tuple[int, str], int]:
    """How many answers were given during a release, by step and arm."""
    by = (_predictions.c.step, _predictions.c.arm)
    wanted = sa.select(*by, sa.func.count().label("answers")).group_by(*by)
    with database.read() as connection:
        rows = connection.execute(wanted.where(_predictions.c.update_id == update_id))
        return {(row.step, row.arm): row.answers for row in rows}


def features(database: Database, model: str, version: int, limit: int = 10_000) -> list[str]:
    """What a version's newest answers were asked with, as JSON text, ``limit`` at most."""
    return list(_newest(database, _predictions.c.features, model, version, limit))


def answers_since(
    database: Database, update_id: str, after: int, *, slower: float | None = None
) -> Iterator[Told]:
    """A release's answers behind place ``after`` of the log, in its order; where ``slower`` is
    given, those that took longer than so many milliseconds.

    Read in portions: memory does not grow with their number.
    """
    columns = [getattr(_predictions.c, name) for name in Told._fields]
    # By place: an index on the release would be read from its beginning each time.
    wanted = sa.select(*columns).where(sa.func.coalesce(_predictions.c.update_id, "") == update_id)
    if slower is not None:
        wanted = wanted.where(_predictions.c.latency_ms > slower)
    wanted = wanted.order_by(_predictions.c.id).limit(PORTION)
    while True:
        with database.read() as connection:
            rows = connection.execute(wanted.where(_predictions.c.id > after)).all()
        yield from map(Told._make, rows)
        if len(rows) < PORTION:
            return
        after = rows[-1].id


def _newest(
    database: Database, column: sa.Column[Any], model: str, version: int, limit: int
) -> Sequence[Any]:
    wanted = (
        sa.select(column)
        .where(_predictions.c.model == model, _predictions.c.version == version)
        .where(sa.not_(_predictions.c.failed))
        .order_by(_predictions.c.id.desc())
        .limit(limit)
    )
    with database.read() as connection:
        return connection.execute(wanted).scalars().all()
