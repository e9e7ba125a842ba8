"""Rows by column name: read, and checked by hand."""

from itertools import chain
from typing import Any

import polars as pl

from tidegate.apps.gateway.values import block_of, check_amount, not_a_table, shown
from tidegate.domain.answer import Asked
from tidegate.domain.errors import DataError, WrongUsage

_NUMBERS = frozenset({float, int, type(None)})
_PLAIN = frozenset({float, int, str, bool, type(None)})
#: How many values there may be for each that was given, as a column that one row names is one of
#: all; and how many in any case.
_SPREAD, _FEW = 4, 10_000


def rows_of(told: dict[str, Any]) -> tuple[Asked, list[str] | None]:
    """``rows`` by column name, and ``keys``, one a row; raises WrongUsage, DataError, TooLarge."""
    rows, keys = told.get("rows"), told.get("keys")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise WrongUsage("the request has no rows", do='give "rows": a list of objects')
    if keys is not None and (
        not isinstance(keys, list) or not all(isinstance(key, str) for key in keys)
    ):
        raise WrongUsage("keys is no list of texts", do="give one key a row, as a text")
    check_amount(len(rows))
    names = tuple(dict.fromkeys(chain.from_iterable(rows)))
    if len(names) * len(rows) > _SPREAD * sum(map(len, rows)) + _FEW:
        raise DataError(
            "{rows} rows name {columns} columns between them, and few of these each",
            do="give every row the columns of the model, null where a value is missing",
            rows=len(rows),
            columns=len(names),
        )
    columns = {name: [row.get(name) for row in rows] for name in names}
    kinds = {type(value) for values in columns.values() for value in values}
    if names and kinds <= _NUMBERS:
        return Asked(names, len(rows), columns=columns, block=block_of(columns)), keys
    if not kinds <= _PLAIN:
        for name, values in columns.items():
            _check_flat(name, values)
    try:
        frame = pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise not_a_table("rows", error) from None
    return Asked.of(frame), keys


def _check_flat(name: str, values: list[Any]) -> None:
    """Raise DataError for what is nested, but for a vector: to make a column of that takes longer
    the deeper it is."""
    for row, value in enumerate(values):
        if type(value) not in _PLAIN and not (
            type(value) is list and set(map(type, value)) <= _NUMBERS
        ):
            raise DataError(
                "column '{name}' holds {value} in row {row}",
                do="give a number, a text, true, false, null, or a list of numbers; the first row "
                "is row 0",
                name=name,
                value=shown(value),
                row=row,
            )
