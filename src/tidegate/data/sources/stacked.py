"""Several sources as one: their rows in order, their columns made alike."""

from collections.abc import Iterator, Sequence

import polars as pl

from tidegate.data.sources.rows import Source
from tidegate.domain.errors import DataError


class StackedSource(Source):
    """The rows of each source after those of the one before; raises DataError where they differ.

    The first one's order of columns stands. A column is text or numbers in all; one without values
    fits any type.
    """

    def __init__(self, parts: Sequence[Source], name: str | None = None):
        self._parts = list(parts)
        self.name = name or ", ".join(part.name for part in parts)
        sizes, rows = ([getattr(part, n) for part in parts] for n in ("size_bytes", "rows"))
        self.size_bytes = None if None in sizes else sum(sizes)
        self.rows = None if None in rows else sum(rows)
        for part in self._parts[1:]:
            _check_columns(self._parts[0], part)
        self.schema = {name: _common(name, self._parts) for name in self._parts[0].columns}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = {name: self.schema[name] for name in columns or self.columns}
        for part in self._parts:
            for batch in part.batches(list(wanted)):
                yield batch.cast(wanted)  # type: ignore[arg-type]

    def holds(self, column: str) -> bool:
        """Whether a column holds any value."""
        return any(part.holds(column) for part in self._parts)


def stacked_source(parts: Sequence[Source], name: str | None = None) -> Source:
    """The rows of all parts in order; of a single one, that."""
    return parts[0] if len(parts) == 1 and name is None else StackedSource(parts, name)


def _check_columns(first: Source, other: Source) -> None:
    missing = [name for name in first.columns if name not in other.schema]
    extra = [name for name in other.columns if name not in first.schema]
    if missing or extra:
        raise DataError(
            "{other} has not the columns of {file} (missing: {missing}; extra: {extra})",
            do="give the files the same columns, or add them one by one",
            file=first.name,
            other=other.name,
            missing=missing or ["-"],
            extra=extra or ["-"],
        )


def _common(name: str, parts: Sequence[Source]) -> pl.DataType:
    """The one type of a column over all parts; a column without values fits any."""
    if len({part.schema[name] for part in parts}) == 1:
        return parts[0].schema[name]
    held: dict[pl.DataType, Source] = {}
    for part in parts:
        if part.schema[name] not in held and part.holds(name):
            held[part.schema[name]] = part
    if not held:
        return pl.Float64()
    if all(dtype.is_numeric() for dtype in held):
        return next(iter(held)) if len(held) == 1 else pl.Float64()
    if len(held) == 1:
        return next(iter(held))
    _refuse(name, held)
    raise AssertionError("unreachable")


def _refuse(name: str, held: dict[pl.DataType, Source]) -> None:
    (one, first), (other, second) = list(held.items())[:2]
    if other.is_numeric():
        one, first, other, second = other, second, one, first
    raise DataError(
        "column '{column}' holds numbers in {file} and text in {other}"
        if one.is_numeric() and other == pl.String
        else "column '{column}' is of one type in {file} and of another in {other}",
        do="correct the values, or add the files one by one",
        column=name,
        file=first.name,
        other=second.name,
    )
