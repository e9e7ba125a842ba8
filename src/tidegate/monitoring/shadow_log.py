"""What candidates in the shadow said, and what is known of it once a label is told."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa

from tidegate.domain.answer import Shadowed
from tidegate.monitoring.prediction_log import PORTION, Labelled
from tidegate.monitoring.text import as_json
from tidegate.store.database import Database
from tidegate.store.tables import labels as _labels
from tidegate.store.tables import predictions as _predictions
from tidegate.store.tables import shadows as _shadows


@dataclass(frozen=True)
class Twin:
    """The shadow's answer to a request that has a label; None where it failed."""

    prediction: Any
    failed: bool


def write(database: Database, shadows: Sequence[Shadowed]) -> int:
    """Keep these answers, all or none; gives how many came too late and were left out.

    That is what comes after the label of its request: labels are judged in the order they are
    told, and one that was judged without its pair must not have another one later.
    """
    late = 0
    with database.write() as connection:
        for at in range(0, len(shadows), PORTION):
            some = shadows[at : at + PORTION]
            told = set(connection.execute(_told([one.request_id for one in some])).scalars())
            rows = [_row(one) for one in some if one.request_id not in told]
            late += len(some) - len(rows)
            if rows:
                connection.execute(sa.insert(_shadows), rows)
    return late


def failures(database: Database, update_id: str) -> int:
    """How many answers the candidate of a release failed to give in its shadow."""
    wanted = sa.select(sa.func.count()).where(_shadows.c.update_id == update_id, _shadows.c.failed)
    with database.read() as connection:
        return int(connection.execute(wanted).scalar_one())


def with_twins(
    database: Database, answers: Iterable[Labelled]
) -> Iterator[tuple[Labelled, Twin | None]]:
    """Labelled answers, each with what the shadow said to its request, None where nothing is known.

    Read in portions: memory does not grow with their number.
    """
    left = iter(answers)
    while portion := list(islice(left, PORTION)):
        wanted = sa.select(_shadows).where(
            _shadows.c.request_id.in_([answer.request_id for answer in portion])
        )
        with database.read() as connection:
            found = {row.request_id: _twin(row) for row in connection.execute(wanted)}
        yield from ((answer, found.get(answer.request_id)) for answer in portion)


def _told(request_ids: list[str]) -> sa.Select[Any]:
    labelled = _predictions.join(_labels, _labels.c.prediction_id == _predictions.c.id)
    return (
        sa.select(_predictions.c.request_id)
        .select_from(labelled)
        .where(_predictions.c.request_id.in_(request_ids))
    )


def _row(one: Shadowed) -> dict[str, Any]:
    return {
        "request_id": one.request_id,
        "update_id": one.update_id,
        "version": one.version,
        "prediction": None if one.failed else as_json(one.prediction),
        "failed": one.failed,
        "latency_ms": one.latency_ms,
    }


def _twin(row: sa.Row[Any]) -> Twin:
    return Twin(None if row.prediction is None else json.loads(row.prediction), row.failed)
