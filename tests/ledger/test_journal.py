"""The journal: state and history move together, and nobody's change is lost."""

import hashlib
import threading

import pytest
import sqlalchemy as sa

from tidegate.domain import merkle
from tidegate.domain.canonical import canonical_json, digest
from tidegate.domain.errors import Conflict, IntegrityError
from tidegate.domain.evidence import PrepareEvidence
from tidegate.domain.people import Person, Role
from tidegate.domain.rollout import Deployment
from tidegate.ledger.event import subject_key
from tidegate.ledger.verify import verify
from tidegate.store import tables

ADA = Person(name="ada", team="engineering", roles=[Role.ADMIN])
EVIDENCE = PrepareEvidence(snapshot=None, source_digest="ab")


def test_a_document_is_read_as_it_was_written(journal):
    with journal.write("ada") as tx:
        told = tx.put(ADA, "person.added", note={"why": "水"})
    with journal.read() as reader:
        assert reader.get(Person, "ada") == ADA
        assert reader.get(Person, "wei") is None
        assert reader.all(Person) == [ADA]
        assert reader.events() == [told]
    assert (told.seq, told.actor, told.kind, told.subject) == (
        1, "ada", "person.added", ("person", "ada"),
    )  # fmt: skip
    assert told.digest == digest(ADA)


def test_documents_come_in_the_order_they_were_made(journal):
    names = ["b", "a", "c10", "c2"]
    with journal.write("ada") as tx:
        for name in names:
            tx.put(Deployment(model=name), "made")
    with journal.write("ada") as tx:
        was = tx.get(Deployment, "b")
        tx.put(was.model_copy(update={"champion": 1}), "changed", was=was)
    with journal.read() as reader:
        assert [found.model for found in reader.all(Deployment)] == names
        assert [found.model for found in reader.all(Deployment, "a")] == ["a"]


def test_events_are_found_by_model_subject_and_number(journal):
    with journal.write("ada") as tx:
        tx.put(ADA, "person.added")
        tx.put(Deployment(model="m"), "made")
        tx.put(Deployment(model="m", champion=1), "changed", was=Deployment(model="m"))
    with journal.read() as reader:
        assert [event.seq for event in reader.events(model="m")] == [2, 3]
        assert [event.seq for event in reader.events(subject=("person", "ada"))] == [1]
        assert [event.seq for event in reader.events(after=1, limit=1)] == [2]


def test_a_change_on_something_older_is_refused_and_undone_whole(journal):
    with journal.write("ada") as tx:
        tx.put(Deployment(model="m"), "made")
    newer = Deployment(model="m", champion=1)
    with journal.write("ada") as tx:
        tx.put(newer, "changed", was=Deployment(model="m"))
    for was in (Deployment(model="m"), None):
        with pytest.raises(Conflict, match="changed by someone else"), journal.write("wei") as tx:
            tx.put(ADA, "person.added")
            tx.put(Deployment(model="m", champion=9), "changed", was=was)
    with journal.read() as reader:
        assert reader.get(Deployment, "m") == newer
        assert reader.get(Person, "ada") is None
        assert len(reader.events()) == 2
        assert verify(reader).ok


def test_changing_what_was_never_there_is_refused(journal):
    with pytest.raises(Conflict), journal.write("ada") as tx:
        tx.put(Deployment(model="m", champion=1), "changed", was=Deployment(model="m"))


def test_evidence_is_kept_once_and_found_by_its_digest(journal):
    with journal.write("ada") as tx:
        first = tx.put(Deployment(model="m"), "made", evidence=[EVIDENCE])
        tx.put(Deployment(model="n"), "made", evidence=[EVIDENCE])
    assert first.evidence == [digest(EVIDENCE)]
    with journal.read() as reader:
        assert reader.evidence(digest(EVIDENCE)) == EVIDENCE
        with pytest.raises(IntegrityError):
            reader.evidence("0" * 64)


def test_the_root_is_the_one_of_rfc_6962_over_all_events(journal):
    for number in range(1, 20):
        with journal.write("ada") as tx:
            tx.put(Deployment(model=f"m{number}"), "made")
        with journal.read() as reader:
            leaves = [merkle.leaf_hash(canonical_json(event)) for event in reader.events()]
            assert len(leaves) == number
            assert reader.root() == merkle.root(leaves).hex()


def test_an_empty_ledger_verifies(journal):
    with journal.read() as reader:
        report = verify(reader)
        assert report.ok
        assert report.root == reader.root() == merkle.EMPTY_ROOT.hex()


def test_writers_at_once_lose_no_event(journal):
    def work(name):
        for number in range(8):
            with journal.write(name) as tx:
                tx.put(Deployment(model=f"{name}-{number}"), "made")

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with journal.read() as reader:
        assert [event.seq for event in reader.events()] == list(range(1, 33))
        assert verify(reader).ok


@pytest.mark.parametrize(
    "tampered", ['{"model":"m","champion":7}', "{}", "not json", '{"model":"m","champion":null}']
)
def test_a_document_that_was_altered_is_not_served(journal, database, tampered):
    with journal.write("ada") as tx:
        tx.put(Deployment(model="m", champion=1), "made")
    with database.write() as connection:
        connection.execute(sa.update(tables.documents).values(body=tampered))
    with journal.read() as reader, pytest.raises(IntegrityError, match="not what was recorded"):
        reader.get(Deployment, "m")


def test_subjects_are_told_apart():
    assert subject_key("person", "a/b") == "person/a/b"


def test_what_was_recorded_before_a_field_was_added_still_reads(journal):
    """The text that was recorded is what its digest is of, not what it would be written as now."""
    old = ADA.model_dump(mode="json")
    del old["active"]
    with journal.write("ada") as tx:
        tx.put(ADA, "person.added")
        tx.connection.execute(
            sa.update(tables.documents).values(
                body=canonical_json(old).decode(), digest=digest(old)
            )
        )
    with journal.read() as reader:
        assert reader.get(Person, "ada") == ADA


def test_a_document_from_before_a_field_was_added_can_be_changed(journal):
    with journal.write("ada") as tx:
        tx.put(Deployment(model="m", champion=1), "made")
    old = canonical_json({"model": "m", "champion": 1})
    name = hashlib.sha256(old).hexdigest()
    assert name != digest(Deployment(model="m", champion=1))
    with journal.write("ada") as tx:
        tx.connection.execute(sa.update(tables.documents).values(body=old.decode(), digest=name))
    with journal.write("ada") as tx:
        was = tx.get(Deployment, "m")
        tx.put(was.model_copy(update={"champion": 2}), "changed", was=was)
    with journal.read() as reader:
        assert reader.get(Deployment, "m").champion == 2
