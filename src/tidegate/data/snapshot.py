"""Immutable sets of rows: named by what they hold, stored once, checked whenever they are read."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from blake3 import blake3

from tidegate.data.digest import FORMAT, RowsDigest, rows_digest_1
from tidegate.data.snapshot_writer import SnapshotWriter
from tidegate.data.sources.frames import FrameSource
from tidegate.data.sources.rows import BATCH_ROWS, Rows, Source, gathered, unheard
from tidegate.data.table import canonical
from tidegate.domain.errors import IntegrityError
from tidegate.domain.messages import Message, say
from tidegate.domain.snapshot import Sensitivity, Snapshot, snapshot_id
from tidegate.store.objects import Objects

#: Bytes read at a time to check what is stored.
_CHECKED_BYTES = 1 << 20


def snapshot_key(digest: str) -> str:
    """Where the rows of that digest are stored."""
    return f"snapshots/{digest}.parquet"


def add_snapshot(
    objects: Objects,
    rows: pl.DataFrame | Source,
    *,
    model: str,
    target: str | None,
    time: Sequence[str],
    sources: Sequence[str],
    at: str,
    by: str,
    licence: str | None = None,
    sensitivity: Sensitivity | None = None,
    parents: Sequence[str] = (),
    progress: Rows = unheard,
) -> Snapshot:
    """The snapshot of these rows, stored in one pass; the same rows again are the same one.

    ``at`` is ISO 8601. Memory does not grow with rows. Raises DataError where the time columns
    hold no times or the rows cannot be read, and IntegrityError where these rows are stored
    already and were altered since; then nothing is stored.
    """
    writer = SnapshotWriter(objects, target, time)
    source = FrameSource(canonical(rows)) if isinstance(rows, pl.DataFrame) else rows
    try:
        for batch in source.batches():
            writer.add(batch)
            progress(writer.digest.rows, source.rows or 0)
        digest = writer.digest.hexdigest()
        object_digest, size_bytes = writer.finish(snapshot_key(digest))
    finally:
        writer.abandon()
    if object_digest is None:
        # Another library version may have written other bytes for the same rows: those stay.
        object_digest, size_bytes = _known(objects, digest)
    time_from, time_to = writer.span()
    return Snapshot(
        id=snapshot_id(model, digest),
        model=model,
        digest=digest,
        object_digest=object_digest,
        rows=writer.digest.rows,
        labelled_rows=writer.labelled,
        size_bytes=size_bytes,
        columns=writer.columns(),
        sources=list(sources),
        time_from=time_from,
        time_to=time_to,
        added_at=at,
        added_by=by,
        format=FORMAT,
        licence=licence,
        sensitivity=sensitivity,
        parents=list(parents),
    )


def load_snapshot(objects: Objects, snapshot: Snapshot) -> pl.DataFrame:
    """The rows of a snapshot; raises IntegrityError unless the stored bytes are those recorded."""
    with closing(_checked(objects, snapshot)) as file:
        return pl.concat(_batches(file, None), rechunk=True)


def snapshot_batches(
    objects: Objects, snapshot: Snapshot, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """As ``load_snapshot``, in frames of at most 65,536 rows; of these columns, or all.

    All bytes are checked before the first rows are given, and memory does not grow with them.
    """
    with closing(_checked(objects, snapshot)) as file:
        yield from _batches(file, columns)


class SnapshotSource(Source):
    """The rows of a snapshot as a source; their bytes are checked for every pass."""

    columnar = True

    def __init__(self, objects: Objects, snapshot: Snapshot):
        self._objects, self._snapshot = objects, snapshot
        self.name, self.rows, self.size_bytes = snapshot.id, snapshot.rows, snapshot.size_bytes
        with closing(_checked(objects, snapshot)) as file:
            self.schema = dict(next(_batches(file, None)).schema)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        return snapshot_batches(self._objects, self._snapshot, columns)


def verify_snapshot(objects: Objects, snapshot: Snapshot) -> Message | None:
    """What is wrong with the stored rows, or None: bytes, rows and identity are all compared."""
    try:
        if snapshot.format == FORMAT:
            digest = RowsDigest()
            for batch in snapshot_batches(objects, snapshot):
                digest.add(batch)
            held = digest.hexdigest()
        else:
            held = rows_digest_1(load_snapshot(objects, snapshot))
    except IntegrityError as error:
        return say(error.what, **error.values)
    if held != snapshot.digest or snapshot.id != snapshot_id(snapshot.model, snapshot.digest):
        return say(
            "snapshot {snapshot} does not hold the rows it is named for", snapshot=snapshot.id
        )
    return None


def _checked(objects: Objects, snapshot: Snapshot) -> BinaryIO:
    """The stored bytes as a file; raises IntegrityError unless they are those recorded."""
    file = objects.opened(snapshot_key(snapshot.digest))
    held = blake3()
    while part := file.read(_CHECKED_BYTES):
        held.update(part)
    if held.hexdigest() != snapshot.object_digest:
        file.close()
        raise _altered(snapshot.id)
    file.seek(0)
    return file


def _known(objects: Objects, digest: str) -> tuple[str, int]:
    """Digest and size of the bytes that stand for these rows, checked row by row."""
    key = snapshot_key(digest)
    with closing(objects.opened(key)) as file:
        held, rows, size = blake3(), RowsDigest(), 0
        while part := file.read(_CHECKED_BYTES):
            held.update(part)
            size += len(part)
        file.seek(0)
        try:
            for batch in _batches(file, None):
                rows.add(batch)
        except (pa.ArrowException, OSError):
            raise _altered(key) from None
    if rows.hexdigest() != digest:
        raise _altered(key)
    return held.hexdigest(), size


def _batches(file: BinaryIO, columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
    with pa.parquet.ParquetFile(file, pre_buffer=False) as stored:
        names = list(columns or stored.schema_arrow.names)
        frames = (
            pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch]).select(names)))
            for batch in stored.iter_batches(BATCH_ROWS, columns=names)
        )
        yield from gathered(frames, BATCH_ROWS)


def _altered(snapshot: str) -> IntegrityError:
    return IntegrityError(
        "the stored rows of snapshot {snapshot} were altered",
        do="restore the object store from a backup",
        snapshot=snapshot,
    )
