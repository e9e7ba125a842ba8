"""One number for the same rows, however they were kept and cut."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from blake3 import blake3
from numpy.typing import NDArray

from tidegate.data.sources.rows import BATCH_ROWS, cut
from tidegate.domain.canonical import canonical_json

#: Part of what is hashed, so that another definition of "the same rows" is never mistaken for
#: this one.
FORMAT = "tidegate/rows/2"


class RowsDigest:
    """BLAKE3, in hex, over names, types and rows of a table that comes in canonical batches.

    Per column three hashes run along: of the missing rows' numbers (from 0) as 8 bytes each; of
    the values, 8 bytes each, a missing one as zero, in text the UTF-8 lengths; and of the texts'
    bytes. Integers are little-endian, NaN within a vector is the usual quiet one. The digest is
    that of the canonical JSON of format, row count, names and types, and then of those hashes,
    column by column. Batches, memory layout and file format therefore do not matter; the order of
    columns and rows does.
    """

    def __init__(self) -> None:
        self.rows = self.text_bytes = 0
        self._columns: list[_Column] = []

    def add(self, batch: pl.DataFrame) -> None:
        """Take in the rows that follow."""
        if not self._columns:
            self._columns = [_Column(one.name, str(one.dtype)) for one in batch.get_columns()]
        for column, series in zip(self._columns, batch.get_columns(), strict=True):
            self.text_bytes += column.add(series, self.rows)
        self.rows += batch.height

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        head = {
            "format": FORMAT,
            "rows": self.rows,
            "columns": [[column.name, column.dtype] for column in self._columns],
        }
        whole = blake3(canonical_json(head))
        for column in self._columns:
            for part in (column.missing, column.values, column.texts):
                whole.update(part.digest())
        return whole.hexdigest()


class _Column:
    def __init__(self, name: str, dtype: str):
        self.name, self.dtype = name, dtype
        self.missing, self.values, self.texts = blake3(), blake3(), blake3()

    def add(self, series: pl.Series, first_row: int) -> int:
        """Take in values; gives the bytes of their text."""
        if series.null_count():
            rows = series.is_null().arg_true().to_numpy().astype("<i8") + first_row
            self.missing.update(rows.tobytes())
        if series.dtype == pl.String:
            lengths, texts = _texts(series)
            self.values.update(lengths)
            self.texts.update(texts)
            return len(texts)
        self.values.update(_numbers(series))
        return 0


def rows_digest(frame: pl.DataFrame) -> str:
    """The digest of a canonical frame; see ``RowsDigest``."""
    digest = RowsDigest()
    for batch in cut(frame, BATCH_ROWS) if frame.height else [frame]:
        digest.add(batch)
    return digest.hexdigest()


def rows_digest_1(frame: pl.DataFrame) -> str:
    """As ``rows_digest``, in the format ``tidegate/rows/1`` of earlier snapshots.

    Hashed are, each after its length as 8 bytes little-endian: the canonical JSON of format, row
    count, names and types; then per column a bit per row (first row lowest) that is 1 where a
    value is there; then the values.
    """
    held = blake3()
    for part in _parts_1(frame):
        held.update(len(part).to_bytes(8, "little"))
        held.update(part)
    return held.hexdigest()


def _parts_1(frame: pl.DataFrame) -> Iterator[bytes | memoryview]:
    yield canonical_json(
        {
            "format": "tidegate/rows/1",
            "rows": frame.height,
            "columns": [[series.name, str(series.dtype)] for series in frame.get_columns()],
        }
    )
    for series in frame.get_columns():
        yield np.packbits(series.is_not_null().to_numpy(), bitorder="little").tobytes()
        yield from _texts(series) if series.dtype == pl.String else [_numbers(series)]


def _numbers(series: pl.Series) -> bytes | memoryview:
    if isinstance(series.dtype, pl.Array):
        return _vectors(series, series.dtype.size)
    little = "<i8" if series.dtype == pl.Int64 else "<f8"
    values = series.fill_null(0) if series.null_count() else series
    return _bytes(values.to_numpy().astype(little, copy=False))


def _vectors(series: pl.Series, width: int) -> memoryview:
    held = series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    flat = held.values.slice(held.offset * width, len(held) * width)
    values = flat.to_numpy(zero_copy_only=False).astype("<f8").reshape(len(held), width)
    values[np.isnan(values)] = np.nan
    values[series.is_null().to_numpy()] = 0.0
    return _bytes(values)


def _bytes(values: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B")


def _texts(series: pl.Series) -> tuple[bytes, bytes | memoryview]:
    """The lengths in UTF-8, and the bytes of all texts one after the other."""
    filled = series.fill_null("")
    lengths = filled.str.len_bytes().to_numpy().astype("<i8").tobytes()
    held = filled.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets, values = held.buffers()[1:]
    if values is None:
        return lengths, b""
    ends = memoryview(offsets).cast("q" if pa.types.is_large_string(held.type) else "i")
    return lengths, memoryview(values)[ends[held.offset] : ends[held.offset + len(held)]]
