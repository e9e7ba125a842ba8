"""How one column breaks its rule: how often, and the rows and values that show it."""

import math
from typing import Any

import polars as pl

from tidegate.data.table import as_text, kind_of
from tidegate.domain.messages import Message, say
from tidegate.domain.schema import Breach, ColumnRule, Kind

#: Rows and values that a breach shows.
EXAMPLES = 5


def reads_as(series: pl.Series, rule: ColumnRule) -> bool:
    """Whether a canonical column is of the rule's kind, or can be read as such.

    Numbers can be read as categories where the list allows every one of them: a batch in which
    only the codes 1 and 2 occur, of a column that also knows "X". No value fits any kind.
    """
    if kind_of(series.dtype) is rule.kind or series.null_count() == len(series):
        return True
    if rule.kind is Kind.NUMERIC or rule.allowed is None:
        return False
    return bool(as_text(series).drop_nulls().is_in(rule.allowed).all())


def column_breaches(rule: ColumnRule, series: pl.Series) -> list[Breach]:
    """Where a canonical column breaks its rule; blanks around texts must be off."""
    if not reads_as(series, rule):
        return [_kind_breach(rule, series)]
    found: list[Breach] = []
    missing = series.is_null()
    share = series.null_count() / max(len(series), 1)
    if share > rule.max_missing_share:
        message = say(
            "column '{column}' misses {share:.1%} of its values; the contract allows {limit:.1%}",
            column=rule.name,
            share=share,
            limit=rule.max_missing_share,
        )
        found.append(_breach(rule, "missing_share", rule.severity, missing, series, message))
    if series.dtype != pl.String:
        found += _outside_range(rule, series)
    return found + _outside_list(rule, series)


def _kind_breach(rule: ColumnRule, series: pl.Series) -> Breach:
    if rule.kind is Kind.NUMERIC:
        wrong = series.is_not_null() & series.cast(pl.Float64, strict=False).is_null()
    else:
        wrong = series.is_not_null()
        if rule.allowed is not None:
            wrong = wrong & ~as_text(series).is_in(rule.allowed)
    if not wrong.any():  # numbers that are stored as text
        wrong = series.is_not_null()
    return _breach(
        rule,
        "kind",
        "refuse",
        wrong,
        series,
        say(
            "column '{column}' was {expected} and is now {found}: {examples} (rows {rows})",
            column=rule.name,
            expected=say(_KIND_NAMES[rule.kind]),
            found=say(_KIND_NAMES[kind_of(series.dtype)]),
            examples=_values(series, wrong),
            rows=_rows(wrong),
        ),
    )


_KIND_NAMES = {Kind.NUMERIC: "numeric", Kind.CATEGORICAL: "text"}


def _outside_range(rule: ColumnRule, series: pl.Series) -> list[Breach]:
    outside = pl.repeat(False, len(series), eager=True)
    if rule.minimum is not None:
        outside = outside | (series < rule.minimum)
    if rule.maximum is not None:
        outside = outside | (series > rule.maximum)
    outside = outside.fill_null(False)
    if not outside.any():
        return []
    message = say(
        "column '{column}' holds {count} values outside {low} to {high}: {examples} (rows {rows})",
        column=rule.name,
        count=int(outside.sum()),
        low="-∞" if rule.minimum is None else f"{rule.minimum:g}",
        high="∞" if rule.maximum is None else f"{rule.maximum:g}",
        examples=_values(series, outside),
        rows=_rows(outside),
    )
    return [_breach(rule, "range", rule.severity, outside, series, message)]


def _outside_list(rule: ColumnRule, series: pl.Series) -> list[Breach]:
    if rule.allowed is None:
        return []
    known = as_text(series).is_in(rule.allowed)
    outside = ~known.fill_null(True)
    if not outside.any():
        return []
    message = say(
        "column '{column}' holds {count} values that are not on its list: {examples} (rows {rows})",
        column=rule.name,
        count=int(outside.sum()),
        examples=_values(series, outside),
        rows=_rows(outside),
    )
    return [_breach(rule, "allowed", rule.severity, outside, series, message)]


def _breach(
    rule: ColumnRule, name: str, severity: str, bad: pl.Series, series: pl.Series, message: Message
) -> Breach:
    count = int(bad.sum())
    return Breach(
        column=rule.name,
        rule=name,
        severity=severity,
        count=count,
        share=count / max(len(series), 1),
        rows=_rows(bad),
        examples=_values(series, bad),
        message=message,
    )


def _rows(bad: pl.Series) -> list[int]:
    return [int(row) for row in bad.arg_true().head(EXAMPLES)]


def _values(series: pl.Series, bad: pl.Series) -> list[Any]:
    """The values that show it; as text where JSON has no form for them."""
    values = [series[row] for row in _rows(bad)]
    return [str(v) if isinstance(v, float) and not math.isfinite(v) else v for v in values]
