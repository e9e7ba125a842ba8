"""One worker at a time: the turn goes on when its holder ends, however that is."""

import signal
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from tidegate.domain.errors import StorageError
from tidegate.store.database import Database

HOLDER = """
import sys, time
from tidegate.store.database import Database
with Database.open(sys.argv[1]).turn() as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


def held(database):
    with database.turn() as mine:
        return mine


@pytest.fixture
def another(database, backend):
    opened = Database.open(backend.database)
    yield opened
    opened.close()


def test_one_has_it_and_the_other_comes_after(database, another):
    with database.turn() as mine:
        assert mine
        assert not held(another)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(held(database)))
        thread.start()
        thread.join()
        assert seen == [False]
    assert held(another)


def test_it_is_free_when_work_fails(database, another):
    with pytest.raises(MemoryError), database.turn():
        raise MemoryError
    assert held(another)


def test_writers_and_readers_go_on(database, another):
    with database.turn(), another.write() as connection:
        connection.execute(sa.text("SELECT 1"))
    with database.turn(), database.write() as connection:
        connection.execute(sa.text("SELECT 1"))


def test_who_is_killed_has_it_no_more(database, backend):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, backend.database], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "True\n"
    assert not held(database)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    for _ in range(200):  # a server may hear of it a little later
        if held(database):
            return
        threading.Event().wait(0.05)
    raise AssertionError("it stays with one that is no more")


def test_where_nothing_can_be_locked_it_is_said(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/rows.sqlite", create=True)
    (tmp_path / "rows.sqlite-worker").mkdir()
    with pytest.raises(StorageError, match="cannot be locked"), database.turn():
        pass
    database.close()


def test_a_lost_connection_gives_it_up(served):
    one = Database.open(served.database, create=True)
    other = Database.open(served.database)
    lose = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with one.turn() as mine:
        assert mine
        with other.read() as connection:
            connection.execute(lose)
        for _ in range(200):
            if held(other):
                break
            threading.Event().wait(0.05)
        else:
            raise AssertionError("it stays with a connection that is no more")
    assert held(one)
    one.close()
    other.close()
