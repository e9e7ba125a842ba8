"""Rules over several columns as polars expressions: what is written, on every row at once.

A rule is broken where it is false; where a value it needs is missing it says nothing, as in SQL.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import polars as pl

from tidegate.domain.expression import ARITHMETIC, Node
from tidegate.domain.messages import Message, say
from tidegate.domain.schema import moment

#: Sums of decimals are off in the last digits (0.1 + 0.2 is not 0.3): numbers with a point count
#: as equal up to this share of the larger one.
TOLERANCE = 1e-9
_US_PER_DAY = 86_400_000_000


class Type(StrEnum):
    """What a part of a rule gives for every row."""

    NUMBER = "a number"
    TEXT = "a text"
    TIME = "a time"
    TRUTH = "true or false"
    EMBEDDING = "an embedding"


class Cell(NamedTuple):
    """A part of a rule: its expression and what that gives; ``exact`` whole numbers have no noise.

    ``text`` is what a constant said, since a text beside a time is a time.
    """

    expr: pl.Expr
    type: Type
    exact: bool = False
    text: str | None = None


class Unchecked(Exception):
    """A rule that these columns do not allow to check, and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.text())
        self.message = message


def broken(rule: Node, columns: Mapping[str, Cell]) -> pl.Expr:
    """True in the rows that break the rule; raises Unchecked naming the place in its text."""
    cell = _cell(rule, columns)
    if cell.type is not Type.TRUTH:
        raise _mismatch(rule, cell.type, Type.TRUTH)
    return (~cell.expr).fill_null(False)


def _cell(node: Node, columns: Mapping[str, Cell]) -> Cell:
    if node.kind == "column":
        if node.value not in columns:
            raise Unchecked(
                say(
                    "at character {place}: there is no column '{column}'",
                    place=node.place,
                    column=node.value,
                )
            )
        return columns[node.value]
    if node.kind == "constant":
        return _constant(node.value)
    parts = [_cell(part, columns) for part in node.parts if part.kind != "list"]
    if node.kind in _LOGIC:
        for part, cell in zip(node.parts, parts, strict=True):
            if cell.type is not Type.TRUTH:
                raise _mismatch(part, cell.type, Type.TRUTH)
        return Cell(_LOGIC[node.kind]([cell.expr for cell in parts]), Type.TRUTH)
    if node.kind in ("is", "is not"):
        missing = parts[0].expr.is_null()
        return Cell(missing if node.kind == "is" else ~missing, Type.TRUTH)
    if node.kind in ("in", "not in"):
        return _membership(node, parts[0])
    if node.kind in ("len", "lower", "abs", "minus"):
        return _function(node, parts[0])
    if node.kind in ARITHMETIC.values():
        return _arithmetic(node, parts[0], parts[1])
    return Cell(_comparison(node, parts[0], parts[1]), Type.TRUTH)


_LOGIC: dict[str, Callable[[list[pl.Expr]], pl.Expr]] = {
    "not": lambda parts: ~parts[0],
    "and": lambda parts: pl.all_horizontal(parts),
    "or": lambda parts: pl.any_horizontal(parts),
    "if": lambda parts: ~parts[0] | parts[1],
}


def _constant(value: Any) -> Cell:
    if value is None:
        return Cell(pl.lit(None), Type.TEXT)
    if isinstance(value, bool):
        return Cell(pl.lit(value), Type.TRUTH)
    if isinstance(value, str):
        return Cell(pl.lit(value), Type.TEXT, text=value)
    return Cell(pl.lit(value), Type.NUMBER, exact=isinstance(value, int))


def _function(node: Node, cell: Cell) -> Cell:
    wanted = Type.NUMBER if node.kind in ("abs", "minus") else Type.TEXT
    if cell.type is not wanted:
        raise _mismatch(node.parts[0], cell.type, wanted)
    if node.kind == "len":
        return Cell(cell.expr.str.len_chars().cast(pl.Int64), Type.NUMBER, exact=True)
    if node.kind == "lower":
        return Cell(cell.expr.str.to_lowercase(), Type.TEXT)
    number = cell.expr.cast(pl.Float64)
    return Cell(number.abs() if node.kind == "abs" else -number, Type.NUMBER)


def _arithmetic(node: Node, left: Cell, right: Cell) -> Cell:
    """In floats, so that nothing wraps around; what is no number (0 / 0) is missing."""
    left, right = _as_times(node, left, right)
    if node.kind == "-" and left.type is right.type is Type.TIME:
        days = (left.expr - right.expr).dt.total_microseconds().cast(pl.Float64) / _US_PER_DAY
        return Cell(days, Type.NUMBER)
    for part, cell in zip(node.parts, (left, right), strict=True):
        if cell.type is not Type.NUMBER:
            raise _mismatch(part, cell.type, Type.NUMBER)
    a, b = left.expr.cast(pl.Float64), right.expr.cast(pl.Float64)
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a / b, "%": a % b}[node.kind]
    return Cell(result.fill_nan(None), Type.NUMBER)


def _comparison(node: Node, left: Cell, right: Cell) -> pl.Expr:
    left, right = _as_times(node, left, right)
    if left.type is not right.type or left.type is Type.EMBEDDING:
        raise _mismatch(node.parts[1], right.type, left.type)
    a, b = left.expr, right.expr
    if left.type is Type.TRUTH and node.kind not in ("==", "!="):
        raise _mismatch(node.parts[0], left.type, Type.NUMBER)
    same = a == b
    if left.type is Type.NUMBER and not (left.exact and right.exact):
        larger = pl.max_horizontal(a.abs(), b.abs())
        near = ((a - b).abs() <= TOLERANCE * larger) & larger.is_finite()
        same = same | near
    match node.kind:
        case "==":
            return same
        case "!=":
            return ~same
        case "<":
            return (a < b) & ~same
        case "<=":
            return (a < b) | same
        case ">":
            return (a > b) & ~same
        case _:
            return (a > b) | same


def _membership(node: Node, cell: Cell) -> Cell:
    listed = node.parts[1]
    same = [
        _comparison(Node("==", (node.parts[0], listed)), cell, _constant(value))
        for value in listed.value
    ]
    found = pl.any_horizontal(same)
    return Cell(found if node.kind == "in" else ~found, Type.TRUTH)


def _as_times(node: Node, left: Cell, right: Cell) -> tuple[Cell, Cell]:
    """A constant text beside a time is the time it names."""
    sides = []
    for part, cell, other in ((0, left, right), (1, right, left)):
        if other.type is Type.TIME and cell.text is not None:
            try:
                time = pl.lit(moment(cell.text)).cast(pl.Datetime("us"))
            except ValueError:
                raise _mismatch(node.parts[part], Type.TEXT, Type.TIME) from None
            cell = Cell(time, Type.TIME)
        sides.append(cell)
    return sides[0], sides[1]


_TYPES = {
    Type.NUMBER: say("a number"),
    Type.TEXT: say("a text"),
    Type.TIME: say("a time"),
    Type.TRUTH: say("true or false"),
    Type.EMBEDDING: say("an embedding"),
}


def _mismatch(node: Node, found: Type, wanted: Type) -> Unchecked:
    return Unchecked(
        say(
            "at character {place}: this is {found}, and {wanted} is needed",
            place=node.place,
            found=_TYPES[found],
            wanted=_TYPES[wanted],
        )
    )
