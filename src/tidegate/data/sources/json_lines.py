"""JSON lines: one object a line, its keys the columns."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pyarrow as pa
import pyarrow.json

from tidegate.data.sources.arrow import conformed
from tidegate.data.sources.blocks import BOM, Block, Text, blocks
from tidegate.data.sources.names import check_names
from tidegate.data.sources.rows import Rows, Source, batch_rows, changed, gathered, unheard
from tidegate.data.sources.written import Column
from tidegate.domain.errors import DataError
from tidegate.domain.messages import say

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class JsonLinesSource(Source):
    """The rows of a file with a JSON object a line; a key that is not there is missing.

    Read twice: the first time, here, to learn keys and types. Texts count as they are, also where
    they look like numbers. Raises DataError naming line and key for nested values, and where a
    key's values are of two types.
    """

    def __init__(self, path: Path, progress: Rows = unheard):
        self.path, self.name, self.size_bytes = path, str(path), path.stat().st_size
        with path.open("rb") as file:
            self._text = Text(path, len(BOM) if file.read(len(BOM)) == BOM else 0)
        self._types: dict[str, pa.DataType] = {}
        self._dates: dict[str, Column] = {}
        self.rows = self._scan(progress)
        check_names([name.strip() for name in self._types], self.name)
        for column in self._dates.values():
            column.check_dates()
        self.schema = {name.strip(): _canonical(kind) for name, kind in self._types.items()}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = {name: self.schema[name] for name in columns or self.columns}
        fields = {name.strip(): (name, kind) for name, kind in self._types.items()}
        given = pa.schema([fields[name] for name in wanted])
        done = 0
        frames = (self._typed(block, given, list(wanted)) for block in blocks(self._text))
        for frame in gathered(frames, batch_rows(wanted)):
            yield conformed(frame, wanted, self.name, done)
            done += frame.height
        if done != self.rows:
            raise changed(self.name)

    def holds(self, column: str) -> bool:
        """Whether a key holds any value; the first reading told."""
        return not pa.types.is_null(
            next(kind for name, kind in self._types.items() if name.strip() == column)
        )

    def _typed(self, block: Block, given: pa.Schema, names: list[str]) -> pl.DataFrame:
        try:
            table = _read(block.data, given)
        except pa.ArrowInvalid:
            raise changed(self.name) from None
        return pl.DataFrame(pl.from_arrow(table.select(given.names).rename_columns(names)))

    def _scan(self, progress: Rows) -> int:
        row = 0
        for block in blocks(self._text):
            row += self._learn(block, row)
            done = block.byte + len(block.data)
            progress(row, max(row + 1, row * (self.size_bytes or 0) // max(1, done)))
        if not row:
            raise DataError(
                "{file} is empty", do="give a file with an object a line", file=self.name
            )
        if not self._types:
            raise DataError(
                "{file}: no object holds a key",
                do="write rows as objects, one a line: {example}",
                file=self.name,
                example='{"age": 31, "city": "Ulm"}',
            )
        progress(row, row)
        return row

    def _learn(self, block: Block, row: int) -> int:
        lines = sum(1 for line in block.data.split(b"\n") if line.strip())
        if not lines:
            return 0
        # Checked here, since the parser would follow nesting as deep as it goes.
        if block.data.count(b"{") + block.data.count(b"[") > lines:
            bare = _STRING.sub(b"", block.data)
            if b"[" in bare or bare.count(b"{") > lines:
                self._refuse(block)
        try:
            table = _read_as_found(block.data)
        except pa.ArrowInvalid as error:
            self._refuse(block, str(error))
        if table.num_rows != lines:
            self._refuse(block)
        for field in table.schema:
            self._types[field.name] = self._joined(field, block)
            if pa.types.is_string(field.type):
                self._learn_dates(field.name, table.column(field.name), row)
        return lines

    def _learn_dates(self, name: str, texts: pa.ChunkedArray, row: int) -> None:
        column = self._dates.setdefault(name, Column(name, self.name, commas=False))
        if not column.no_date:
            column.add_text(pl.Series(name, pl.from_arrow(texts)), row)

    def _joined(self, field: pa.Field, block: Block) -> pa.DataType:
        """The type of a key, after what was known of it; whole numbers widen to others."""
        known, found = self._types.get(field.name, pa.null()), field.type
        if pa.types.is_null(known) or known == found:
            return found
        if pa.types.is_null(found):
            return known
        if {known, found} == {pa.int64(), pa.float64()}:
            return pa.float64()
        self._refuse(block)

    def _refuse(self, block: Block, reason: str = "") -> NoReturn:
        """Raises DataError for the first line that is not as it must be."""
        known = {name: _kind_of(kind) for name, kind in self._types.items()}
        for number, line in enumerate(block.data.split(b"\n"), start=block.line):
            if line.strip():
                self._check(_object(self.name, number, line), number, known)
        raise DataError(
            "{file} cannot be read as JSON lines ({reason})",
            do="write the file again from its source",
            file=self.name,
            reason=reason or "-",
        )

    def _check(self, row: Mapping[str, Any], line: int, known: dict[str, str | None]) -> None:
        for key, value in row.items():
            if isinstance(value, (dict, list)):
                raise DataError(
                    "{file}, line {line}: key '{key}' holds a nested value",
                    do="spread it over keys of their own, or leave it out",
                    file=self.name,
                    line=line,
                    key=key,
                )
            kind = _kind(value)
            if kind is not None and (known.get(key) or kind) != kind:
                raise DataError(
                    "{file}, line {line}: key '{key}' holds a {found}, and a {before} above",
                    do="give the key values of one type, or null",
                    file=self.name,
                    line=line,
                    key=key,
                    found=say(kind),
                    before=say(str(known[key])),
                )
            known[key] = known.get(key) or kind


def _read_as_found(data: bytes) -> pa.Table:
    """The table of these lines by the parser's guess, but for texts that look like times."""
    table = _read(data)
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if not times:
        return table
    texts = pa.schema([(name, pa.string()) for name in times])
    return _read(data, texts, "infer").select(table.column_names)


def _read(data: bytes, given: pa.Schema | None = None, others: str = "ignore") -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(data),
        read_options=pa.json.ReadOptions(block_size=max(1, len(data))),
        parse_options=pa.json.ParseOptions(
            explicit_schema=given,
            unexpected_field_behavior="infer" if given is None else others,
        ),
    )


def _object(file: str, line: int, text: bytes) -> Mapping[str, Any]:
    """The object on a line; raises DataError where there is none, or more."""
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(
            "{file}, line {line}: this is not one JSON object ({reason})",
            do="write one whole object a line; a line may be cut short",
            file=file,
            line=line,
            reason=str(error),
        ) from None
    if not isinstance(found, dict):
        raise DataError(
            "{file}, line {line}: this is JSON, and no object",
            do="write rows as objects, one a line: {example}",
            file=file,
            line=line,
            example='{"age": 31, "city": "Ulm"}',
        )
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} stands twice")
    return found


def _kind(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "truth value"
    return "text" if isinstance(value, str) else "number"


def _kind_of(kind: pa.DataType) -> str | None:
    if pa.types.is_null(kind):
        return None
    if pa.types.is_boolean(kind):
        return "truth value"
    return "text" if pa.types.is_string(kind) else "number"


def _canonical(kind: pa.DataType) -> pl.DataType:
    if pa.types.is_int64(kind):
        return pl.Int64()
    return pl.String() if _kind_of(kind) in ("text", "truth value") else pl.Float64()
