"""Rows on their way into a snapshot."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from blake3 import blake3

from tidegate.data.digest import RowsDigest
from tidegate.data.table import kind_of
from tidegate.data.time import span, time_of
from tidegate.domain.schema import Column
from tidegate.store.objects import Objects

#: Rows of a row group: enough that a reader gets megabytes of each column at once, few enough
#: that writing holds little.
GROUP_ROWS = 1 << 17
#: Bytes of text, and values of a wide table, that end a row group earlier.
GROUP_BYTES, GROUP_CELLS = 1 << 27, 1 << 24


class SnapshotWriter:
    """Rows on their way into the store: written, hashed and counted in one pass."""

    def __init__(self, objects: Objects, target: str | None, time: Sequence[str]):
        self.digest, self.labelled = RowsDigest(), 0
        self._times: list[Any] = []
        self._target, self._time = target, time
        self._stream = objects.stream()
        self._held, self._abandoned = blake3(), False
        self._parquet: pa.parquet.ParquetWriter | None = None
        self._waiting: list[pl.DataFrame] = []
        self._schema: dict[str, pl.DataType] = {}
        self._missing: dict[str, int] = {}
        self._written_bytes = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Take in the rows that follow; raises DataError where they hold no times."""
        first_row = self.digest.rows
        if not self._schema:
            self._schema = dict(batch.schema)
            self._missing = dict.fromkeys(batch.columns, 0)
        self.digest.add(batch)
        for series in batch.get_columns():
            self._missing[series.name] += series.null_count()
        if self._target is not None:
            self.labelled += batch.height - batch[self._target].null_count()
        if self._time:
            times = time_of(batch, self._time, first_row=first_row)
            self._times += [times.min(), times.max()]
        self._waiting.append(batch)
        rows = sum(one.height for one in self._waiting)
        long = self.digest.text_bytes - self._written_bytes >= GROUP_BYTES
        if rows >= min(GROUP_ROWS, GROUP_CELLS // batch.width) or long:
            self._write()

    def columns(self) -> list[Column]:
        """The columns in order, with how many values each misses."""
        return [
            Column(name=name, kind=kind_of(dtype), dtype=str(dtype), missing=self._missing[name])
            for name, dtype in self._schema.items()
        ]

    def span(self) -> tuple[str | None, str | None]:
        """The earliest and the latest time; see ``time.span``."""
        return span(pl.Series("time", self._times, dtype=pl.Datetime("us")))

    def finish(self, key: str) -> tuple[str | None, int]:
        """Store what was written; its digest, or None where something stands there, and size."""
        self._write()
        if self._parquet is not None:
            self._parquet.close()
        stored = self._stream.finish(key)
        return (self._held.hexdigest() if stored else None), self._stream.size

    def abandon(self) -> None:
        """Keep nothing aside; what was finished stays."""
        self._abandoned = True
        self._stream.abandon()
        if self._parquet is not None:
            self._parquet.close()

    def write(self, data: Any) -> int:
        """Take in bytes of the file, from its writer."""
        part = memoryview(data).cast("B")
        if self._abandoned:
            return len(part)  # what ends the file, into nothing
        self._held.update(part)
        self._stream.write(part)
        return len(part)

    def _write(self) -> None:
        if not self._waiting:
            return
        table = pl.concat(self._waiting).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._waiting, self._written_bytes = [], self.digest.text_bytes
        if self._parquet is None:
            self._parquet = pa.parquet.ParquetWriter(
                pa.PythonFile(_Sink(self.write), mode="w"), table.schema, compression="zstd"
            )
        self._parquet.write_table(table, row_group_size=GROUP_ROWS)


class _Sink:
    """What a writer of files needs of one."""

    closed = False

    def __init__(self, write: Callable[[Any], int]):
        self.write = write

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is open here."""
