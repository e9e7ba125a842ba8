"""Locks that are free again when their holder ends, however it ends: the system sees to it, or the
PostgreSQL server. Nobody waits for one."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from tidegate.domain.errors import StorageError

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(handle: int) -> bool:
    try:
        _lock(handle)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):  # as Linux says it, and as Windows does
            return False
        raise
    return True


@contextmanager
def of_file(path: Path) -> Iterator[bool]:
    """Whether this holder has the lock on a file, which is made and stays; until the end."""
    handle = None
    try:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            mine = _locked(handle)
        except OSError as error:
            raise StorageError(
                "the file {path} cannot be locked: {problem}",
                do="check that you may write there, and that its file system knows locks",
                path=path,
                problem=error.strerror or type(error).__name__,
            ) from error
        yield mine
    finally:
        if handle is not None:
            os.close(handle)  # which frees it


@contextmanager
def of_server(engine: sa.Engine, number: int) -> Iterator[bool]:
    """Whether this holder has the PostgreSQL server's lock of that number; until the end, or until
    its connection is lost."""
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        mine = bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(number))))
        try:
            yield mine
        finally:
            try:
                if mine:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))
            except exc.DBAPIError:
                connection.invalidate()  # the server frees what a connection held
