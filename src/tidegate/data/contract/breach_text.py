"""What a broken rule of one column says: what was found, in which rows, and what to do."""

from collections.abc import Callable

import polars as pl

from tidegate.data.contract.tally import Tally
from tidegate.data.table import kind_of
from tidegate.domain.messages import Message, say
from tidegate.domain.schema import ColumnRule, Kind

_KIND_NAMES = {
    Kind.NUMERIC: say("numeric"),
    Kind.CATEGORICAL: say("text"),
    Kind.TEXT: say("text"),
    Kind.BOOLEAN: say("true or false"),
    Kind.DATE: say("a time"),
    Kind.EMBEDDING: say("an embedding"),
}


def of_another_kind(rule: ColumnRule, dtype: pl.DataType, tally: Tally) -> Message:
    """A column that is not of the rule's kind."""
    expected, found = _KIND_NAMES[rule.kind], _KIND_NAMES[kind_of(dtype)]
    if isinstance(dtype, pl.Array):
        found = say("an embedding of {width} numbers", width=dtype.shape[0])
    if rule.width is not None:
        expected = say("an embedding of {width} numbers", width=rule.width)
    return say(
        "column '{column}' was {expected} and is now {found}: {examples} (rows {rows}); give it "
        "as before, or change its kind in the contract",
        column=rule.name,
        expected=expected,
        found=found,
        examples=tally.examples,
        rows=tally.rows,
    )


def too_many_missing(rule: ColumnRule, tally: Tally, rows: int) -> Message:
    """More values are missing than the rule allows."""
    return say(
        "column '{column}' misses {share:.1%} of its values, {count:,} in all; the contract allows "
        "{limit:.1%} (rows {rows}); fill them in, or raise max_missing_share",
        column=rule.name,
        share=tally.count / max(rows, 1),
        count=tally.count,
        limit=rule.max_missing_share,
        rows=tally.rows,
    )


def _unreadable(rule: ColumnRule, tally: Tally) -> Message:
    if rule.kind is Kind.DATE:
        return say(
            "column '{column}' holds {count} values that are no times: {examples} (rows {rows}); "
            "write times as 2011-12-31 23:59:00, dates as 2011-12-31 or 12/31/2011",
            column=rule.name,
            count=tally.count,
            examples=tally.examples,
            rows=tally.rows,
        )
    return say(
        "column '{column}' holds {count} values that are neither true nor false: {examples} "
        "(rows {rows}); write true, false, 1 or 0",
        column=rule.name,
        count=tally.count,
        examples=tally.examples,
        rows=tally.rows,
    )


def _range(rule: ColumnRule, tally: Tally) -> Message:
    low, high = (
        (rule.earliest, rule.latest) if rule.kind is Kind.DATE else (rule.minimum, rule.maximum)
    )
    return say(
        "column '{column}' holds {count} values outside {low} to {high}: {examples} (rows {rows}); "
        "correct them, or widen the contract's range",
        column=rule.name,
        count=tally.count,
        low=_limit(low, "-∞"),
        high=_limit(high, "∞"),
        examples=tally.examples,
        rows=tally.rows,
    )


def _limit(given: float | str | None, none: str) -> str:
    if given is None:
        return none
    return given if isinstance(given, str) else f"{given:g}"


def _allowed(rule: ColumnRule, tally: Tally) -> Message:
    return say(
        "column '{column}' holds {count} values that are not on its list: {examples} "
        "(rows {rows}); correct them, or add them to the contract's list",
        column=rule.name,
        count=tally.count,
        examples=tally.examples,
        rows=tally.rows,
    )


def _pattern(rule: ColumnRule, tally: Tally) -> Message:
    return say(
        "column '{column}' holds {count} values that do not match {pattern}: {examples} "
        "(rows {rows}); correct them, or change the contract's pattern",
        column=rule.name,
        count=tally.count,
        pattern=rule.pattern,
        examples=tally.examples,
        rows=tally.rows,
    )


def _length(rule: ColumnRule, tally: Tally) -> Message:
    return say(
        "column '{column}' holds {count} texts that are not {low} to {high} characters long: "
        "{examples} (rows {rows}); correct them, or widen min_length and max_length",
        column=rule.name,
        count=tally.count,
        low=rule.min_length or 0,
        high="∞" if rule.max_length is None else str(rule.max_length),
        examples=tally.examples,
        rows=tally.rows,
    )


#: By the name of the rule that is broken.
BROKEN: dict[str, Callable[[ColumnRule, Tally], Message]] = {
    "unreadable": _unreadable,
    "range": _range,
    "allowed": _allowed,
    "pattern": _pattern,
    "length": _length,
}
