"""Segments of requests, by the value of a column."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.domain.messages import Frozen

#: What is missing, as a segment's value.
MISSING = "(missing)"


class Segment(Frozen):
    """Requests with one ``value`` in a column; None: with one that no other segment names."""

    column: str
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.column}={'*' if self.value is None else self.value}"


def as_segment(value: Any) -> str:
    """A value as a segment names it: the same whether it came as a number or as text.

    >>> [as_segment(value) for value in (3.0, "3", True, None)]
    ['3', '3', 'true', '(missing)']
    """
    if value is None:
        return MISSING
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.removesuffix(".0")


def segments_of(segments: Sequence[Segment], row: Mapping[str, Any]) -> list[int]:
    """Places of the segments that a row of features is in: one of each column's.

    >>> north, others = Segment(column="at", value="north"), Segment(column="at")
    >>> segments_of([north, others], {"at": "north"}), segments_of([north, others], {})
    ([0], [1])
    """
    values = {column: as_segment(row.get(column)) for column in {one.column for one in segments}}
    named = {(one.column, one.value) for one in segments}
    return [
        place
        for place, one in enumerate(segments)
        if (one.value == values[one.column])
        or (one.value is None and (one.column, values[one.column]) not in named)
    ]
