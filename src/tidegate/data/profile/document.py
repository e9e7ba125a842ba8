"""What a profile is in JSON, and whether what it says can be true."""

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from tidegate.data.profile.categories import GROUPS, HASHES, LONGEST
from tidegate.data.profile.embeddings import SIDES
from tidegate.data.profile.sample import FEWEST, ROWS
from tidegate.domain.errors import DataError
from tidegate.domain.messages import Frozen
from tidegate.domain.schema import Kind

FORMAT = "tidegate/profile/2"

#: Rows in a profile: so many are counted exactly in float64 too, and no sum of two overflows.
_MOST_ROWS = 2**53
#: The years 0 to 9999 in microseconds since 1970, and a year at either end for zones.
_FIRST, _LAST = (int(np.datetime64(year, "us").astype(np.int64)) for year in ("-0001", "10001"))


class Numbers(Frozen):
    """A ``NumberBrief`` in JSON; ``minimum`` and ``maximum`` are absent where there are no rows."""

    values: list[float]
    counts: list[int]
    error_rows: float
    rows: int
    mean: float
    sd: float
    minimum: float | None = None
    maximum: float | None = None
    missing: int
    infinite: int
    rising: bool
    first: float | None = None
    last: float | None = None


class Texts(Frozen):
    """A ``Tally`` in JSON; the last three only where not all categories are named."""

    names: list[str]
    counts: list[int]
    missing: int
    lost: int = 0
    groups: list[int] | None = None
    lengths: list[int] | None = None
    hashes: list[int] | None = None


class Column(Frozen):
    """A ``ColumnProfile`` in JSON; ``distinct`` is for people."""

    name: str
    kind: Kind
    dtype: str
    rows: int
    missing: int
    distinct: int | None = None
    numbers: dict[str, Numbers] = {}
    texts: Texts | None = None


class Document(Frozen):
    """A ``Profile`` in JSON; ``sample`` is a uniform sample of the rows, column by column."""

    format: Literal["tidegate/profile/2"]
    name: str
    rows: int
    columns: list[Column]
    types: dict[str, str]
    sample: dict[str, list[Any]]


def check(found: Document) -> None:
    """Raise DataError where a document that is well formed cannot be true."""
    names = [column.name for column in found.columns]
    if not 1 <= found.rows < _MOST_ROWS or len(names) != len(set(names)):
        raise DataError(
            "the profile contradicts itself: it is of {rows} rows, and its columns are {columns}",
            do="make the profile again from the data",
            rows=found.rows,
            columns=names[:20],
        )
    for column in found.columns:
        if column.rows != found.rows or not _sound(column):
            raise DataError(
                "the profile of column '{column}' contradicts itself: its counts do not add up to "
                "its rows, its values are not in order, or it is not of its kind",
                do="make the profile again from the data",
                column=column.name,
            )
        if not _sampled(found, column):
            raise no_sample(column.name)


def no_sample(column: str) -> DataError:
    """A profile whose sample is not one of this column."""
    return DataError(
        "the profile's sample does not hold column '{column}' as the profile describes it",
        do="make the profile again from the data",
        column=column,
    )


def _sampled(found: Document, column: Column) -> bool:
    """Whether as many values are kept of a column as of every other, and as many as ever are."""
    height = len(next(iter(found.sample.values()), []))
    values = found.sample.get(column.name, [])
    fits = min(found.rows, FEWEST) <= height <= min(found.rows, ROWS)
    return fits and len(values) == height and found.types.get(column.name) == column.dtype


def _sound(column: Column) -> bool:
    texts, held = column.texts, column.rows - column.missing
    # Vectors that are missing are not seen from any side.
    missing = 0 if column.kind is Kind.EMBEDDING else column.missing
    gaps = [one.missing + one.infinite for one in column.numbers.values()]
    return (
        0 <= column.missing <= column.rows
        and _of_its_kind(column)
        and all(gap == missing for gap in gaps)
        and all(_sound_numbers(one, held) for one in column.numbers.values())
        and (texts is None or (texts.missing == column.missing and _sound_texts(texts, held)))
    )


def _of_its_kind(column: Column) -> bool:
    """Whether a column holds what its kind and its type say."""
    numbers, texts = set(column.numbers), column.texts
    if column.kind is Kind.NUMERIC:
        return numbers == {"value"} and texts is None and column.dtype in ("Int64", "Float64")
    if column.kind is Kind.EMBEDDING:
        return numbers == set(SIDES) and texts is None and column.dtype.startswith("Array(")
    if texts is None or column.dtype != "String":
        return False
    if column.kind is Kind.BOOLEAN:
        return not numbers and set(texts.names) <= {"true", "false"}
    if column.kind is not Kind.DATE:
        return not numbers
    times = [value for one in column.numbers.values() for value in one.values]
    return numbers == {"value"} and all(_FIRST <= value <= _LAST for value in times)


def _sound_numbers(one: Numbers, held: int) -> bool:
    bounds = [one.minimum, one.maximum, one.first, one.last]
    there = [bound for bound in bounds if bound is not None]
    return (
        len(one.values) == len(one.counts)
        and sum(one.counts) == one.rows == held
        and min([*one.counts, one.missing, one.infinite, one.sd, one.error_rows]) >= 0
        and all(a < b for a, b in pairwise(one.values))
        and all(map(math.isfinite, [*one.values, *there, one.mean, one.sd, one.error_rows]))
        and len(there) == (len(bounds) if held else 0)
        and (not there or (there[0] == min(there) and there[1] == max(there)))
    )


def _sound_texts(texts: Texts, held: int) -> bool:
    named = sum(texts.counts)
    more = (texts.groups, texts.lengths, texts.hashes)
    counted = [*(texts.groups or []), *(texts.lengths or []), *(texts.hashes or [])]
    return (
        len(texts.names) == len(texts.counts) == len(set(texts.names))
        and min([*texts.counts, texts.missing, texts.lost, *counted, 0]) >= 0
        and texts.lost <= held
        and len({part is None for part in more}) == 1
        and (
            named == held
            if texts.groups is None
            else named <= held == sum(texts.groups) == sum(texts.lengths or [])
            and len(texts.groups) == GROUPS
            and len(texts.lengths or []) <= LONGEST + 1
            and len(texts.hashes or []) <= HASHES
            and max(texts.hashes or [0]) < 2**64
        )
    )
