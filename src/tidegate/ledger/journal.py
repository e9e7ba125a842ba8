"""The record: the present state of every document, and the history that led to it.

Both change in one transaction. Each event is a leaf of a Merkle tree (RFC 6962); the tree's head
moves with it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from tidegate.domain import merkle
from tidegate.domain.canonical import canonical_json, digest
from tidegate.domain.errors import Changed, IntegrityError
from tidegate.domain.evidence import Evidence
from tidegate.domain.messages import Frozen
from tidegate.ledger.event import Event, subject_key
from tidegate.ledger.kinds import KINDS, named
from tidegate.store import tables
from tidegate.store.database import Database

D = TypeVar("D", bound=Frozen)

_EVIDENCE: TypeAdapter[Evidence] = TypeAdapter(Evidence)

# Made once: to put a statement together takes as long as to carry it out.
_SIZE = sa.select(tables.ledger_head.c.size)
_SIZE_TEXT = str(_SIZE)
_DOCUMENT = sa.select(tables.documents.c.body, tables.documents.c.digest).where(
    tables.documents.c.kind == sa.bindparam("kind"), tables.documents.c.id == sa.bindparam("id")
)
_MODELS = (
    sa.select(tables.events.c.model)
    .where(tables.events.c.seq > sa.bindparam("after"), tables.events.c.model.is_not(None))
    .distinct()
)


def utc_now() -> str:
    """The time in UTC as ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Reader:
    """The record at one moment. What is not as it was recorded raises IntegrityError."""

    def __init__(self, connection: sa.Connection):
        self._connection = connection

    @property
    def connection(self) -> sa.Connection:
        """The transaction this reads in."""
        return self._connection

    def get(self, type_: type[D], id_: str) -> D | None:
        """The document of that id, or None."""
        row = self._connection.execute(_DOCUMENT, {"kind": KINDS[type_].name, "id": id_}).first()
        return None if row is None else _document(type_, row.body, row.digest)

    def all(self, type_: type[D], model: str | None = None) -> list[D]:
        """Every document of a type, or those of one model, in the order they were first written."""
        table = tables.documents
        wanted = sa.select(table.c.body, table.c.digest).where(table.c.kind == KINDS[type_].name)
        if model is not None:
            wanted = wanted.where(table.c.model == model)
        rows = self._connection.execute(wanted.order_by(table.c.first_seq))
        return [_document(type_, row.body, row.digest) for row in rows]

    def ids(self, type_: type[Frozen]) -> list[str]:
        """The ids of every document of a type, in the order they were first written."""
        table = tables.documents
        wanted = sa.select(table.c.id).where(table.c.kind == KINDS[type_].name)
        return list(self._connection.execute(wanted.order_by(table.c.first_seq)).scalars())

    def evidence(self, digest_: str) -> Evidence:
        """A stage's evidence; raises IntegrityError where it is missing or altered."""
        table = tables.evidence
        body = self._connection.execute(
            sa.select(table.c.body).where(table.c.digest == digest_)
        ).scalar()
        if body is None:
            raise _altered("evidence", digest_)
        if _sha256(body) != digest_:
            raise _altered("evidence", digest_)
        try:
            return _EVIDENCE.validate_json(body)
        except ValidationError:
            raise _altered("evidence", digest_) from None

    def events(
        self,
        *,
        model: str | None = None,
        subject: tuple[str, str] | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[Event]:
        """Events in order: of one model or one document (its kind and id), after a number."""
        table = tables.events
        wanted = sa.select(table.c.body).where(table.c.seq > after).order_by(table.c.seq)
        if model is not None:
            wanted = wanted.where(table.c.model == model)
        if subject is not None:
            wanted = wanted.where(table.c.subject == subject_key(*subject))
        if limit is not None:
            wanted = wanted.limit(limit)
        return [Event.model_validate_json(row.body) for row in self._connection.execute(wanted)]

    def size(self) -> int:
        """How many events there are."""
        found: int | None = self._connection.execute(_SIZE).scalar()
        return found or 0

    def last_of(self, model: str) -> int:
        """The number of the last event of a model, 0 before the first."""
        table = tables.events
        wanted = sa.select(sa.func.max(table.c.seq)).where(table.c.model == model)
        return self._connection.execute(wanted).scalar() or 0

    def models(self, *, after: int) -> list[str]:
        """The models that events after this number tell of."""
        return list(self._connection.execute(_MODELS, {"after": after}).scalars())

    def root(self) -> str:
        """The Merkle root over all events, in hex."""
        root: str | None = self._connection.execute(sa.select(tables.ledger_head.c.root)).scalar()
        return merkle.EMPTY_ROOT.hex() if root is None else root


class Transaction(Reader):
    """The record, being written to; ``now`` is the one time that all its events bear."""

    def __init__(self, connection: sa.Connection, actor: str, now: str):
        super().__init__(connection)
        self.actor, self.now = actor, now

    def put(
        self,
        document: Frozen,
        event: str,
        *,
        was: Frozen | None = None,
        note: Mapping[str, Any] | None = None,
        evidence: Sequence[Evidence] = (),
    ) -> Event:
        """Write a document and the event that tells of it.

        ``was`` is the document as the writer knew it, None for a new one; raises Changed where
        it is not what stands there now.
        """
        kind, id_, model = named(document)
        self._guard(document, was)
        filed = [self._file(one) for one in evidence]
        body = canonical_json(document)
        told = self._append(
            kind=event,
            model=model,
            subject=(kind.name, id_),
            digest=digest(document),
            evidence=filed,
            note=dict(note or {}),
        )
        values = {"body": body.decode(), "digest": told.digest, "event_seq": told.seq}
        table = tables.documents
        if was is None:
            fixed = {"kind": kind.name, "id": id_, "model": model, "first_seq": told.seq}
            self._connection.execute(sa.insert(table).values(**fixed, **values))
        else:
            here = (table.c.kind == kind.name) & (table.c.id == id_)
            self._connection.execute(sa.update(table).where(here).values(**values))
        return told

    def _guard(self, document: Frozen, was: Frozen | None) -> None:
        kind, id_, _ = named(document)
        table = tables.documents
        body = self._connection.execute(
            sa.select(table.c.body).where(table.c.kind == kind.name, table.c.id == id_)
        ).scalar()
        # As documents, not as text: one recorded before a field was added says the same in fewer
        # words.
        standing = None if body is None else type(document).model_validate_json(body)
        if standing != was:
            raise Changed(
                "{kind} '{id}' was changed by someone else meanwhile",
                do="look at it as it is now, and run the command again",
                kind=kind.name,
                id=id_,
            )

    def _file(self, evidence: Evidence) -> str:
        body, table = canonical_json(evidence).decode(), tables.evidence
        name = digest(evidence)
        known = self._connection.execute(
            sa.select(table.c.digest).where(table.c.digest == name)
        ).first()
        if known is None:
            self._connection.execute(sa.insert(table).values(digest=name, body=body))
        return name

    def _append(self, **facts: Any) -> Event:
        head = self._connection.execute(sa.select(tables.ledger_head)).first()
        size = 0 if head is None else int(head.size)
        frontier = [] if head is None else [bytes.fromhex(h) for h in json.loads(head.frontier)]
        event = Event(seq=size + 1, at=self.now, actor=self.actor, **facts)
        body = canonical_json(event)
        leaf = merkle.leaf_hash(body)
        self._connection.execute(
            sa.insert(tables.events).values(
                seq=event.seq,
                model=event.model,
                subject=subject_key(*event.subject),
                body=body.decode(),
                leaf=leaf.hex(),
            )
        )
        grown = merkle.append(frontier, size, leaf)
        values = {
            "size": event.seq,
            "frontier": json.dumps([node.hex() for node in grown]),
            "root": merkle.frontier_root(grown).hex(),
        }
        table = tables.ledger_head
        if head is None:
            self._connection.execute(sa.insert(table).values(id=1, **values))
        else:
            self._connection.execute(sa.update(table).values(**values))
        return event


class Journal:
    """The record in a database."""

    def __init__(self, database: Database, clock: Callable[[], str] = utc_now):
        self._database, self._clock = database, clock

    def now(self) -> str:
        """The journal's time, as its events bear it."""
        return self._clock()

    def size(self) -> int:
        """How many events there are; for one thread that asks again and again."""
        return self._database.glance(_SIZE_TEXT) or 0

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """The record at this moment."""
        with self._database.read() as connection:
            yield Reader(connection)

    @contextmanager
    def write(self, actor: str) -> Iterator[Transaction]:
        """One transaction in ``actor``'s name: all of it is kept, or, on an error, nothing."""
        with self._database.write() as connection:
            yield Transaction(connection, actor, self._clock())


def _document(type_: type[D], body: str, digest_: str) -> D:
    # The text itself counts: a document from before a field was added is as it was recorded.
    if _sha256(body) != digest_:
        raise _altered(KINDS[type_].name, digest_)
    try:
        return type_.model_validate_json(body)
    except ValidationError:
        raise _altered(KINDS[type_].name, digest_) from None


def _sha256(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _altered(kind: str, digest_: str) -> IntegrityError:
    return IntegrityError(
        "the stored {kind} {digest} is not what was recorded",
        do="see what else is hurt with: tidegate audit verify; then restore a backup",
        kind=kind,
        digest=digest_,
    )
