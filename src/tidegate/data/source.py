"""Rows from wherever they are: files, folders of files, tables in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.data.sources.blocks import BOM
from tidegate.data.sources.csv_file import CsvSource
from tidegate.data.sources.folder import KeyedSource, key_columns, parts_of
from tidegate.data.sources.frames import FrameSource, is_frame
from tidegate.data.sources.json_lines import JsonLinesSource
from tidegate.data.sources.parquet import MAGIC, ParquetSource
from tidegate.data.sources.rows import Rows, Source, unheard, unreadable
from tidegate.data.sources.sql import sql_source
from tidegate.data.sources.stacked import stacked_source
from tidegate.domain.errors import DataError, NotFound, WrongUsage

__all__ = ["Source", "open_source", "sql_source"]

_PARQUET_NAMES = (".parquet", ".pq", ".parq")
_JSON_NAMES = (".jsonl", ".ndjson", ".json")


def open_source(given: Any, progress: Rows = unheard) -> Source:
    """The rows of a file, of a folder, of several of either, or of a table in memory.

    Files are CSV (comma, tab, semicolon or pipe), JSON lines or Parquet, which their first bytes
    say; several are stacked in the order given and need the same columns, in any order: the first
    one's order stands. The files of a folder count by name, and folders within it that are named
    like ``year=2011`` give columns. ``progress`` hears of text that is read to learn its types.
    Raises NotFound for a file that is not there, WrongUsage for what is no source, and DataError,
    naming file, row and column, for rows that are no table.
    """
    if isinstance(given, Source):
        return given
    if is_frame(given):
        return FrameSource(given)
    if isinstance(given, (str, Path)):
        return _open_path(Path(given), progress)
    if not isinstance(given, Sequence):
        return FrameSource(given)  # which says what it is
    if not given:
        raise WrongUsage("no file was named", do="name one or more CSV or Parquet files")
    return stacked_source([open_source(one, progress) for one in given])


def _open_path(path: Path, progress: Rows) -> Source:
    if not path.exists():
        raise NotFound("there is no file {file}", do="check the name", file=str(path))
    if path.is_dir():
        return _open_folder(path, progress)
    if not path.is_file():
        raise DataError(
            "{file} is neither a file nor a folder",
            do="name the files of rows themselves",
            file=str(path),
        )
    return open_file(path, progress)


def _open_folder(folder: Path, progress: Rows) -> Source:
    parts = parts_of(folder)
    keys = key_columns(folder, parts)
    sources = [open_file(part.path, progress) for part in parts]
    return stacked_source(
        [KeyedSource(one, own) if own else one for one, own in zip(sources, keys, strict=True)],
        str(folder),
    )


def open_file(path: Path, progress: Rows = unheard) -> Source:
    """The rows of one file; see ``open_source``."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 10)
        if head.startswith(MAGIC):
            return ParquetSource(path)
        if path.suffix.lower() in _PARQUET_NAMES:
            raise DataError(
                "{file} is named like Parquet and is not",
                do="write the file again from its source, or rename it if it is CSV",
                file=str(path),
            )
        if path.suffix.lower() in _JSON_NAMES or head.removeprefix(BOM).lstrip().startswith(b"{"):
            return JsonLinesSource(path, progress)
        return CsvSource(path, progress)
    except OSError as error:
        raise unreadable(str(path), error) from None
