"""A text file in blocks of whole records, its bytes and quotes checked."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tidegate.data.sources.rows import unreadable
from tidegate.domain.errors import DataError

#: Bytes of a block: large enough that columns are worth parsing together.
BLOCK_BYTES = 1 << 22
#: Bytes of a record at most. The longest that are in use, whole documents in one field, take some
#: hundred kilobytes; a file without line ends must not be read whole.
RECORD_BYTES = 1 << 24
# The csv module's own limit, 128 KiB, is for the whole process.
csv.field_size_limit(RECORD_BYTES)

BOM = b"\xef\xbb\xbf"
_TOO_LARGE = "larger than field limit"  # the csv module's words
_LF, _CR, _QUOTE = b'\n\r"'
_QUOTED = re.compile(rb'"(?:[^"]|"")*"?')


class Text(NamedTuple):
    """A text file: where its records begin, and how they are separated.

    ``separator`` stands between fields; None where quotes have no meaning. ``columns`` is for
    messages.
    """

    path: Path
    start: int = 0
    line: int = 1
    separator: str | None = None
    columns: tuple[str, ...] = ()


class Block(NamedTuple):
    """Whole records in UTF-8; the line and the byte of the file that the first begins at."""

    data: bytes
    line: int
    byte: int


class BadQuote(Exception):
    """A fault in the quotes of the record that begins on ``line`` of what was looked at."""

    def __init__(self, line: int, fault: str):
        super().__init__(fault)
        self.line, self.fault = line, fault


def blocks(text: Text) -> Iterator[Block]:
    """The records of a file; raises DataError, naming line and byte, where they are none."""
    try:
        with text.path.open("rb") as file:
            yield from _blocks(file, text)
    except OSError as error:
        raise unreadable(str(text.path), error) from None


def _blocks(file: BinaryIO, text: Text) -> Iterator[Block]:
    rest, line, byte = b"", text.line, text.start
    file.seek(text.start)
    while True:
        read = file.read(BLOCK_BYTES)
        check_nul(text, read, byte + len(rest), line + rest.count(b"\n"))
        data = rest + read
        try:
            end = _end(data, text.separator, last=not read)
        except BadQuote as error:
            raise quote_error(text.path, line + error.line - 1, error.fault) from None
        if end:
            block = Block(data[:end], line, byte)
            check_utf8(text, block)
            yield block
            line, byte = line + data.count(b"\n", 0, end), byte + end
        rest = data[end:]
        if not read:
            return
        if len(rest) > RECORD_BYTES:
            raise _unended(text, rest, line)


def records(data: bytes, separator: str) -> Iterator[tuple[int, int, list[str]]]:
    """Each record that is not blank: the line it begins on, the byte it ends at, its fields.

    The last one counts as it is, whether its line ends or not. Raises BadQuote.
    """
    ended = 0

    def lines() -> Iterator[str]:
        nonlocal ended
        for line in data.splitlines(keepends=True):
            ended += len(line)
            yield line.decode(errors="replace")

    rows, began = csv.reader(lines(), delimiter=separator, strict=True), 1
    try:
        for row in rows:
            if row:
                yield began, ended, row
            began = rows.line_num + 1
    except csv.Error as error:
        fault = str(error)
        if _TOO_LARGE in fault and rows.line_num > began:
            fault = "never closed"  # lines end, and the field does not
        raise BadQuote(began, fault) from None


def _end(data: bytes, separator: str | None, *, last: bool) -> int:
    """Where the last whole record ends; raises BadQuote."""
    if separator is None or b'"' not in data:
        if last:
            return len(data)
        found = data.rfind(b"\n")
        return (found if found >= 0 else data.rfind(b"\r")) + 1
    held = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(held == _QUOTE)
    if not _regular(held, quotes, ord(separator)) or (last and len(quotes) % 2):
        return _end_by_record(data, separator, last=last)
    if last:
        return len(data)
    for mark in (_LF, _CR):
        ends = np.flatnonzero(held == mark)
        outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
        if len(outside):
            return int(outside[-1]) + 1
    return 0


def _regular(held: np.ndarray, quotes: np.ndarray, separator: int) -> bool:
    """Whether each quote opens a field at its start, closes it at its end, or is doubled."""
    around = np.zeros(256, dtype=bool)
    around[[_LF, _CR, _QUOTE, separator]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = held[opening[opening > 0] - 1]
    after = held[closing[closing < len(held) - 1] + 1]
    return bool(around[before].all() and around[after].all())


def _end_by_record(data: bytes, separator: str, *, last: bool) -> int:
    # Quotes within a field that does not begin with one are part of it: then only reading field
    # by field tells where a record ends.
    end = 0
    try:
        for _, ended, _ in records(data, separator):
            if last or data[ended - 1] in (_LF, _CR):
                end = ended
    except BadQuote as error:
        if last or "unexpected end" not in error.fault:
            raise
    return len(data) if last else end


def check_nul(text: Text, data: bytes, byte: int, line: int) -> None:
    """Raises DataError where there is a NUL byte, which no text holds."""
    at = data.find(b"\0")
    if at >= 0:
        raise DataError(
            "{file}, line {line}: a NUL byte at byte {byte}",
            do="the file is damaged or not text; write it again from its source",
            file=str(text.path),
            line=line + data.count(b"\n", 0, at),
            byte=byte + at,
        )


def check_utf8(text: Text, block: Block) -> None:
    """Raises DataError where the bytes are no UTF-8."""
    if block.data.isascii():
        return
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        at = error.start
        values = {
            "file": str(text.path),
            "line": block.line + block.data.count(b"\n", 0, at),
            "byte": block.byte + at,
            "value": f"0x{block.data[at]:02x}",
        }
        column = _column_at(text, block.data, at)
        do = "convert the file to UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 IN > OUT"
        if column is None:
            raise DataError(
                "{file}, line {line}: byte {byte} ({value}) is not UTF-8", do=do, **values
            ) from None
        raise DataError(
            "{file}, line {line}, column '{column}': byte {byte} ({value}) is not UTF-8",
            do=do,
            column=column,
            **values,
        ) from None


def _column_at(text: Text, data: bytes, at: int) -> str | None:
    """The column that a byte lies in, as far as its line tells."""
    if text.separator is None:
        return None
    before = _QUOTED.sub(b"", data[data.rfind(b"\n", 0, at) + 1 : at])
    place = before.count(text.separator.encode())
    return text.columns[place] if place < len(text.columns) else None


def quote_error(path: Path, line: int, fault: str) -> DataError:
    """What is wrong with the quotes, or the length of a field, in the user's words."""
    # The csv module knows three faults: text after a closing quote, a field past its size limit,
    # and one that runs to the end of the file, which means that a quote never closed.
    if _TOO_LARGE in fault:
        return too_long(path, line)
    if "expected after" in fault:
        return DataError(
            "{file}, line {line}: text follows a closing double quote",
            do='double the quotes that belong to the text: "he said ""yes"""',
            file=str(path),
            line=line,
        )
    return DataError(
        "{file}, line {line}: a double quote opens here and is never closed",
        do="close the quote, or double it if it belongs to the text",
        file=str(path),
        line=line,
    )


def _unended(text: Text, rest: bytes, line: int) -> DataError:
    if text.separator is not None and b"\n" in rest:
        # Lines end, and no record does: a quote holds them together.
        return quote_error(text.path, line + _odd_quote(rest), "never closed")
    return too_long(text.path, line)


def too_long(path: Path, line: int) -> DataError:
    """What is wrong with a line that goes on and on."""
    return DataError(
        "{file}, line {line}: the line is longer than {limit} MiB",
        do="end each row with a line break; a text of that size belongs in a file of its own",
        file=str(path),
        line=line,
        limit=RECORD_BYTES >> 20,
    )


def _odd_quote(rest: bytes) -> int:
    """Lines down to the quote that is open at the end of its line."""
    for number, line in enumerate(rest[:BLOCK_BYTES].split(b"\n")):
        if line.count(b'"') % 2:
            return number
    return 0
