"""What the pages of a Parquet file unpack to, as their headers tell, before any is unpacked."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.domain.errors import DataError

#: Bytes that one page may unpack to. Writers make pages of about a mebibyte; one that makes a page
#: of a whole row group has 240 MiB at thirty million numbers.
PAGE_BYTES = 1 << 28
#: A table of more than 4 GiB that lies in less than a ten-thousandth of that holds nothing: one
#: number over and over, the emptiest that is in use, takes about a thousandth.
LARGE_BYTES, LARGEST_RATIO = 1 << 32, 10_000

#: Bytes read for a page header, and at most: one with long statistics is read again.
_HEADER_BYTES, _HEADER_MOST = 1 << 8, 1 << 24
#: Numbers of the format (parquet.thrift): a page that holds a dictionary, and the encoding by what
#: a text shares with the one before.
_DICTIONARY, _DELTA_BYTE_ARRAY = 2, 7
#: Where the headers of the two kinds of data page keep their encoding.
_ENCODING = {5: 2, 8: 4}


class Shared(NamedTuple):
    """How large a text may be that rows of a column share: by a dictionary, by a common start."""

    dictionary: int = 0
    start: int = 0


def check_rows(path: Path, rows: int, columns: int) -> None:
    """Raises DataError where so many values cannot lie in a file of that size."""
    cells, size = rows * columns * 8, path.stat().st_size
    if cells > LARGE_BYTES and cells > size * LARGEST_RATIO:
        raise DataError(
            "{file} declares {rows:,} rows of {columns:,} columns in {size:,} bytes",
            do="no such table lies in so little; get the file again from who made it",
            file=str(path),
            rows=rows,
            columns=columns,
            size=size,
        )


def check_pages(path: Path, footer: Any) -> list[Shared]:
    """What the rows of each column share; raises DataError where a page unpacks to too much.

    ``footer`` is what ``pyarrow`` reads from the end of the file.
    """
    size, shared = path.stat().st_size, [Shared()] * footer.num_columns
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for group in range(footer.num_row_groups):
            chunks = footer.row_group(group)
            for number in range(footer.num_columns):
                found = _checked(handle, path, chunks.column(number), size)
                shared[number] = Shared(*map(max, shared[number], found))
    finally:
        os.close(handle)
    return shared


def _checked(handle: int, path: Path, chunk: Any, size: int) -> Shared:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    stop = min(size, start + chunk.total_compressed_size)
    dictionary = before = 0
    for kind, unpacked, packed, encoding in _pages(handle, start, stop):
        if unpacked > PAGE_BYTES:
            raise DataError(
                "{file}: column '{column}' has a page of {packed:,} bytes that unpacks to "
                "{unpacked:,}",
                do="write the file again in smaller row groups, or get it again from who made it",
                file=str(path),
                column=chunk.path_in_schema,
                packed=packed,
                unpacked=unpacked,
            )
        if kind == _DICTIONARY:
            dictionary = max(dictionary, unpacked)
        elif encoding == _DELTA_BYTE_ARRAY:
            before = max(before, unpacked)
    return Shared(dictionary, before)


def _pages(handle: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Kind, bytes unpacked and packed, and encoding of each page; ends where a header is none."""
    while start < stop:
        length = _HEADER_BYTES
        while True:
            header = os.pread(handle, min(length, stop - start), start)
            try:
                fields, end = _struct(header, 0)
                break
            except IndexError:
                if len(header) < length or length >= _HEADER_MOST:
                    return  # the reader meets the same, and says what is wrong
                length *= 16
        encoding = next((fields[n].get(at, 0) for n, at in _ENCODING.items() if n in fields), 0)
        packed = fields.get(3, 0)
        if packed < 0:
            return
        yield fields.get(1, 0), fields.get(2, 0), packed, encoding
        start += end + packed


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a structure in Thrift's compact protocol, by number, and where it ends.

    Texts are passed over. Raises IndexError where the bytes end before the structure does.
    """
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _number(data, at)
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false
        return kind, at
    if kind in (4, 5, 6):
        return _number(data, at)
    if kind == 8:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError
        return None, at + length
    if kind == 12:
        return _struct(data, at)
    # A byte (3) or a double (7); no page header holds one, nor a list, a set or a map.
    return None, at + (8 if kind == 7 else 1)


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) & 128:
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
    return value | byte << shift, at + 1
