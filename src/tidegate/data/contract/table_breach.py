"""Broken rules that are not of one column's values: columns, unique keys, rules between columns."""

from collections.abc import Collection, Sequence

from tidegate.data.contract.row_rule import Unchecked
from tidegate.data.contract.spelling import nearest
from tidegate.data.contract.tally import Tally, breach, every
from tidegate.domain.expression import parse_rule
from tidegate.domain.messages import say
from tidegate.domain.schema import Breach, Contract, RowRule, UniqueRule


def missing_column(name: str, known: Sequence[str], rows: int) -> Breach:
    """A column that a rule needs and that is not among the ``known`` ones."""
    near = nearest(name, list(known))
    tally = every(rows)
    tally.examples = list(near)
    message = say(
        "column '{column}' is missing; the nearest of {count} are: {columns}; add it, or take it "
        "out of the contract",
        column=name,
        count=len(known),
        columns=near or list(known)[:10],
    )
    return breach(name, "missing_column", "refuse", tally, rows, message)


def extra_columns(
    contract: Contract, given: Sequence[str], excluded: Collection[str], rows: int
) -> list[Breach]:
    """Columns without a rule, where the contract minds them; ``excluded`` ones are nobody's."""
    severity = contract.extra_columns
    if severity == "allow":
        return []
    known = [rule.name for rule in contract.columns]
    found = []
    for name in given:
        if name in known or name in excluded:
            continue
        message = say(
            "column '{column}' is not in the contract; the nearest there are: {nearest}; take "
            "it out, or add a rule for it",
            column=name,
            nearest=nearest(name, known) or ["-"],
        )
        found.append(breach(name, "extra_column", severity, every(rows), rows, message))
    return found


def repeated(rule: UniqueRule, tally: Tally, rows: int) -> list[Breach]:
    """Rows that are alike in columns that tell rows apart."""
    if not tally.count:
        return []
    message = say(
        "{count:,} rows repeat an earlier one in {columns}: {examples} (rows {rows}); drop "
        "them, or take the columns out of 'unique'",
        count=tally.count,
        columns=rule.columns,
        examples=tally.examples,
        rows=tally.rows,
    )
    return [breach(", ".join(rule.columns), "unique", rule.severity, tally, rows, message)]


def row_breach(rule: RowRule, tally: Tally | Unchecked, rows: int) -> list[Breach]:
    """Rows that break a rule between columns, or why it cannot be checked on these."""
    column = ", ".join(parse_rule(rule.rule).columns())
    if isinstance(tally, Unchecked):
        message = say(
            "the rule '{rule}' cannot be checked: {why}; correct the rule, or the column",
            rule=rule.rule,
            why=tally.message,
        )
        return [breach(column, "unchecked", rule.severity, every(rows), rows, message)]
    if not tally.count:
        return []
    message = say(
        "{count:,} rows break the rule '{rule}': {examples} (rows {rows}); correct them, or "
        "change the rule",
        count=tally.count,
        rule=rule.rule,
        examples=tally.examples,
        rows=tally.rows,
    )
    return [breach(column, "rule", rule.severity, tally, rows, message)]


def no_times(columns: list[str], tally: Tally, rows: int) -> Breach:
    """Values of the time columns that form no time."""
    message = say(
        "the columns {columns} hold {count} values that are no times: {examples} (rows "
        "{rows}); write times as 2011-12-31 23:59:00, dates as 2011-12-31 or 12/31/2011",
        columns=columns,
        count=tally.count,
        examples=tally.examples,
        rows=tally.rows,
    )
    return breach(", ".join(columns), "unreadable", "warn", tally, rows, message)
