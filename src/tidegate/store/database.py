"""The database: SQLite in a file, or PostgreSQL. Writers take turns, readers see one moment."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from tidegate.domain.errors import (
    Busy,
    IntegrityError,
    StorageError,
    TidegateError,
    WorkspaceError,
    WrongUsage,
)
from tidegate.store.tables import REVISION
from tidegate.store.turn import of_file, of_server

#: How long a writer waits for the one before it.
PATIENCE_SECONDS = 30

#: Pages that one SQLite connection keeps, in KiB: SQLite's own default. Distributions raise it
#: (Debian eightfold), and there is a connection for each thread that reads or writes at a time.
CACHE_KIB = 2000

#: Names the one advisory lock under which PostgreSQL's writers take turns.
_WRITERS = 0x71DE6A7E
#: The one that whoever works on its own accord holds.
_WORKER = _WRITERS + 1


class Database:
    """An open database whose tables are those of this release."""

    def __init__(self, engine: sa.Engine, unwritable: TidegateError | None = None):
        self._engine, self._unwritable = engine, unwritable
        self._glancing: Any = None

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> "Database":
        """The database at an SQLAlchemy ``url``, brought up to this release's tables.

        ``create`` makes them where there are none; otherwise WorkspaceError says that they are
        missing, and so it does where a newer release made them. A file that can only be read (on
        a full disk, or a copy put away) is opened for that: ``write`` then raises StorageError.
        """
        file = sa.make_url(url).database if url.startswith("sqlite") else None
        if file is not None and not create and not Path(file).exists():
            raise _missing(url)
        try:
            with _told(url):
                engine = _sqlite(url) if file is not None else _postgres(url)
                return cls(engine)._brought_up(url, create=create)
        except StorageError as problem:
            for reader in _readers(url, Path(file)) if file is not None and not create else ():
                with suppress(StorageError):
                    return cls(reader, problem)._brought_up(url, create=False)
            raise

    def close(self) -> None:
        """Close every connection."""
        self._glance_away()
        self._engine.dispose()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that no other writer overlaps; an error inside undoes all of it.

        Raises Busy where another writer holds on for more than ``PATIENCE_SECONDS``.
        """
        if self._unwritable is not None:
            raise self._unwritable
        with _told(str(self._engine.url)), self._engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    wait = f"SET LOCAL lock_timeout = '{PATIENCE_SECONDS}s'"
                    connection.exec_driver_sql(wait)
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that sees the database at one moment."""
        with _told(str(self._engine.url)), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether of all workers on this database this one has the turn, until the end.

        One that ends in any way has it no more. SQLite's lies in a file beside the database's.
        """
        with ExitStack() as held:
            with _told(str(self._engine.url)):
                file = self._engine.url.database if self._engine.name == "sqlite" else None
                lock = of_file(Path(f"{file}-worker")) if file else of_server(self._engine, _WORKER)
                mine = held.enter_context(lock)
            yield mine

    def glance(self, query: str) -> Any:
        """The one value that ``query`` gives now; None where it gives no row.

        For one thread that asks again and again: by the driver alone, on a connection kept for it,
        and outside of a transaction, it costs a tenth of ``read``.
        """
        with _told(str(self._engine.url)):
            try:
                if self._glancing is None:
                    connection = self._engine.raw_connection()
                    if self._engine.dialect.name == "postgresql":
                        connection.driver_connection.autocommit = True  # type: ignore[union-attr]
                    self._glancing = connection
                cursor = self._glancing.cursor()
                cursor.execute(query)
                row = cursor.fetchone()
                cursor.close()
            except BaseException as error:
                self._glance_away()
                if isinstance(error, self._engine.dialect.loaded_dbapi.Error):
                    raise _explained(str(self._engine.url), error) from error
                raise
        return None if row is None else row[0]

    def _glance_away(self) -> None:
        """Close the connection that ``glance`` keeps."""
        kept, self._glancing = self._glancing, None
        if kept is not None:
            kept.invalidate()

    def _brought_up(self, url: str, *, create: bool) -> "Database":
        try:
            self._bring_up(url, create=create)
        except BaseException:
            self.close()
            raise
        return self

    def _bring_up(self, url: str, *, create: bool) -> None:
        with self.read() as connection:
            if self._revision(connection) == REVISION:
                return
        with self.write() as connection:  # look again: another process may have been faster
            found = self._revision(connection)
            if found is None and not create:
                raise _missing(url)
            if found != REVISION:
                _migrate(connection, found)

    def _revision(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(
            sa.text("SELECT version_num FROM alembic_version")
        ).scalar()
        return found


def _migrate(connection: sa.Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if found is not None and found not in known:
        raise WorkspaceError(
            "the database was made by a newer Tidegate (revision {found}, not {known})",
            do="upgrade Tidegate; nothing was changed",
            found=found,
            known=REVISION,
        )
    command.upgrade(config, "head")


def _sqlite(url: str) -> sa.Engine:
    # A connection is used by one thread at a time, though not always by the one that made it.
    arguments = {"timeout": PATIENCE_SECONDS, "check_same_thread": False}
    # The connection used last is taken first: only what it keeps of the pages is still true.
    engine = sa.create_engine(url, connect_args=arguments, pool_use_lifo=True)

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not the driver
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"cache_size = {-CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _readers(url: str, file: Path) -> Iterator[sa.Engine]:
    """Ways to read a database that cannot be written, the better first.

    Beside a database in WAL mode SQLite keeps an index of the log, which it may not be able to
    make. Without it the log cannot be read, so the last resort, which takes the file as it is, is
    only right where nothing waits in the log.
    """
    place = file.resolve().as_uri()
    yield _reader(url, f"{place}?mode=ro")
    log = file.with_name(f"{file.name}-wal")
    if not log.exists() or not log.stat().st_size:
        yield _reader(url, f"{place}?immutable=1")


def _reader(url: str, uri: str) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            uri, uri=True, timeout=PATIENCE_SECONDS, check_same_thread=False, isolation_level=None
        )

    engine = sa.create_engine(url, creator=connect)

    @event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _postgres(url: str) -> sa.Engine:
    return sa.create_engine(url, pool_pre_ping=True)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What the driver raises, in the user's words."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise WrongUsage(
            "a text holds what is no character: {text}",
            do="write it as UTF-8",
            text=ascii(error.object[error.start : error.end]),
        ) from error
    except (exc.DBAPIError, exc.ArgumentError, ImportError, sqlite3.Error) as error:
        raise _explained(url, error) from error


def _explained(url: str, error: Exception) -> TidegateError:
    inner = getattr(error, "orig", None) or error
    problem = str(inner).strip().splitlines()[0] if str(inner).strip() else type(inner).__name__
    place = sa.make_url(url).render_as_string(hide_password=True) if "://" in url else url
    if "cannot contain NUL" in problem:
        return WrongUsage(
            "a text holds what is no character: {text}", do="write it as UTF-8", text=ascii("\0")
        )
    if "database is locked" in problem or "lock timeout" in problem:
        return Busy(
            "another command has been writing for {seconds} seconds",
            do="nothing was changed; run the command again when the other one is done",
            seconds=PATIENCE_SECONDS,
        )
    if "disk is full" in problem or "No space left" in problem or "disk I/O" in problem:
        return StorageError(
            "the disk of {database} is full or fails: {problem}",
            do="nothing was changed; free some space and run the command again",
            database=place,
            problem=problem,
        )
    if any(sign in problem for sign in ("malformed", "not a database", "Could not decode")):
        return IntegrityError(
            "the database {database} is damaged: {problem}",
            do="restore it from a backup",
            database=place,
            problem=problem,
        )
    return StorageError(
        "the database {database} failed: {problem}",
        do="check that it is there, reachable, and that you may read and write it",
        database=place,
        problem=problem,
    )


def _missing(url: str) -> WorkspaceError:
    return WorkspaceError(
        "the workspace's database is missing: there is nothing of ours in {database}",
        do="restore it from a backup, or make a new workspace with: tidegate init",
        database=sa.make_url(url).render_as_string(hide_password=True),
    )
