"""A uniform sample of the rows that stream by, for what counts per column cannot tell."""

import numpy as np
import polars as pl

from tidegate.domain.errors import DataError

#: Rows kept. At 5,000 a side an AUC is known to within 0.01, finer than any threshold in use; more
#: rows would cost time and tell nothing.
ROWS = 5000
#: Values kept, for wide tables: those of 1,000 columns at 1,000 rows.
VALUES = 1_000_000
#: Fewer rows than this tell nothing about columns together, however many there are.
FEWEST = 500


class Sample:
    """Rows kept with equal chance: ``add`` batches, then take the ``rows``.

    Each row draws a number, and those with the smallest are kept (Vitter 1985 calls such samples
    reservoirs): batches and whole streams can be taken together.
    """

    def __init__(self, columns: int, seed: int = 0):
        self._size = _kept(columns)
        self._random = np.random.default_rng(seed)
        self._frames: list[pl.DataFrame] = []
        self._drawn: list[np.ndarray] = []
        self._held = 0
        self._highest = 1.0

    def add(self, batch: pl.DataFrame) -> None:
        """Take in a batch of rows."""
        drawn = self._random.random(batch.height)
        kept = np.flatnonzero(drawn < self._highest)
        if not len(kept):
            return
        self._frames.append(batch[kept] if len(kept) < batch.height else batch)
        self._drawn.append(drawn[kept])
        self._held += len(kept)
        if self._held > 2 * self._size:
            self._settle()

    def rows(self) -> pl.DataFrame | None:
        """The rows kept, in the order they came; None where there were none."""
        if not self._frames:
            return None
        self._settle()
        return self._frames[0]

    def _settle(self) -> None:
        frame, drawn = pl.concat(self._frames), np.concatenate(self._drawn)
        if len(drawn) > self._size:
            self._highest = float(np.partition(drawn, self._size)[self._size])
            kept = np.flatnonzero(drawn < self._highest)
            frame, drawn = frame[kept], drawn[kept]
        self._frames, self._drawn, self._held = [frame.rechunk()], [drawn], len(drawn)


def both(a: pl.DataFrame, rows_a: int, b: pl.DataFrame, rows_b: int, seed: int = 0) -> pl.DataFrame:
    """A sample of two tables of so many rows from a sample of each, as if they had been one."""
    size = max(a.height, b.height)
    if (a.height, b.height) == (rows_a, rows_b):  # every row of both is there
        size = min(rows_a + rows_b, _kept(a.width))
    random = np.random.default_rng(seed)
    # How many of a uniform sample of both come from the first; never more than a side has kept.
    wanted = int(random.hypergeometric(rows_a, rows_b, size))
    wanted = int(np.clip(wanted, size - b.height, a.height))
    taken = [
        np.sort(random.permutation(side.height)[:count])
        for side, count in ((a, wanted), (b, size - wanted))
    ]
    pairs = [alike(a[name][taken[0]], b[name][taken[1]]) for name in a.columns]
    return pl.DataFrame([pl.concat(pair) for pair in pairs])


def alike(a: pl.Series, b: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Two canonical columns in one type; raises DataError for vectors of different widths.

    One without any value takes the other's type, whole numbers beside others are numbers.
    """
    if a.dtype == b.dtype:
        return a, b
    for one, other in ((a, b), (b, a)):
        if one.null_count() == len(one):
            empty = pl.Series(one.name, [None] * len(one), dtype=other.dtype)
            return (empty, b) if one is a else (a, empty)
    if a.dtype.is_numeric() and b.dtype.is_numeric():
        return a.cast(pl.Float64), b.cast(pl.Float64)
    raise DataError(
        "column '{column}' is of type {before} on one side and of {now} on the other",
        do="profile the rows of both together",
        column=a.name,
        before=str(a.dtype),
        now=str(b.dtype),
    )


def _kept(columns: int) -> int:
    """Rows that are kept of a table of so many columns."""
    return int(np.clip(VALUES // max(1, columns), FEWEST, ROWS))
