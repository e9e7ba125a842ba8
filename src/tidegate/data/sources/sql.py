"""The rows of a query, read once, in a transaction that cannot write."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from urllib.parse import quote, quote_plus
from uuid import UUID

import polars as pl
import sqlalchemy as sa

from tidegate.data.sources.names import check_names
from tidegate.data.sources.rows import Rows, Source, batch_rows, unheard
from tidegate.data.table import canonical_column
from tidegate.domain.errors import DataError, NotFound, WrongUsage

#: What each database calls a transaction that only reads, and sees one moment of the data.
_READ_ONLY: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
_FIRST = {
    "mysql": "SET TRANSACTION READ ONLY",
    "mariadb": "SET TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
#: Values fetched at a time: as Python's objects they take ten times the room of a column's.
_CELLS = 1 << 20
#: Letters of a query that messages and records show.
_NAME_LETTERS = 400


class SqlSource(Source):
    """The rows of a query, in the order that the database gives them.

    They are read here, with a cursor on the server, to a file without a name that goes with this
    object: further passes give the same rows, whatever the database does meanwhile. Numbers,
    texts, truth values, dates and times; a column of both numbers and texts is refused. Messages
    never hold the password.
    """

    def __init__(self, url: str, query: str, progress: Rows = unheard):
        self._url = _parsed(url)
        self.name = f"{_shown(self._url)}: {' '.join(query.split())[:_NAME_LETTERS]}"
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        self._starts: list[int] = []
        self._types: dict[str, pl.DataType | None] = {}
        try:
            self.rows = self._read(query, progress)
        except sa.exc.SQLAlchemyError as error:
            self._refuse(error)
        self.size_bytes = self._file.tell()
        self.schema = {name: dtype or pl.Float64() for name, dtype in self._types.items()}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = {name: self.schema[name] for name in columns or self.columns}
        for start in self._starts:
            self._file.seek(start)
            frame = pl.read_ipc_stream(self._file, columns=list(wanted))
            yield frame.select(list(wanted)).cast(wanted)  # type: ignore[arg-type]

    def holds(self, column: str) -> bool:
        """Whether a column holds any value; the reading told."""
        return self._types[column] is not None

    def _read(self, query: str, progress: Rows) -> int:
        row = 0
        with _connected(self._url) as connection:
            # As it stands: a colon or a per cent sign within it names no parameter.
            result = connection.exec_driver_sql(query)
            if not result.returns_rows:
                raise WrongUsage("the query gives no rows", do="give a SELECT; nothing was changed")
            names = [str(name).strip() for name in list(result.keys())]
            check_names(names, self.name)
            self._types = dict.fromkeys(names)
            step = batch_rows(dict.fromkeys(names, pl.Float64()))
            step = max(1, min(step, _CELLS // len(names)))
            for rows in result.yield_per(step).partitions():
                self._keep(names, [tuple(one) for one in rows], row)
                row += len(rows)
                progress(row, 0)
        if not row:
            raise DataError(
                "{file} gives no rows", do="see whether the query asks for the right ones",
                file=self.name,
            )  # fmt: skip
        progress(row, row)
        return row

    def _keep(self, names: list[str], rows: list[tuple[Any, ...]], first: int) -> None:
        columns = zip(*rows, strict=True)
        frame = pl.DataFrame(
            [self._column(name, list(values), first) for name, values in
             zip(names, columns, strict=True)]
        )  # fmt: skip
        self._starts.append(self._file.tell())
        frame.write_ipc_stream(self._file, compression="lz4")

    def _column(self, name: str, values: list[Any], first: int) -> pl.Series:
        kinds = {type(value) for value in values} - {type(None)}
        if not kinds:
            return pl.Series(name, [None] * len(values), dtype=pl.Float64)
        try:
            found = canonical_column(_series(name, values))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError, DataError):
            self._mixed(name, values, first)
        known = self._types[name]
        if known is not None and (known == pl.String) != (found.dtype == pl.String):
            self._mixed(name, values, first)
        self._types[name] = pl.Float64() if known == pl.Float64 else found.dtype
        return found

    def _mixed(self, name: str, values: list[Any], first: int) -> NoReturn:
        known = self._types[name]
        was = None if known is None else ("text" if known == pl.String else "number")
        odd = 0
        for row, value in enumerate(values):
            kind = _kind(value)
            if value is not None and (kind is None or kind != (was or kind)):
                odd = row
                break
            was = was or kind
        raise DataError(
            "{file}, row {row}: column '{column}' holds {value}, which is no value of its kind",
            do="cast the column in the query, or leave it out",
            file=self.name,
            row=first + odd + 1,
            column=name,
            value=repr(values[odd])[:40],
        )

    def _refuse(self, error: Exception) -> NoReturn:
        told = str(getattr(error, "orig", None) or error).strip().splitlines() or [""]
        raise DataError(
            "{url}: the query failed ({reason})",
            do="check address, rights and query; only reading is allowed",
            url=_shown(self._url),
            reason=_without_secret(told[0], self._url),
        ) from None


def sql_source(url: str, query: str, progress: Rows = unheard) -> Source:
    """The rows of a query; ``url`` as SQLAlchemy has it, such as ``postgresql+psycopg://...``.

    ``progress`` hears rows read. Raises DataError naming row and column, or what the database
    says, and WrongUsage for an address that is none.
    """
    return SqlSource(url, query, progress)


def _series(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values} - {type(None)}
    known = {_kind(value) for value in values if value is not None}
    if None in known or len(known) > 1:
        raise TypeError
    if known == {"number"}:
        whole = kinds <= {int} and all(
            value is None or -(2**63) <= value < 2**63 for value in values
        )
        if whole:
            return pl.Series(name, values, dtype=pl.Int64)
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    if len(kinds) > 1 or kinds <= {UUID}:
        values = [None if value is None else str(value) for value in values]
    return pl.Series(name, values)


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "text"
    if isinstance(value, (int, float, Decimal)):
        return "number"
    return "text" if isinstance(value, (str, date, time, UUID)) else None


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise WrongUsage(
            "the address of the database cannot be read",
            do="write it like postgresql+psycopg://user@host/name or sqlite:///file.db",
        ) from None


@contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    """A connection whose transaction reads only, and is rolled back."""
    backend = url.get_backend_name()
    try:
        engine = sa.create_engine(_existing(url), poolclass=sa.pool.NullPool)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise WrongUsage(
            "no driver for {url} is installed ({reason})",
            do="install it, or name another in the address",
            url=_shown(url),
            reason=_without_secret(str(error), url),
        ) from None
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(
                stream_results=True, no_parameters=True, **_READ_ONLY.get(backend, {})
            )
            if backend in _FIRST:
                connection.exec_driver_sql(_FIRST[backend])
            if backend == "sqlite":
                _refuse_attaching(connection)
            yield connection
            connection.rollback()
    finally:
        engine.dispose()


def _refuse_attaching(connection: sa.Connection) -> None:
    """Keeps a query from naming further files, which SQLite would make where there are none."""
    held = connection.connection.dbapi_connection
    assert isinstance(held, sqlite3.Connection)  # noqa: S101 - the driver of that backend
    held.set_authorizer(
        lambda action, *_: (
            sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
        )
    )


def _existing(url: sa.URL) -> sa.URL:
    """A file of SQLite, opened for reading only: the driver would make one that is not there."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return url
    if url.database.startswith("file:"):
        return url
    path = Path(url.database)
    if not path.is_file():
        raise NotFound("there is no file {file}", do="check the name", file=str(path))
    return url.set(database=f"file:{quote(str(path.resolve()))}").update_query_dict(
        {"mode": "ro", "uri": "true"}
    )


def _shown(url: sa.URL) -> str:
    """An address without its password; its options, which may hold one, are left out too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _without_secret(text: str, url: sa.URL) -> str:
    secrets = [str(url.password or ""), *(str(value) for value in url.query.values())]
    for secret in sorted(secrets, key=len, reverse=True):
        for written in {secret, quote(secret, safe=""), quote_plus(secret)} - {""}:
            text = text.replace(written, "***")
    return text
