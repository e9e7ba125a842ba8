"""The verifier finds any row changed, missing, reordered or added: every time."""

import random

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import StorageError
from tidegate.domain.evidence import PrepareEvidence
from tidegate.domain.people import Person, Role
from tidegate.domain.rollout import Deployment
from tidegate.ledger.journal import Journal, Reader
from tidegate.ledger.verify import verify
from tidegate.store import tables
from tidegate.store.database import Database

RECORD = (tables.documents, tables.evidence, tables.events, tables.ledger_head)


def fill(database):
    journal = Journal(database)
    for number in range(7):
        with journal.write("ada") as tx:
            made = Deployment(model=f"m{number}")
            evidence = PrepareEvidence(snapshot=None, source_digest=f"{number:02d}")
            tx.put(made, "made", evidence=[evidence], note={"number": number})
            tx.put(made.model_copy(update={"champion": number}), "changed", was=made)
    with journal.write("wei") as tx:
        tx.put(Person(name="wei", team="business", roles=[Role.APPROVER]), "person.added")
    return journal


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/rows.sqlite"
    database = Database.open(url, create=True)
    yield database, fill(database)
    database.close()


class Undo(Exception):
    """Rolls a tampering back, so that the next one starts from a whole record."""


def doubts(database, tamper):
    """Problems found after ``tamper``, which is undone again."""
    found = []
    with pytest.raises(Undo), database.write() as connection:
        tamper(connection)
        found += verify(Reader(connection)).problems
        raise Undo
    return found


def rows_of(database, table):
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


def here(table, row):
    return sa.and_(*[table.c[key.name] == row[key.name] for key in table.primary_key])


def altered(value, pick):
    """Another value of the same kind, one character or bit away."""
    if isinstance(value, int):
        return value ^ (1 << pick.randrange(6))
    if value is None:
        return "x"
    at = pick.randrange(len(value))
    other = pick.choice([c for c in '0123456789abcdefxyz{}": ,' if c != value[at]])
    return value[:at] + other + value[at + 1 :]


def test_an_untouched_record_verifies(database):
    with fill(database).read() as reader:
        report = verify(reader)
    assert report.ok
    assert (report.events, report.documents, report.evidence) == (15, 8, 7)


@given(seed=st.integers(0, 10**9))
def test_any_changed_value_of_any_row_is_found(filled, seed):
    database, _ = filled
    pick = random.Random(seed)
    table = pick.choice(RECORD)
    row = pick.choice(rows_of(database, table))
    column = pick.choice([column.name for column in table.columns])
    if table is tables.ledger_head and column == "id":
        column = "root"  # the number of the one row is no statement about anything
    other = "m0" if column == "model" and row["model"] is None else altered(row[column], pick)

    def tamper(connection):
        connection.execute(sa.update(table).where(here(table, row)).values({column: other}))

    try:
        assert doubts(database, tamper), (table.name, row, column, other)
    except StorageError as clash:
        assert "UNIQUE" in str(clash)  # the database itself refused that one


@given(seed=st.integers(0, 10**9))
def test_any_missing_row_is_found(filled, seed):
    database, _ = filled
    pick = random.Random(seed)
    table = pick.choice(RECORD)
    row = pick.choice(rows_of(database, table))
    assert doubts(database, lambda c: c.execute(sa.delete(table).where(here(table, row))))


@given(seed=st.integers(0, 10**9))
def test_any_two_events_that_change_places_are_found(filled, seed):
    database, _ = filled
    first, second = random.Random(seed).sample(rows_of(database, tables.events), 2)

    def swap(connection):
        for row, other in ((first, second), (second, first)):
            content = {name: other[name] for name in ("model", "subject", "body", "leaf")}
            table = tables.events
            connection.execute(sa.update(table).where(here(table, row)).values(**content))

    assert doubts(database, swap)


@pytest.mark.parametrize("table", RECORD[:3], ids=lambda table: table.name)
def test_an_added_row_is_found(filled, table):
    database, _ = filled
    copy = rows_of(database, table)[-1]
    copy |= {"documents": {"id": "extra"}, "evidence": {"digest": "f" * 64}, "events": {}}[
        table.name
    ]
    if table is tables.events:
        copy["seq"] += 1
    assert doubts(database, lambda c: c.execute(sa.insert(table).values(**copy)))


def test_a_history_cut_short_is_found(filled):
    database, _ = filled
    assert doubts(
        database, lambda c: c.execute(sa.delete(tables.events).where(tables.events.c.seq > 10))
    )


def test_a_history_emptied_is_found(filled):
    database, _ = filled
    assert doubts(database, lambda c: c.execute(sa.delete(tables.events)))


def test_what_is_found_names_the_row(filled):
    database, _ = filled

    def tamper(connection):
        table = tables.documents
        connection.execute(
            sa.update(table).where(table.c.id == "m3").values(body='{"champion":5,"model":"m3"}')
        )

    (problem,) = doubts(database, tamper)
    assert problem.where == "deployment/m3"
    assert "not as event 8 left it" in problem.message.text()
