"""Rows that are alike in some columns: counted exactly over any number of rows."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tidegate.data.contract.tally import EXAMPLES, Tally
from tidegate.data.table import taken
from tidegate.domain.errors import StorageError

#: Bytes of values held in memory before they go to disk, per rule.
HELD_BYTES = 16 * 2**20
#: Parts on disk, by a hash of the values: each is looked through by itself, so memory is bounded
#: by HELD_BYTES, or a 64th of all distinct values where that is more (3 GB of distinct values
#: would make 47 MB).
BUCKETS = 64
_SEED = 20_260_101


class Repeats:
    """Finds rows that were there before, in the given columns; rows that miss one are passed over.

    Exact: values are compared, not their hashes. Needs room in the temporary folder for the
    columns' values, and gives it back with ``close`` or at the end of a ``with`` block.
    """

    def __init__(self, columns: Sequence[str], held_bytes: int = HELD_BYTES) -> None:
        self.columns = list(columns)
        self._keys = [f"k{at}" for at in range(len(self.columns))]  # names mean something to polars
        self._held: list[pl.DataFrame] = []
        self._size, self._limit = 0, held_bytes
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._parts = 0
        self._found = Tally(pl.lit(False), pl.lit(None))
        self._first: list[tuple[int, str]] = []

    def __enter__(self) -> "Repeats":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what lies on disk."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def add(self, frame: pl.DataFrame, start: int) -> None:
        """Take in a batch whose first row is row ``start``."""
        keys = pl.DataFrame(
            [
                # 0.0 and -0.0 are one number, and have one hash only when they are made one.
                (series + 0.0 if series.dtype == pl.Float64 else series).alias(key)
                for key, series in zip(
                    self._keys, taken(frame, self.columns).get_columns(), strict=True
                )
            ]
        )
        keys = keys.with_row_index("row", offset=start).cast({"row": pl.Int64})
        keys = keys.drop_nulls(self._keys)
        self._held.append(keys)
        self._size += _size(keys)
        if self._size > self._limit:
            self._spill()

    def tally(self) -> Tally:
        """How many rows repeat an earlier one, and the first of them; ends the counting."""
        if self._folder is None:
            self._take(pl.concat(self._held) if self._held else None)
            self._held = []
        else:
            self._spill()
            for bucket in range(BUCKETS):
                files = sorted(Path(self._folder.name).glob(f"{bucket}-*.arrow"))
                rows = [pl.read_ipc(file) for file in files]
                self._take(pl.concat(rows) if rows else None)
        for row, value in self._first:
            self._found.keep(row, value)
        return self._found

    def _spill(self) -> None:
        """What is held goes to disk, each value once: what repeats here is counted here."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tidegate-")
        kept = self._take(pl.concat(self._held) if self._held else None)
        self._held, self._size = [], 0
        if kept is None:
            return
        bucket = kept.select(self._keys).hash_rows(_SEED) % BUCKETS
        try:
            for (number,), part in kept.group_by(bucket.alias("bucket")):
                file = Path(self._folder.name) / f"{number}-{self._parts:06}.arrow"
                part.select("row", *self._keys).write_ipc(file)
        except OSError as error:
            raise StorageError(
                "the values of {columns} cannot be set aside in {folder} ({reason})",
                do="make room there, or let TMPDIR name another folder",
                columns=self.columns,
                folder=self._folder.name,
                reason=error.strerror or str(error),
            ) from None
        self._parts += 1

    def _take(self, rows: pl.DataFrame | None) -> pl.DataFrame | None:
        """Count what repeats within ``rows``; gives the first row of every value."""
        if rows is None:
            return None
        rows = rows.sort("row")
        # Only rows whose hash another one has can be alike; those few are compared in full.
        hashes = rows.select(self._keys).hash_rows(_SEED)
        ordered = hashes.sort()
        suspect = hashes.is_in(ordered.filter(ordered == ordered.shift(1)).implode())
        suspects = rows.filter(suspect)
        alike = ~suspects.select(pl.struct(self._keys).is_first_distinct()).to_series()
        again = suspects.filter(alike)
        first = ~suspect.scatter(suspect.arg_true(), alike)
        self._found.count += again.height
        shown = again.head(EXAMPLES)
        self._first += [(row, ", ".join(map(str, values))) for row, *values in shown.iter_rows()]
        self._first = sorted(self._first)[:EXAMPLES]
        return rows.filter(first)


def _size(keys: pl.DataFrame) -> int:
    texts = [series for series in keys.get_columns() if series.dtype == pl.String]
    return 8 * keys.height * keys.width + sum(int(text.str.len_bytes().sum()) for text in texts)
