"""The verifier: whether rows and history still are what was written (RFC 6962 hashing)."""

import hashlib
import json
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from pydantic import ValidationError

from tidegate.domain import merkle
from tidegate.domain.canonical import canonical_json
from tidegate.domain.messages import Frozen, Message, say
from tidegate.ledger.event import Event, subject_key
from tidegate.ledger.journal import Reader
from tidegate.store import tables

#: Told how many rows are done, and how many there are.
Progress = Callable[[int, int], None]


class Problem(Frozen):
    """One doubt: the row or object it is about, and what is wrong."""

    where: str
    message: Message


class Report(Frozen):
    """What was checked, and every doubt. ``root`` is the Merkle root derived from the rows."""

    events: int
    documents: int
    evidence: int
    root: str
    problems: list[Problem] = []

    @property
    def ok(self) -> bool:
        """Whether nothing is in doubt."""
        return not self.problems


class _Seen:
    """What the history says should be there: each document's first and newest event, and all
    evidence."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.newest: dict[str, Event] = {}
        self.evidence: set[str] = set()
        self.leaves = 0
        self.frontier: list[bytes] = []

    def add(self, event: Event, leaf: bytes) -> None:
        self.frontier = merkle.append(self.frontier, self.leaves, leaf)
        self.leaves += 1
        key = subject_key(*event.subject)
        self.first.setdefault(key, event.seq)
        self.newest[key] = event
        self.evidence.update(event.evidence)


def verify(reader: Reader, progress: Progress | None = None) -> Report:
    """Every row of the record checked against its hash, and all of them against the history.

    Finds any row changed, missing, reordered or added, in memory that grows with the number of
    documents, not of events. What it cannot find is a whole history written anew, hashes
    included: for that, keep the root somewhere else and compare.
    """
    connection, seen = reader.connection, _Seen()
    total = _count(connection, tables.events)
    problems = list(_events(connection, seen, progress, total))
    problems += _head(connection, seen)
    documents = _count(connection, tables.documents)
    problems += _documents(connection, seen)
    kept = _count(connection, tables.evidence)
    problems += _evidence(connection, seen)
    return Report(
        events=seen.leaves,
        documents=documents,
        evidence=kept,
        root=merkle.frontier_root(seen.frontier).hex(),
        problems=problems,
    )


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _stream(connection: sa.Connection, wanted: sa.Select[tuple[object, ...]]) -> Iterator[sa.Row]:  # type: ignore[type-arg]
    yield from connection.execute(wanted.execution_options(yield_per=1000))


def _events(
    connection: sa.Connection, seen: _Seen, progress: Progress | None, total: int
) -> Iterator[Problem]:
    expected = 1
    for row in _stream(connection, sa.select(tables.events).order_by(tables.events.c.seq)):
        where = f"event {row.seq}"
        if row.seq != expected:
            yield Problem(
                where=where,
                message=say("the event before it should be {expected}", expected=row.seq - 1),
            )
        expected = row.seq + 1
        event = _parsed(row.body)
        if event is None:
            yield Problem(where=where, message=say("its text is not what was written"))
            continue
        leaf = merkle.leaf_hash(row.body.encode())
        told = (event.seq, event.model, subject_key(*event.subject), leaf.hex())
        if told != (row.seq, row.model, row.subject, row.leaf):
            yield Problem(where=where, message=say("its columns do not say what its text says"))
        seen.add(event, leaf)
        if progress is not None and seen.leaves % 1000 == 0:
            progress(seen.leaves, total)


def _parsed(body: str) -> Event | None:
    """The event that ``body`` tells, where it is in the form we write."""
    try:
        event = Event.model_validate_json(body)
    except ValidationError:
        return None
    return event if canonical_json(event).decode() == body else None


def _head(connection: sa.Connection, seen: _Seen) -> Iterator[Problem]:
    rows = connection.execute(sa.select(tables.ledger_head)).all()
    if not rows and not seen.leaves:
        return
    derived = (
        seen.leaves,
        json.dumps([node.hex() for node in seen.frontier]),
        merkle.frontier_root(seen.frontier).hex(),
    )
    if len(rows) != 1 or (rows[0].size, rows[0].frontier, rows[0].root) != derived:
        yield Problem(
            where="ledger",
            message=say(
                "its root is not the one of the {events} events that are there: some were "
                "changed, removed, reordered or added",
                events=seen.leaves,
            ),
        )


def _documents(connection: sa.Connection, seen: _Seen) -> Iterator[Problem]:
    found = set()
    for row in _stream(connection, sa.select(tables.documents)):
        key = subject_key(row.kind, row.id)
        found.add(key)
        event = seen.newest.get(key)
        if event is None:
            yield Problem(where=key, message=say("no event tells of it"))
            continue
        actual = hashlib.sha256(row.body.encode()).hexdigest()
        found_there = (actual, row.digest, row.model, row.first_seq, row.event_seq)
        recorded = (event.digest, event.digest, event.model, seen.first[key], event.seq)
        if found_there != recorded:
            yield Problem(
                where=key, message=say("it is not as event {event} left it", event=event.seq)
            )
    for key in sorted(seen.newest.keys() - found):
        yield Problem(where=key, message=say("it is missing, though events tell of it"))


def _evidence(connection: sa.Connection, seen: _Seen) -> Iterator[Problem]:
    found = set()
    for row in _stream(connection, sa.select(tables.evidence)):
        found.add(row.digest)
        where = f"evidence {row.digest}"
        if hashlib.sha256(row.body.encode()).hexdigest() != row.digest:
            yield Problem(where=where, message=say("its text is not what was written"))
        elif row.digest not in seen.evidence:
            yield Problem(where=where, message=say("no event tells of it"))
    for digest in sorted(seen.evidence - found):
        yield Problem(
            where=f"evidence {digest}",
            message=say("it is missing, though events tell of it"),
        )
