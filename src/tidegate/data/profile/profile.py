"""A table in brief, from one pass: small enough to keep, enough to compare with at any time."""

import os
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from tidegate.data.profile.column import ColumnProfile, Stream, stream_of
from tidegate.data.profile.sample import Sample, both
from tidegate.data.sources.rows import BATCH_ROWS, Rows, Source, unheard
from tidegate.domain.errors import DataError
from tidegate.params.parallel import on_threads

#: Columns of a wide table that are read together, of sources that can.
GROUP = 128


@dataclass(frozen=True)
class Profile:
    """A table's columns in brief, and a uniform ``sample`` of its rows."""

    name: str
    rows: int
    columns: list[ColumnProfile]
    sample: pl.DataFrame

    def column(self, name: str) -> ColumnProfile | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)


def profile_source(source: Source, name: str, progress: Rows = unheard) -> Profile:
    """The profile of the rows of a source.

    Of a wide table some columns at a time, where the source can give them alone: batches are then
    long enough to be worth a core's while, and memory does not grow with columns either.
    """
    names, rows = source.columns, source.rows or 0
    size = GROUP if source.columnar else len(names)
    groups = [names[start : start + size] for start in range(0, len(names), size)]
    parts = [
        profile(
            source.batches(group),
            name,
            width=len(names),
            rows=rows,
            progress=lambda done, total, n=number: progress(  # type: ignore[misc]
                (n * rows + done) // len(groups) if rows else done, total
            ),
        )
        for number, group in enumerate(groups)
    ]
    columns = [column for part in parts for column in part.columns]
    # The same draws for the same rows: each part has kept the same ones.
    sample = pl.concat([part.sample for part in parts], how="horizontal")
    return Profile(name, parts[0].rows, columns, sample)


def profile(
    batches: Iterable[pl.DataFrame],
    name: str,
    *,
    width: int | None = None,
    rows: int = 0,
    progress: Rows = unheard,
) -> Profile:
    """The profile of canonical frames that follow each other; ``name`` says what of.

    Reads each batch once and keeps none: memory does not grow with rows. ``width``: columns of the
    whole table, where these are some of them. ``rows``: how many there are in all, for
    ``progress``; 0 where that is not known. Raises DataError where there are none.
    """
    streams: dict[str, Stream] = {}
    types: list[str] = []
    sample: Sample | None = None
    done = 0
    for batch in _ahead(batches):
        if sample is None:
            streams = {series.name: stream_of(series) for series in batch.get_columns()}
            types = [str(dtype) for dtype in batch.dtypes]
            # Two tables are not to be sampled in the same places: their names tell them apart.
            sample = Sample(width or batch.width, seed=zlib.crc32(name.encode()))
        _add(streams, batch)
        sample.add(batch)
        done += batch.height
        progress(done, rows)
    kept = sample.rows() if sample is not None else None
    if kept is None:
        raise DataError("{file} holds no rows", do="name another file", file=name)
    found = on_threads(lambda stream: stream.found(), streams.values())
    columns = [
        one.column(column, dtype, done)
        for column, dtype, one in zip(streams, types, found, strict=True)
    ]
    return Profile(name, done, columns, kept)


def profile_of(frame: pl.DataFrame, name: str) -> Profile:
    """The profile of a canonical frame that is in memory; raises DataError where it has no rows."""
    return profile(frame.iter_slices(BATCH_ROWS), name, rows=frame.height)


def merged(a: Profile, b: Profile) -> Profile:
    """The profile of both tables, one below the other; columns that only one has are left out.

    Counts are exact; shares of numbers stay within the ``error`` that their summary states.
    """
    pairs = [(column, b.column(column.name)) for column in a.columns]
    columns = [column.plus(other) for column, other in pairs if other is not None]
    names = [column.name for column in columns]
    sample = both(a.sample[names], a.rows, b.sample[names], b.rows)
    return Profile(f"{a.name} + {b.name}", a.rows + b.rows, columns, sample)


def _ahead(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same, each read while the one before is worked on."""
    waiting = iter(batches)
    with ThreadPoolExecutor(1, "reading") as reader:
        coming = reader.submit(next, waiting, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, waiting, None)
            yield batch


def _add(streams: dict[str, Stream], batch: pl.DataFrame) -> None:
    # In a few shares a core: column by column, threads would wait for each other more often.
    shares = 4 * (os.cpu_count() or 1)
    named = list(streams.items())

    def add(start: int) -> None:
        for column, stream in named[start::shares]:
            stream.add(batch[column])

    on_threads(add, range(min(shares, len(named))))
