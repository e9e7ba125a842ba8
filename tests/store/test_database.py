"""The database: one writer at a time, all or nothing, and clear words when it fails."""

import sqlite3
import subprocess
import threading
from contextlib import suppress

import pytest
import sqlalchemy as sa

from tidegate.domain.errors import (
    Busy,
    IntegrityError,
    StorageError,
    WorkspaceError,
    WrongUsage,
)
from tidegate.store import database as module
from tidegate.store import tables
from tidegate.store.database import Database


def note(connection, digest):
    connection.execute(sa.insert(tables.evidence).values(digest=digest, body="{}"))


def noted(database):
    with database.read() as connection:
        return set(connection.execute(sa.select(tables.evidence.c.digest)).scalars())


def test_the_migrations_make_the_tables_that_the_code_knows(database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    assert found == []


def test_the_newest_migration_is_the_revision_the_code_asks_for():
    from pathlib import Path

    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    folder = Path(module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == tables.REVISION


def test_every_connection_keeps_few_pages(tmp_path):
    """Distributions raise what SQLite keeps for each, and a gateway has several."""
    database = Database.open(f"sqlite:///{tmp_path}/rows.sqlite", create=True)
    with database.read() as one, database.read() as other:
        for connection in (one, other):
            kept = connection.exec_driver_sql("PRAGMA cache_size").scalar()
            assert kept == -module.CACHE_KIB
    database.close()


def test_a_transaction_is_kept_or_undone_whole(database):
    with database.write() as connection:
        note(connection, "kept")
    with pytest.raises(RuntimeError), database.write() as connection:
        note(connection, "undone")
        raise RuntimeError
    assert noted(database) == {"kept"}


def test_opening_again_finds_what_was_written(backend, database):
    with database.write() as connection:
        note(connection, "kept")
    again = Database.open(backend.database)
    assert noted(again) == {"kept"}
    again.close()


def test_a_reader_sees_one_moment(database):
    with database.read() as before:
        assert before.execute(sa.select(sa.func.count()).select_from(tables.evidence)).scalar() == 0
        with database.write() as connection:
            note(connection, "new")
        assert before.execute(sa.select(sa.func.count()).select_from(tables.evidence)).scalar() == 0
    assert noted(database) == {"new"}


def test_writers_take_turns(database):
    """Each adds one to what it read: were two to overlap, a count would be lost."""

    def add():
        for _ in range(10):
            with database.write() as connection:
                seen = connection.execute(
                    sa.select(sa.func.count()).select_from(tables.evidence)
                ).scalar()
                note(connection, f"n{seen}")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert noted(database) == {f"n{count}" for count in range(40)}


def test_a_writer_that_holds_on_is_a_conflict(backend, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 1)
    first = Database.open(backend.database, create=True)
    second = Database.open(backend.database)
    with first.write() as connection:
        note(connection, "first")
        with pytest.raises(Busy, match="another command has been writing"), second.write():
            pytest.fail("two writers at once")
    assert noted(second) == {"first"}
    first.close()
    second.close()


def test_a_newer_database_is_left_alone(backend, database):
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match=r"newer Tidegate.*9999.*upgrade Tidegate"):
        Database.open(backend.database)


def test_nothing_is_made_where_something_should_be(tmp_path):
    with pytest.raises(WorkspaceError, match="missing"):
        Database.open(f"sqlite:///{tmp_path}/none.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_server_is_not_taken_for_a_workspace(served):
    with pytest.raises(WorkspaceError, match="missing"):
        Database.open(served.database)


def test_a_file_that_is_no_database_is_damaged(tmp_path):
    (tmp_path / "rows.sqlite").write_bytes(b"not a database at all, " * 100)
    with pytest.raises(IntegrityError, match="damaged"):
        Database.open(f"sqlite:///{tmp_path}/rows.sqlite")


def test_a_cut_file_is_damaged_or_told(tmp_path):
    url = f"sqlite:///{tmp_path}/rows.sqlite"
    made = Database.open(url, create=True)
    with made.write() as connection:
        for number in range(2000):
            note(connection, f"{number:064d}")
    made.close()
    path = tmp_path / "rows.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(IntegrityError, match="damaged"):
        noted(Database.open(url))


def test_text_that_is_no_text_is_damage(tmp_path):
    url = f"sqlite:///{tmp_path}/rows.sqlite"
    Database.open(url, create=True).close()
    with sqlite3.connect(tmp_path / "rows.sqlite") as raw:
        raw.execute("INSERT INTO evidence VALUES (CAST(x'ff' AS TEXT), '{}')")
    with pytest.raises(IntegrityError, match="damaged"):
        noted(Database.open(url))


def test_an_unreachable_server_is_told_without_its_password():
    url = "postgresql+psycopg://u:secret-word@127.0.0.1:9/x?connect_timeout=2"
    with pytest.raises(StorageError, match="check that it is there") as caught:
        Database.open(url)
    assert "secret-word" not in str(caught.value)


def test_a_full_disk_is_told_and_undone(small_disk):
    database = Database.open(f"sqlite:///{small_disk}/rows.sqlite", create=True)
    with database.write() as connection:
        note(connection, "kept")
    with pytest.raises(StorageError, match="full"), database.write() as connection:
        for number in range(20_000):
            note(connection, f"{number:064d}")
    assert noted(database) == {"kept"}
    database.close()


def filled(folder):
    """The file that takes the last byte of a disk."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass
    return folder / "filler"


@pytest.mark.parametrize("waits_in_the_log", [False, True])
def test_what_is_on_a_full_disk_can_be_read(small_disk, waits_in_the_log):
    url = f"sqlite:///{small_disk}/rows.sqlite"
    database = Database.open(url, create=True)
    with database.write() as connection:
        note(connection, "kept")
    if waits_in_the_log:  # as a writer leaves it that was killed
        for name in ("rows.sqlite", "rows.sqlite-wal"):
            (small_disk / f"{name}.killed").write_bytes((small_disk / name).read_bytes())
    database.close()
    if waits_in_the_log:
        for name in ("rows.sqlite", "rows.sqlite-wal"):
            (small_disk / f"{name}.killed").rename(small_disk / name)
    filler = filled(small_disk)
    if waits_in_the_log:  # what cannot be read whole is not read at all
        with pytest.raises(StorageError):
            Database.open(url)
    else:
        reading = Database.open(url)
        assert noted(reading) == {"kept"}
        with pytest.raises(StorageError, match="full or fails"), reading.write():
            pass
        reading.close()
    filler.unlink()
    again = Database.open(url)
    assert noted(again) == {"kept"}
    with again.write() as connection:
        note(connection, "more")
    again.close()


def test_a_copy_that_may_not_be_written_can_be_read(small_disk):
    url = f"sqlite:///{small_disk}/rows.sqlite"
    database = Database.open(url, create=True)
    with database.write() as connection:
        note(connection, "kept")
    database.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    reading = Database.open(url)
    assert noted(reading) == {"kept"}
    with pytest.raises(StorageError), reading.write():
        pass
    reading.close()


def test_a_text_that_postgres_cannot_keep_is_the_callers_mistake(served):
    database = Database.open(served.database, create=True)
    with pytest.raises(WrongUsage, match="no character"), database.write() as connection:
        note(connection, "half\0half")
    assert noted(database) == set()
    database.close()


def test_a_glance_sees_what_others_have_written(database):
    query = "SELECT count(*) FROM gateways"
    assert database.glance(query) == 0
    assert database.glance("SELECT name FROM gateways") is None
    for count in (1, 2):
        with database.write() as connection:
            row = {"name": f"g{count}", "seen": 1, "at": 0.0, "notes": "[]"}
            connection.execute(sa.insert(tables.gateways), row)
            assert database.glance(query) == count - 1
        assert database.glance(query) == count
    with pytest.raises(StorageError):
        database.glance("SELECT nothing FROM nowhere")
    assert database.glance(query) == 2
