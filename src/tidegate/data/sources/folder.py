"""The files of a folder, and what the names of its folders say of their rows."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import polars as pl

from tidegate.data.sources.rows import Source
from tidegate.data.sources.written import Column, numbers_of
from tidegate.domain.errors import DataError

#: What Hive calls the folder of rows whose key is missing.
_MISSING = "__HIVE_DEFAULT_PARTITION__"


class Part(NamedTuple):
    """A file of a folder, and the keys in its path (``year=2011/``), missing ones as None."""

    path: Path
    keys: dict[str, str | None]


class KeyedSource(Source):
    """A source with further columns behind its own, each of one value."""

    def __init__(self, inner: Source, keys: dict[str, pl.Series]):
        self._inner, self._keys = inner, keys
        self.name, self.rows, self.size_bytes = inner.name, inner.rows, inner.size_bytes
        both = [name for name in keys if name in inner.schema]
        if both:
            raise DataError(
                "{file}: column '{column}' is in the file and in the name of its folder",
                do="rename one of them",
                file=self.name,
                column=both[0],
            )
        self.schema = {**inner.schema, **{name: one.dtype for name, one in keys.items()}}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = list(columns or self.columns)
        # Of a file from which nothing is wanted, a column tells at least how many rows there are.
        own = [name for name in wanted if name in self._inner.schema] or self._inner.columns[:1]
        for batch in self._inner.batches(own):
            yield batch.with_columns(
                one.new_from_index(0, batch.height) for one in self._keys.values()
            ).select(wanted)

    def holds(self, column: str) -> bool:
        """Whether a column holds any value."""
        if column in self._keys:
            return self._keys[column].null_count() == 0
        return self._inner.holds(column)


def parts_of(folder: Path) -> list[Part]:
    """The files below a folder, by name; those that begin with a dot or ``_``, and those that
    end in ``.md`` or ``.rst``, are no data.

    Raises DataError where a link leads out of the folder, something is no file, or a key no name.
    """
    inside = folder.resolve()
    found = []
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_data(name))
        for name in [*folders, *files]:
            if _is_data(name):
                _check_inside(Path(at) / name, inside, name in folders)
        found += [Path(at) / name for name in files if _is_data(name)]
    if not found:
        raise DataError(
            "{folder} holds no file of rows",
            do="name a folder of CSV, JSON lines or Parquet files",
            folder=str(folder),
        )
    return [Part(path, _keys(folder, path)) for path in sorted(found, key=lambda p: p.parts)]


def key_columns(folder: Path, parts: Sequence[Part]) -> list[dict[str, pl.Series]]:
    """The keys of each part as columns of one value, typed by all of their values."""
    names = list(parts[0].keys)
    for part in parts:
        if list(part.keys) != names:
            raise DataError(
                "{other} has not the keys of {file} in its path ({keys} instead of {expected})",
                do="lay out all files of the folder alike",
                file=str(parts[0].path),
                other=str(part.path),
                keys=list(part.keys) or ["-"],
                expected=names or ["-"],
            )
    columns: list[dict[str, pl.Series]] = [{} for _ in parts]
    for name in names:
        values = pl.Series(name, [part.keys[name] for part in parts], dtype=pl.String)
        column = Column(name, str(folder), commas=False)
        column.add(values, 0)
        dtype = pl.String() if column.texts.count else column.dtype()
        typed = values if dtype == pl.String else numbers_of(values, dtype, by_comma=False)
        for place, one in enumerate(columns):
            one[name] = typed[place : place + 1]
    return columns


def _is_data(name: str) -> bool:
    # What explains a folder of rows is none of them.
    return not (name.startswith((".", "_")) or name.lower().endswith((".md", ".rst")))


def _check_inside(path: Path, inside: Path, is_folder: bool) -> None:
    if not path.is_symlink():
        if not is_folder and not path.is_file():  # opening a pipe would wait for ever
            raise DataError(
                "{path} is a pipe, a device or the like, and no file",
                do="take it out of the folder, or let its name begin with a dot",
                path=str(path),
            )
        return
    target = Path(os.path.realpath(path))  # Path.resolve() fails at a link to itself
    if is_folder or not target.is_relative_to(inside):
        raise DataError(
            "{path} is a link that leads out of its folder, or to another folder",
            do="put the files themselves there, or name the other folder too",
            path=str(path),
        )


def _keys(folder: Path, path: Path) -> dict[str, str | None]:
    keys: dict[str, str | None] = {}
    for part in path.relative_to(folder).parts[:-1]:
        name, equals, value = part.partition("=")
        if not equals:
            continue
        name, value = unquote(name).strip(), unquote(value)
        if not name or name in keys or any(_is_path(one) for one in (name, value)):
            raise DataError(
                "{path}: the folder '{part}' is no key and value",
                do="name such folders like year=2011, each key once, without slashes or dots alone",
                path=str(path),
                part=part,
            )
        keys[name] = None if value == _MISSING else value
    return keys


def _is_path(text: str) -> bool:
    """Whether a text would lead elsewhere if it were taken for a path."""
    return text in (".", "..") or "/" in text or "\\" in text or "\0" in text
