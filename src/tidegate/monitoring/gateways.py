"""Gateways that run, and how far each has followed the record."""

import os
import socket
import time
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from pydantic import TypeAdapter

from tidegate.domain.messages import Frozen
from tidegate.domain.rollout import Deployment, ServingNote
from tidegate.store.database import Database
from tidegate.store.tables import gateways

#: How often a gateway says that it runs; one that has said nothing for ``GONE_SECONDS`` does not.
HEARTBEAT_SECONDS = 1.0
GONE_SECONDS = 5.0
#: Between two looks at whether all have followed.
_LOOK_SECONDS = 0.01


_NOTES = TypeAdapter(tuple[ServingNote, ...])


class Running(Frozen):
    """A gateway that runs, and its word on versions that it does not route, or did not ask all."""

    name: str
    followed: int
    notes: tuple[ServingNote, ...] = ()


class Heartbeat:
    """One gateway's word that it runs, by how much of the record it routes, and what it refuses."""

    def __init__(self, database: Database):
        self._database = database
        self.name = f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._seen, self._said = -1, 0.0
        self._notes: tuple[ServingNote, ...] = ()

    def say(self, seen: int, notes: Sequence[ServingNote] = ()) -> None:
        """Say it where there is something new to say, or it is time to."""
        now, notes = time.time(), tuple(notes)
        if (seen, notes) == (self._seen, self._notes) and now - self._said < HEARTBEAT_SECONDS:
            return
        told = _NOTES.dump_json(notes).decode()
        with self._database.write() as connection:
            connection.execute(sa.delete(gateways).where(gateways.c.name == self.name))
            connection.execute(
                sa.insert(gateways).values(name=self.name, seen=seen, at=now, notes=told)
            )
        self._seen, self._notes, self._said = seen, notes, now

    def end(self) -> None:
        """Say that it stops."""
        with self._database.write() as connection:
            connection.execute(sa.delete(gateways).where(gateways.c.name == self.name))


def running(database: Database, ran: Sequence[str] = ()) -> list[Running]:
    """The gateways that run, by name; those named in ``ran`` until they say that they stop."""
    alive = (gateways.c.at > time.time() - GONE_SECONDS) | gateways.c.name.in_(ran)
    with database.read() as connection:
        rows = connection.execute(sa.select(gateways).where(alive).order_by(gateways.c.name))
        return [
            Running(name=row.name, followed=row.seen, notes=_NOTES.validate_json(row.notes))
            for row in rows
        ]


def behind(
    database: Database,
    size: int,
    seconds: float,
    deployment: Deployment | None = None,
    ran: Sequence[str] = (),
) -> list[str]:
    """The gateways that run and do not route by ``size`` events after so many seconds; empty as
    soon as all do.

    One that refuses the champion of ``deployment`` answers by what it routed before, and so does
    not, however far it has read. Those named in ``ran`` count until they say that they stop.
    """
    until = time.monotonic() + seconds
    while True:
        late = [one.name for one in running(database, ran) if _late(one, size, deployment)]
        if not late or time.monotonic() >= until:
            return late
        time.sleep(_LOOK_SECONDS)


def _late(one: Running, size: int, deployment: Deployment | None) -> bool:
    if one.followed < size or deployment is None:
        return one.followed < size
    refused = {(note.model, note.version) for note in one.notes if note.refused}
    return (deployment.model, deployment.champion) in refused
