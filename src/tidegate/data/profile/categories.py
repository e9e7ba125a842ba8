"""A stream of texts in brief: exact counts while they are few, groups by hash beyond that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.profile.hashing import Hashes, text_hashes

Counts = NDArray[np.int64]

#: Categories that are counted by name; a list of codes has fewer, names of people have more.
NAMED = 10_000
#: Named when there are more: the most frequent ones, for people to read.
KEPT = 1_000
#: All rows are then also counted in so many groups of categories. Which group a category belongs
#: to its hash says, so the groups are the same everywhere; the most frequent categories are not,
#: and two samples of one source would differ.
GROUPS = 256
#: Smallest hashes kept to tell how many categories there are: to about 3 percent (Bar-Yossef et
#: al. 2002).
HASHES = 1024
#: Texts are counted by their length up to this many characters; longer ones together.
LONGEST = 4096
#: Distinct texts of batches that wait to be counted together.
_PENDING = 100_000


@dataclass(frozen=True)
class Beyond:
    """What is known of texts when not all are named; all of it exact but for ``hashes``.

    ``groups``: rows per group of categories. ``lengths``: rows by their number of characters.
    ``hashes``: the smallest ones, ascending, each once.
    """

    groups: Counts
    lengths: Counts
    hashes: Hashes

    def plus(self, other: "Beyond") -> "Beyond":
        """Of both together."""
        lengths = np.zeros(max(len(self.lengths), len(other.lengths)), np.int64)
        for side in (self.lengths, other.lengths):
            lengths[: len(side)] += side
        hashes = np.unique(np.concatenate([self.hashes, other.hashes]))[:HASHES]
        return Beyond(self.groups + other.groups, lengths, hashes)


@dataclass(frozen=True)
class Tally:
    """``counts`` rows for each of ``names`` (ascending, all there are unless ``more``).

    ``lost``: by how many rows at most a count may be too low, where not all are named.
    """

    names: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=lambda: np.empty(0, np.int64))
    missing: int = 0
    lost: int = 0
    more: Beyond | None = None

    @cached_property
    def beyond(self) -> Beyond:
        """Groups, lengths and hashes of all rows."""
        if self.more is not None:
            return self.more
        return beyond(pl.Series(self.names, dtype=pl.String), self.counts)

    @property
    def held(self) -> int:
        """Rows that hold a text, exactly."""
        return int((self.counts if self.more is None else self.more.groups).sum())

    @property
    def distinct(self) -> int:
        """How many categories there are: exact where all are named, else to about 3 percent."""
        if self.more is None or not len(self.more.hashes):
            return len(self.names)
        share = float(self.more.hashes[-1]) / 2.0**64
        return max(len(self.names), round((len(self.more.hashes) - 1) / share))

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        both = Categories()
        for side in (self, other):
            both.take(side)
        return both.tally()


class Categories:
    """Texts as they stream by: ``add`` batches, then take the ``tally``."""

    def __init__(self) -> None:
        self._missing = 0
        self._waiting: list[pl.DataFrame] = []
        self._held = 0
        self._lost = 0
        self._more: Beyond | None = None

    def add(self, texts: pl.Series) -> None:
        """Take in a String column; blanks around texts do not count, nothing else is missing."""
        counted = texts.alias("name").value_counts(name="rows").cast({"rows": pl.Int64})
        bare = counted["name"].str.strip_chars()
        if (bare != counted["name"]).any():
            counted = _together([counted.with_columns(name=bare)])
        there = pl.col("name").is_not_null() & (pl.col("name") != "")
        held = counted.filter(there)
        self._missing += len(texts) - int(held["rows"].sum())
        self._take(held)

    def take(self, other: Tally) -> None:
        """Take in what another stream gave."""
        self._missing += other.missing
        self._lost += other.lost
        table = pl.DataFrame({"name": other.names, "rows": other.counts}, _TABLE)
        if other.more is None:
            self._take(table)
            return
        self._settle()
        mine = self._more
        if mine is None and self._waiting:
            mine = beyond(self._waiting[0]["name"], self._waiting[0]["rows"].to_numpy())
        self._more = other.more if mine is None else mine.plus(other.more)
        self._waiting.append(table)
        self._settle()

    def tally(self) -> Tally:
        """What was taken in."""
        self._settle()
        if not self._waiting:
            return Tally(missing=self._missing)
        table = self._waiting[0]
        return Tally(
            table["name"].to_list(), table["rows"].to_numpy(), self._missing, self._lost, self._more
        )

    def _take(self, counted: pl.DataFrame) -> None:
        if self._more is not None:
            more = beyond(counted["name"], counted["rows"].to_numpy())
            self._more = self._more.plus(more)
        self._waiting.append(counted)
        self._held += counted.height
        if self._held > _PENDING:
            self._settle()

    def _settle(self) -> None:
        """Everything that waits in one table by name, cut where it is too long."""
        if not self._waiting:
            return
        table = _together(self._waiting)
        if table.height > NAMED:
            if self._more is None:
                self._more = beyond(table["name"], table["rows"].to_numpy())
            ranked = table.sort(["rows", "name"], descending=[True, False])
            # One that is left out may come again, and is then counted from nothing.
            self._lost += int(ranked["rows"][KEPT])
            table = ranked[:KEPT].sort("name")
        self._waiting, self._held = [table], table.height


_TABLE = {"name": pl.String, "rows": pl.Int64}


def beyond(names: pl.Series, counts: Counts) -> Beyond:
    """Groups, lengths and hashes of distinct texts with so many rows each."""
    hashes = text_hashes(names)
    sizes = np.minimum(names.str.len_chars().to_numpy().astype(np.int64), LONGEST)
    return Beyond(
        _counted(group_of(hashes), counts, GROUPS),
        _counted(sizes, counts, 1),
        np.unique(hashes)[:HASHES],
    )


def group_of(hashes: Hashes) -> Counts:
    """Which of the groups each text belongs to, by its hash."""
    return (hashes % np.uint64(GROUPS)).astype(np.int64)


def _counted(places: NDArray[np.int64], counts: Counts, least: int) -> Counts:
    # Weights are float64, exact up to 2**53 rows.
    return np.bincount(places, weights=counts, minlength=least).astype(np.int64)


def _together(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(tables).group_by("name").agg(pl.col("rows").sum()).sort("name")
