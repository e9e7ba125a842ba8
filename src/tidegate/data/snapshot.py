"""Immutable sets of rows: named by what they hold, stored once, checked whenever they are read."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from blake3 import blake3

from tidegate.data.table import canonical, columns_of
from tidegate.data.time import span, time_of
from tidegate.domain.canonical import canonical_json
from tidegate.domain.errors import IntegrityError
from tidegate.domain.messages import Message, say
from tidegate.domain.snapshot import Snapshot, snapshot_id
from tidegate.store.objects import Objects

#: Part of what is hashed, so that another definition of "the same rows" is never mistaken for
#: this one.
FORMAT = "tidegate/rows/1"


def rows_digest(frame: pl.DataFrame) -> str:
    """BLAKE3, in hex, over names, types and rows of a canonical frame; columns and rows in order.

    Hashed are, each after its length as 8 bytes little-endian: the canonical JSON of format, row
    count, names and types; then per column a bit per row (first row lowest) that is 1 where a
    value is there; then the values: 8 bytes little-endian each for numbers, for text the UTF-8
    lengths as such integers and then the bytes. A missing value counts as 0 or as empty text.
    Memory layout, chunks and file format therefore do not matter.
    """
    held = blake3()
    for part in _parts(frame):
        held.update(len(part).to_bytes(8, "little"))
        held.update(part)
    return held.hexdigest()


def snapshot_key(digest: str) -> str:
    """Where the rows of that digest are stored."""
    return f"snapshots/{digest}.parquet"


def add_snapshot(
    objects: Objects,
    frame: pl.DataFrame,
    *,
    model: str,
    target: str | None,
    time: Sequence[str],
    sources: Sequence[str],
    at: str,
    by: str,
) -> Snapshot:
    """The snapshot of these rows, stored; the same rows again are the same, stored once.

    ``at`` is ISO 8601. Raises DataError where the time columns hold no times, and IntegrityError
    where these rows are stored already and were altered since.
    """
    frame = canonical(frame)
    digest = rows_digest(frame)
    time_from, time_to = span(time_of(frame, time)) if time else (None, None)
    stored = _stored(objects, frame, digest)
    return Snapshot(
        id=snapshot_id(model, digest),
        model=model,
        digest=digest,
        object_digest=blake3(stored).hexdigest(),
        rows=frame.height,
        labelled_rows=frame.height - frame[target].null_count() if target is not None else 0,
        size_bytes=len(stored),
        columns=columns_of(frame),
        sources=list(sources),
        time_from=time_from,
        time_to=time_to,
        added_at=at,
        added_by=by,
    )


def load_snapshot(objects: Objects, snapshot: Snapshot) -> pl.DataFrame:
    """The rows of a snapshot; raises IntegrityError unless the stored bytes are those recorded."""
    stored = objects.get(snapshot_key(snapshot.digest))
    if blake3(stored).hexdigest() != snapshot.object_digest:
        raise _altered(snapshot.id)
    return pl.read_parquet(io.BytesIO(stored))


def verify_snapshot(objects: Objects, snapshot: Snapshot) -> Message | None:
    """What is wrong with the stored rows, or None: bytes, rows and identity are all compared."""
    try:
        frame = load_snapshot(objects, snapshot)
    except IntegrityError as error:
        return say(error.what, **error.values)
    named = snapshot_id(snapshot.model, snapshot.digest)
    if rows_digest(frame) != snapshot.digest or snapshot.id != named:
        return say(
            "snapshot {snapshot} does not hold the rows it is named for", snapshot=snapshot.id
        )
    return None


def _stored(objects: Objects, frame: pl.DataFrame, digest: str) -> bytes:
    """The bytes that are stored for these rows: put now, or found and checked."""
    key, buffer = snapshot_key(digest), io.BytesIO()
    if not objects.exists(key):
        frame.write_parquet(buffer, compression="zstd")
        if objects.put(key, buffer.getvalue()):
            return buffer.getvalue()
    # Another library version may have written other bytes for the same rows: those stay.
    stored = objects.get(key)
    try:
        same = rows_digest(pl.read_parquet(io.BytesIO(stored))) == digest
    except pl.exceptions.PolarsError:
        same = False
    if not same:
        raise _altered(snapshot_key(digest))
    return stored


def _altered(snapshot: str) -> IntegrityError:
    return IntegrityError(
        "the stored rows of snapshot {snapshot} were altered",
        do="restore the object store from a backup",
        snapshot=snapshot,
    )


def _parts(frame: pl.DataFrame) -> Iterator[bytes | memoryview]:
    head = {
        "format": FORMAT,
        "rows": frame.height,
        "columns": [[series.name, str(series.dtype)] for series in frame.get_columns()],
    }
    yield canonical_json(head)
    for series in frame.get_columns():
        yield _packed(series)
        yield from _texts(series) if series.dtype == pl.String else _numbers(series)


def _packed(series: pl.Series) -> bytes:
    return np.packbits(series.is_not_null().to_numpy(), bitorder="little").tobytes()


def _numbers(series: pl.Series) -> Iterator[bytes]:
    little = "<i8" if series.dtype == pl.Int64 else "<f8"
    yield series.fill_null(0).to_numpy().astype(little, copy=False).tobytes()


def _texts(series: pl.Series) -> Iterator[bytes | memoryview]:
    filled = series.fill_null("")
    yield filled.str.len_bytes().to_numpy().astype("<i8").tobytes()
    chunks = filled.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets, values = chunks.buffers()[1:]
    if values is None:
        yield b""
        return
    width = 8 if pa.types.is_large_string(chunks.type) else 4
    ends = memoryview(offsets).cast("q" if width == 8 else "i")
    start, stop = ends[chunks.offset], ends[chunks.offset + len(chunks)]
    yield memoryview(values)[start:stop]
