"""A table that is read in batches, as often as it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from tidegate.domain.errors import DataError

#: Rows of a batch at most: their columns stay in a core's cache, one by one.
BATCH_ROWS = 1 << 16
#: Values of a batch at most, 64 MiB of numbers: ten thousand columns come in fewer rows.
BATCH_CELLS = 1 << 23

#: Small frames are joined up to so many bytes.
_JOINED_BYTES = 1 << 26

#: Told rows done, and rows in all (an estimate while that is not known).
Rows = Callable[[int, int], None]


def unheard(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


class Source(ABC):
    """Where rows come from: canonical frames in row order, again for every pass.

    ``name`` is what messages call it, ``schema`` its columns in order with their canonical types,
    ``rows`` how many there are, ``size_bytes`` how large it lies there; either is None where
    nothing tells. ``columnar``: reading some columns costs no more than they do.
    """

    columnar: bool = False

    name: str
    schema: Mapping[str, pl.DataType]
    rows: int | None
    size_bytes: int | None

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.schema)

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows in frames of at most 65,536, all of the same types; of these columns, or all.

        Memory does not grow with the rows. Raises DataError where the rows cannot be read.
        """

    def holds(self, column: str) -> bool:
        """Whether a column holds any value."""
        return any(batch[column].null_count() < batch.height for batch in self.batches([column]))


def changed(file: str) -> DataError:
    """What is wrong with a file that another pass finds to be no longer what it was."""
    return DataError(
        "{file} changed while it was read",
        do="run the command again when nobody writes to it",
        file=file,
    )


def unreadable(file: str, error: OSError) -> DataError:
    """What the system says against reading a file."""
    return DataError(
        "{file} cannot be read ({reason})",
        do="check the file and the right to read it",
        file=file,
        reason=error.strerror or str(error),
    )


def batch_rows(schema: Mapping[str, pl.DataType]) -> int:
    """Rows that a batch of such columns may have."""
    cells = sum(dtype.size if isinstance(dtype, pl.Array) else 1 for dtype in schema.values())
    return max(1, min(BATCH_ROWS, BATCH_CELLS // max(1, cells)))


def cut(frame: pl.DataFrame, rows: int) -> Iterator[pl.DataFrame]:
    """A frame in parts of so many rows."""
    for start in range(0, frame.height, rows):
        yield frame[start : start + rows]


def gathered(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in frames of at most ``rows``, small ones joined to nearly as many."""
    kept: list[pl.DataFrame] = []
    height = size = 0
    for given in frames:
        for frame in cut(given, rows):
            full = height + frame.height > rows or size > _JOINED_BYTES
            if kept and full:
                yield pl.concat(kept)
                kept, height, size = [], 0, 0
            kept.append(frame)
            height, size = height + frame.height, size + int(frame.estimated_size())
    if kept:
        yield pl.concat(kept)
