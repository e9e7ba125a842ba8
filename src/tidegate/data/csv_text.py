"""CSV files: the bytes checked, the rows parsed, every column typed by all of its values."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv

from tidegate.data.table import MISSING
from tidegate.domain.errors import DataError

_BOM = b"\xef\xbb\xbf"
#: What a file starts with that is no CSV, and what it is.
_OTHER = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"SQLite format 3": "a database",
}
_INFINITE = ("inf", "infinity")


def parse_csv(data: bytes, file: Path) -> pl.DataFrame:
    """The typed rows of a CSV: comma, first line names the columns, UTF-8 (a BOM is skipped).

    A column is Int64 or Float64 if every field that is not missing is a number, else String;
    ``MISSING`` says which fields are missing. Blank lines are skipped. Raises DataError naming
    line and column.
    """
    _check_bytes(data, file)
    names = _header(data, file)
    if b'"' in data:
        # The parser below takes a quote that never closes as one long field, so look first.
        _check_rows(data, len(names), file)
    raw = _rows(data, names, file)
    return pl.DataFrame([_typed(column, file) for column in raw.get_columns()])


def check_names(names: list[str], file: Path) -> None:
    """Raises DataError where a column has no name, or the name of another."""
    for place, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                "{file}: column {place} has no name",
                do="name every column in the first line",
                file=str(file),
                place=place,
            )
        if name in names[: place - 1]:
            raise DataError(
                "{file}: columns {first} and {place} are both named '{column}'",
                do="give each column a name of its own",
                file=str(file),
                first=names.index(name) + 1,
                place=place,
                column=name,
            )


def _check_bytes(data: bytes, file: Path) -> None:
    """Raises DataError where the bytes are no UTF-8 text."""
    for magic, what in _OTHER.items():
        if data.startswith(magic):
            raise DataError(
                "{file} is {found}, not CSV",
                do="save it as CSV in UTF-8, or as Parquet",
                file=str(file),
                found=what,
            )
    nul = data.find(b"\0")
    if nul >= 0:
        raise DataError(
            "{file}, line {line}: a NUL byte at byte {byte}",
            do="the file is damaged or not text; write it again from its source",
            file=str(file),
            line=_line(data, nul),
            byte=nul,
        )
    try:
        data.decode()
    except UnicodeDecodeError as error:
        at = error.start
        raise DataError(
            "{file}, line {line}: byte {byte} ({value}) is not UTF-8",
            do="convert the file to UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 IN > OUT",
            file=str(file),
            line=_line(data, at),
            byte=at,
            value=f"0x{data[at]:02x}",
        ) from None


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _records(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, after the line it begins on; raises csv.Error."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    rows, began = csv.reader(text, strict=True), 1
    try:
        for row in rows:
            if row:
                yield began, row
            began = rows.line_num + 1
    except csv.Error as error:
        raise _BadQuote(began, str(error)) from None


class _BadQuote(Exception):
    """A fault in the quotes of the record that begins on ``line``."""

    def __init__(self, line: int, fault: str):
        super().__init__(fault)
        self.line, self.fault = line, fault


def _header(data: bytes, file: Path) -> list[str]:
    """The names of the columns; raises DataError where they are no names, or no rows follow."""
    try:
        records = _records(data)
        _, first = next(records, (0, []))
        if not "".join(first).strip():
            raise DataError(
                "{file} is empty",
                do="give a file with a header line and rows",
                file=str(file),
            )
        none_follow = next(records, None) is None
    except _BadQuote as error:
        raise _quote_error(file, error) from None
    names = [name.strip() for name in first]
    other = next((mark for mark in ";\t|" if mark in names[0]), None)
    if len(names) == 1 and other is not None:
        raise DataError(
            "{file}: the header holds no comma, and looks separated by {mark}",
            do="save the file with commas between the fields",
            file=str(file),
            mark="tab" if other == "\t" else f"'{other}'",
        )
    check_names(names, file)
    if none_follow:
        raise DataError(
            "{file} names its columns and holds no rows",
            do="add rows below the header, or leave the file out",
            file=str(file),
        )
    return names


def _rows(data: bytes, names: list[str], file: Path) -> pl.DataFrame:
    options = pa.csv.ReadOptions(column_names=names, skip_rows_after_names=1)
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=options,
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        _check_rows(data, len(names), file)
        raise DataError(
            "{file} cannot be read as CSV ({reason})",
            do="write the file again from its source",
            file=str(file),
            reason=str(error),
        ) from None
    return pl.DataFrame(pl.from_arrow(table))


def _check_rows(data: bytes, width: int, file: Path) -> None:
    """Raises DataError at the first row with more or fewer fields, or with a bad quote."""
    try:
        for line, row in _records(data):
            if len(row) != width:
                raise DataError(
                    "{file}, line {line}: {found} fields where the header names {expected}",
                    do="give every row as many fields as the header; a field that holds a comma "
                    "stands in double quotes",
                    file=str(file),
                    line=line,
                    found=len(row),
                    expected=width,
                )
    except _BadQuote as error:
        raise _quote_error(file, error) from None


def _quote_error(file: Path, error: _BadQuote) -> DataError:
    # The csv module knows three faults: text after a closing quote, and a field that runs to the
    # end of the file or past its size limit, both of which mean that a quote never closed.
    if "expected after" in error.fault:
        return DataError(
            "{file}, line {line}: text follows a closing double quote",
            do='double the quotes that belong to the text: "he said ""yes"""',
            file=str(file),
            line=error.line,
        )
    return DataError(
        "{file}, line {line}: a double quote opens here and is never closed",
        do="close the quote, or double it if it belongs to the text",
        file=str(file),
        line=error.line,
    )


def _typed(raw: pl.Series, file: Path) -> pl.Series:
    """A column of fields as Int64, Float64 or String."""
    bare = raw.str.strip_chars()
    missing = bare.is_in(list(MISSING)) | bare.is_null()
    bare = bare.set(missing, None)
    for dtype in (pl.Int64, pl.Float64):
        numbers = bare.cast(dtype, strict=False)
        if numbers.null_count() == bare.null_count() and not (
            dtype == pl.Int64 and numbers.null_count() == len(numbers)
        ):
            _check_size(bare, numbers, file)
            return numbers
    return raw.set(missing, None)


def _check_size(bare: pl.Series, numbers: pl.Series, file: Path) -> None:
    """Raises DataError where a number was written that no 64-bit float can hold."""
    if numbers.dtype != pl.Float64 or not numbers.is_infinite().any():
        return
    written = bare.str.strip_chars_start("+-").str.to_lowercase().is_in(list(_INFINITE))
    lost = (numbers.is_infinite() & ~written).arg_true()
    if len(lost):
        raise DataError(
            "{file}, row {row}: column '{column}' holds a number too large for 64 bits ({value})",
            do="give the column in a larger unit, or as text that is not all digits",
            file=str(file),
            row=int(lost[0]) + 1,
            column=bare.name,
            value=str(bare[int(lost[0])])[:40],
        )
