"""What the prediction log knows of answers without labels: how slow they were, and what they said.

Counts are of entities: of one that has several such answers in a release, the first counts. A
request without a key is an entity of its own.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from tidegate.store.database import Database
from tidegate.store.tables import predictions as _predictions

#: Counts by step and arm, one a limit or a band.
Counts = dict[tuple[int, str], list[int]]

_ENTITY = sa.func.coalesce(_predictions.c.key, _predictions.c.request_id)


def latencies(database: Database, model: str, version: int, limit: int = 10_000) -> list[float]:
    """Milliseconds that a version's newest answers took, ``limit`` of them at most."""
    return list(_newest(database, _predictions.c.latency_ms, model, version, limit))


def answers(database: Database, model: str, version: int, limit: int = 10_000) -> list[Any]:
    """What a version's newest answers said, ``limit`` of them at most."""
    found = _newest(database, _predictions.c.prediction, model, version, limit)
    return [json.loads(answer) for answer in found]


def features(database: Database, model: str, version: int, limit: int = 10_000) -> list[str]:
    """What a version's newest answers were asked with, as JSON text, ``limit`` at most."""
    return list(_newest(database, _predictions.c.features, model, version, limit))


def slow(database: Database, update_id: str, above_ms: Sequence[float]) -> Counts:
    """How many entities of a release had an answer that took longer than each limit."""
    beyond = [_predictions.c.latency_ms > limit for limit in above_ms]
    return _first_events(database, update_id, beyond)


def in_bands(database: Database, update_id: str, bands: Sequence[Any], *, numbers: bool) -> Counts:
    """How many entities of a release had an answer in each band.

    ``bands`` are classes; of ``numbers`` they are ascending edges, which make one band more.
    """
    if not numbers:
        said = _predictions.c.prediction
        return _first_events(database, update_id, [said == json.dumps(name) for name in bands])
    value = sa.cast(_predictions.c.prediction, sa.Float)
    low = [sa.true(), *[value >= edge for edge in bands]]
    high = [*[value < edge for edge in bands], sa.true()]
    within = [sa.and_(one, other) for one, other in zip(low, high, strict=True)]
    return _first_events(database, update_id, within)


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


def _first_events(
    database: Database, update_id: str, events: Sequence[sa.ColumnElement[bool]]
) -> Counts:
    found: Counts = {}
    for place, event in enumerate(events):
        firsts = (
            sa.select(sa.func.min(_predictions.c.id))
            .where(_predictions.c.update_id == update_id, event)
            .group_by(_ENTITY)
        )
        wanted = (
            sa.select(_predictions.c.step, _predictions.c.arm, sa.func.count().label("answers"))
            .where(_predictions.c.id.in_(firsts))
            .group_by(_predictions.c.step, _predictions.c.arm)
        )
        with database.read() as connection:
            for row in connection.execute(wanted):
                counts = found.setdefault((row.step, row.arm), [0] * len(events))
                counts[place] = row.answers
    return found
