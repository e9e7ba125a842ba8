"""A column in brief: what it holds, whatever its kind, from one pass over its values."""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from tidegate.data.profile.categories import Categories, Tally
from tidegate.data.profile.embeddings import sides
from tidegate.data.profile.numbers import Floats, NumberBrief, Numbers
from tidegate.data.table import as_text
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError
from tidegate.domain.schema import Kind

#: A column of texts is prose, not categories, where most rows differ and are longer than codes and
#: names are.
PROSE_DISTINCT, PROSE_CHARS = 0.5, 25


@dataclass(frozen=True)
class ColumnProfile:
    """One column. ``missing`` rows hold nothing, or an infinite number.

    ``numbers``: what it holds as numbers, by what they are: ``value`` for numbers, and for dates in
    microseconds since 1970; ``length`` and directions for embeddings. ``tally``: the texts of a
    column of texts, dates among them.
    """

    name: str
    kind: Kind
    dtype: str
    rows: int
    missing: int
    numbers: dict[str, NumberBrief] = field(default_factory=dict)
    tally: Tally | None = None

    @property
    def value(self) -> NumberBrief | None:
        """The numbers of a numeric or date column."""
        return self.numbers.get("value")

    @property
    def held(self) -> int:
        """Rows that hold a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Share of rows that hold nothing."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def has_texts(self) -> bool:
        """Whether ``texts`` tells of every value: not of vectors, nor of more numbers than kept."""
        if self.tally is not None:
            return True
        return self.value is not None and not self.value.summary.error

    def texts(self) -> Tally:
        """The column as texts, where it ``has_texts``; numbers as they are written."""
        if self.tally is not None:
            return self.tally
        assert self.value is not None  # noqa: S101 - vectors have no texts
        summary = self.value.summary
        names = as_text(pl.Series(summary.values, dtype=pl.Float64)).to_list()
        order = sorted(range(len(names)), key=names.__getitem__)
        return Tally([names[place] for place in order], summary.counts[order], self.missing)

    def plus(self, other: "ColumnProfile") -> "ColumnProfile":
        """Both, ``other``'s rows below this one's; raises DataError where one holds text alone.

        A side that holds nothing fits any other.
        """
        if not (self.held and other.held):
            full, bare = (other, self) if other.held else (self, other)
            found = Found(self.missing + other.missing, full.numbers, full.tally)
            return found.plus_missing(bare.rows).column(
                self.name, full.dtype, self.rows + other.rows
            )
        if (self.tally is None) != (other.tally is None):
            raise DataError(
                "column '{column}' holds numbers on one side and text on the other",
                do="profile the rows of both together",
                column=self.name,
            )
        tally = None
        if self.tally is not None and other.tally is not None:
            tally = self.tally.plus(other.tally)
        found = Found(
            self.missing + other.missing,
            {name: self.numbers[name].plus(other.numbers[name])
             for name in self.numbers if name in other.numbers},
            tally,
        )  # fmt: skip
        return found.column(self.name, self.dtype, self.rows + other.rows)


class Found(NamedTuple):
    """What a stream gave: how much is missing, the numbers, the texts."""

    missing: int
    numbers: dict[str, NumberBrief]
    tally: Tally | None = None

    def plus_missing(self, rows: int) -> "Found":
        """The same with so many further rows that hold nothing counted in the parts."""
        numbers = {
            side: replace(brief, missing=brief.missing + rows)
            for side, brief in self.numbers.items()
        }
        tally = self.tally
        if tally is not None:
            tally = replace(tally, missing=tally.missing + rows)
        return Found(self.missing, numbers, tally)

    def column(self, name: str, dtype: str, rows: int) -> ColumnProfile:
        """The same with its kind, and the column's name."""
        kind = Kind.NUMERIC
        if self.tally is not None:
            kind = Kind.DATE if self.numbers else _kind_of_texts(self.tally)
        elif "value" not in self.numbers:
            kind = Kind.EMBEDDING
        return ColumnProfile(name, kind, dtype, rows, self.missing, self.numbers, self.tally)


class Stream(Protocol):
    """A column as it streams by."""

    def add(self, series: pl.Series) -> None:
        """Take in a batch of a canonical column."""

    def found(self) -> Found:
        """What was taken in."""


def stream_of(series: pl.Series) -> Stream:
    """What takes in a column of this type."""
    if series.dtype == pl.String:
        return _Texts()
    return _Vectors() if isinstance(series.dtype, pl.Array) else _Numeric()


class _Numeric:
    def __init__(self) -> None:
        self._numbers = Numbers()

    def add(self, series: pl.Series) -> None:
        self._numbers.add(series.cast(pl.Float64).to_numpy())

    def found(self) -> Found:
        brief = self._numbers.brief()
        return Found(brief.missing + brief.infinite, {"value": brief})


class _Texts:
    def __init__(self) -> None:
        self._categories = Categories()
        self._times: Numbers | None = Numbers()

    def add(self, series: pl.Series) -> None:
        self._categories.add(series)
        if self._times is not None:
            times = _times(series)
            if times is None:
                self._times = None
            else:
                self._times.add(times)

    def found(self) -> Found:
        tally = self._categories.tally()
        times = self._times.brief() if self._times is not None and tally.held else None
        return Found(tally.missing, {} if times is None else {"value": times}, tally)


class _Vectors:
    def __init__(self) -> None:
        self._sides: dict[str, Numbers] = {}
        self._missing = 0

    def add(self, series: pl.Series) -> None:
        size: int = series.dtype.size  # type: ignore[attr-defined]
        held = series.drop_nulls().cast(pl.Array(pl.Float64, size))
        vectors = held.to_numpy().reshape(len(held), size)
        seen = sides(vectors)
        sound = np.isfinite(seen["length"])
        self._missing += len(series) - int(sound.sum())
        for name, values in seen.items():
            self._sides.setdefault(name, Numbers()).add(values[sound])

    def found(self) -> Found:
        return Found(self._missing, {name: side.brief() for name, side in self._sides.items()})


def microseconds(texts: pl.Series) -> Floats:
    """Since 1970, of texts that are all times, NaN where missing; raises DataError else."""
    bare = texts.str.strip_chars()
    frame = pl.DataFrame([bare.set(bare == "", None).alias("time")])
    times = time_of(frame, ["time"])
    return times.cast(pl.Int64).cast(pl.Float64).fill_null(math.nan).to_numpy()


def _times(series: pl.Series) -> Floats | None:
    bare = series.str.strip_chars()
    # A look at one spares trying every form of a time on a column of names.
    first = bare.filter(bare != "").head(1)
    if len(first) and not first.str.contains(r"^\d{1,4}[-/]\d{1,2}[-/]\d{1,4}")[0]:
        return None
    try:
        return microseconds(bare)
    except DataError:
        return None


def _kind_of_texts(tally: Tally) -> Kind:
    if not tally.held:
        return Kind.CATEGORICAL
    if tally.more is None and set(tally.names) <= {"true", "false"}:
        return Kind.BOOLEAN
    if tally.distinct <= PROSE_DISTINCT * tally.held:
        return Kind.CATEGORICAL
    lengths = tally.beyond.lengths
    chars = float(lengths @ np.arange(len(lengths))) / tally.held
    return Kind.TEXT if chars > PROSE_CHARS else Kind.CATEGORICAL
