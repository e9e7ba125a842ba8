"""CSV and its kin: the separator from the header, each column's type from all of its values."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv

from tidegate.data.sources.blocks import (
    BLOCK_BYTES,
    BOM,
    RECORD_BYTES,
    BadQuote,
    Block,
    Text,
    blocks,
    check_nul,
    check_utf8,
    quote_error,
    records,
    too_long,
)
from tidegate.data.sources.names import check_names
from tidegate.data.sources.rows import Rows, Source, batch_rows, changed, gathered, unheard
from tidegate.data.sources.written import Column, numbers_of, plain_texts, texts_of
from tidegate.data.table import MISSING
from tidegate.domain.errors import DataError

#: What a file starts with that is no CSV, and what it is.
_OTHER = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"SQLite format 3": "a database",
}
_SEPARATORS = ",\t;|"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


class CsvSource(Source):
    """The rows of a CSV: first line names the columns, UTF-8 (a BOM is skipped).

    Read twice: the first time, here, to learn types; a column is Int64 or Float64 if every field
    that is not missing is a number, else String. ``MISSING`` says which fields are missing. Blank
    lines are skipped. Between semicolons or tabs numbers may have decimal commas. Raises
    DataError naming line or row, and column.
    """

    def __init__(self, path: Path, progress: Rows = unheard):
        self.path, self.name, self.size_bytes = path, str(path), path.stat().st_size
        self._text = _opened(path)
        separator = self._text.separator
        self._columns = [
            Column(name, self.name, commas=separator in (";", "\t")) for name in self._text.columns
        ]
        self.rows = self._scan(progress)
        self.schema = {column.name: column.dtype() for column in self._columns}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = {name: self.schema[name] for name in columns or self.columns}
        by_comma = {column.name for column in self._columns if column.by_comma}
        frames = (self._typed(block, wanted, by_comma) for block in blocks(self._text))
        done = 0
        for frame in gathered(frames, batch_rows(wanted)):
            yield frame
            done += frame.height
        if done != self.rows:
            raise changed(self.name)

    def holds(self, column: str) -> bool:
        """Whether a column holds any value; the first reading told."""
        found = next(one for one in self._columns if one.name == column)
        return bool(found.numbers.count or found.texts.count or found.comma.count)

    def _scan(self, progress: Rows) -> int:
        row = 0
        for block in blocks(self._text):
            height = self._learn(block, row)
            row += height
            done = block.byte + len(block.data)
            progress(row, max(row + 1, row * (self.size_bytes or 0) // max(1, done)))
        if not row:
            raise DataError(
                "{file} names its columns and holds no rows",
                do="add rows below the header, or leave the file out",
                file=self.name,
            )
        progress(row, row)
        return row

    def _learn(self, block: Block, row: int) -> int:
        """Take in a block whose first row is ``row``; gives its rows."""
        # Of a settled column nothing more need be known; one tells how many rows there are.
        left = [one for one in self._columns if not one.settled] or self._columns[:1]
        frame = self._guessed(block, {one.name: one.guess for one in left}, first=not row)
        types = frame.schema
        unclear = [one for one in left if types[one.name] == pl.String and one.only_text]
        plain = plain_texts(frame.select(one.name for one in unclear)) if unclear else set()
        for column, fields in zip(left, frame.select(one.name for one in left), strict=True):
            if fields.dtype != pl.String:
                column.add_numbers(fields, row)
            elif column.name in plain:
                column.add_plain(fields, row)
            else:
                column.add(fields, row)
        return frame.height

    def _guessed(
        self, block: Block, guess: dict[str, pl.DataType | None], *, first: bool
    ) -> pl.DataFrame:
        """The fields as numbers where they are what was guessed, else all as they stand."""
        if first and self._text.separator not in (";", "\t"):
            guess = dict.fromkeys(guess, None) | _first_guess(self._text, block.data)
        if any(guess.values()):
            frame = _parsed(self._text, block.data, {n: d or pl.String() for n, d in guess.items()})
            if frame is not None:
                return frame
        return self._fields(block, list(guess))

    def _typed(
        self, block: Block, wanted: dict[str, pl.DataType], by_comma: set[str]
    ) -> pl.DataFrame:
        direct = {n: pl.String() if n in by_comma else dtype for n, dtype in wanted.items()}
        frame = _parsed(self._text, block.data, direct)
        if frame is None:
            frame = self._fields(block, list(wanted))
        read = frame.schema
        numbers = [
            numbers_of(frame[name], dtype, by_comma=name in by_comma)
            for name, dtype in wanted.items()
            if read[name] == pl.String and dtype != pl.String
        ]
        frame = texts_of(frame, [name for name, dtype in read.items() if dtype == pl.String])
        if any(one.null_count() != frame[one.name].null_count() for one in numbers):
            raise changed(self.name)
        return frame.with_columns(numbers).select(list(wanted))

    def _fields(self, block: Block, names: Sequence[str]) -> pl.DataFrame:
        """The fields as they stand; raises DataError where a row has too few or too many."""
        try:
            types = dict.fromkeys(names, pa.large_string())
            return pl.DataFrame(pl.from_arrow(_read(self._text, block.data, types, [""])))
        except pa.ArrowInvalid as error:
            _check_widths(self._text, block)
            raise DataError(
                "{file} cannot be read as CSV ({reason})",
                do="write the file again from its source",
                file=self.name,
                reason=str(error),
            ) from None


def _parsed(text: Text, data: bytes, types: dict[str, pl.DataType]) -> pl.DataFrame | None:
    """The columns in these types; None where a closer look is needed."""
    numeric: dict[pl.DataType, pa.DataType] = {pl.Int64(): pa.int64(), pl.Float64(): pa.float64()}
    given = {name: numeric.get(dtype, pa.large_string()) for name, dtype in types.items()}
    if pa.int64() in given.values() and (b"0x" in data or b"0X" in data):
        return None  # which the parser takes for numbers
    try:
        frame = pl.DataFrame(pl.from_arrow(_read(text, data, given, list(MISSING))))
    except pa.ArrowInvalid:
        return None
    floats = [name for name, dtype in types.items() if dtype == pl.Float64]
    if floats and any(frame.select(pl.col(floats).is_infinite().any()).row(0)):
        return None  # written so, or too large
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def _first_guess(text: Text, data: bytes) -> dict[str, pl.DataType | None]:
    """Which columns of a first block are numbers throughout, by the parser's own guess."""
    try:
        table = _read(text, data, None, list(MISSING))
    except pa.ArrowInvalid:
        return {}
    types: dict[pa.DataType, pl.DataType] = {pa.int64(): pl.Int64(), pa.float64(): pl.Float64()}
    return {field.name: types.get(field.type) for field in table.schema}


def _read(
    text: Text, data: bytes, types: dict[str, pa.DataType] | None, missing: list[str]
) -> pa.Table:
    return pa.csv.read_csv(
        pa.BufferReader(data),
        # Without its threads: after a row that it cannot read they go on working, and a process
        # that ends meanwhile is aborted (apache/arrow#34314).
        read_options=pa.csv.ReadOptions(
            column_names=list(text.columns), block_size=max(1, len(data)), use_threads=False
        ),
        parse_options=pa.csv.ParseOptions(delimiter=text.separator, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=types or {},
            include_columns=list(types or text.columns),
            null_values=missing,
            strings_can_be_null=True,
        ),
    )


def _check_widths(text: Text, block: Block) -> None:
    """Raises DataError at the first row with more or fewer fields, or with a bad quote."""
    assert text.separator is not None  # noqa: S101 - a CSV has one
    try:
        for line, _, row in records(block.data, text.separator):
            if len(row) != len(text.columns):
                raise DataError(
                    "{file}, line {line}: {found} fields where the header names {expected}",
                    do="give every row as many fields as the header; a field that holds the "
                    "separator stands in double quotes",
                    file=str(text.path),
                    line=block.line + line - 1,
                    found=len(row),
                    expected=len(text.columns),
                )
    except BadQuote as error:
        raise quote_error(text.path, block.line + error.line - 1, error.fault) from None


def _opened(path: Path) -> Text:
    """A CSV by its header; raises DataError where there is none."""
    with path.open("rb") as file:
        data = file.read(BLOCK_BYTES)
        while (
            len(data) < RECORD_BYTES
            and not data.strip().count(b"\n")
            and (more := file.read(BLOCK_BYTES))
        ):
            data += more
    for magic, what in _OTHER.items():
        if data.startswith(magic):
            raise DataError(
                "{file} is {found}, not CSV",
                do="save it as CSV in UTF-8, or as Parquet",
                file=str(path),
                found=what,
            )
    check_nul(Text(path), data, 0, 1)
    start = len(BOM) if data.startswith(BOM) else 0
    return _header(path, data[start:], start)


def _header(path: Path, data: bytes, start: int) -> Text:
    first = next((line for line in data.splitlines() if line.strip()), b"")
    if len(first) >= RECORD_BYTES:
        raise too_long(path, 1)
    separator = _separator(path, first)
    try:
        _, end, names = next(records(data, separator), (1, 0, []))
    except BadQuote as error:
        raise quote_error(path, error.line, error.fault) from None
    check_utf8(Text(path), Block(data[:end], 1, start))
    if not "".join(names).strip():
        raise DataError(
            "{file} is empty", do="give a file with a header line and rows", file=str(path)
        )
    names = [name.strip() for name in names]
    check_names(names, str(path))
    rows = data[:end].count(b"\n") or data[:end].count(b"\r")
    return Text(path, start + end, 1 + rows, separator, tuple(names))


def _separator(path: Path, header: bytes) -> str:
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    bare = _QUOTED.sub("", header.decode(errors="replace"))
    return max(_SEPARATORS, key=bare.count)
