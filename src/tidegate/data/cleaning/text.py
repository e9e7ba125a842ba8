"""What a cleaning step says it changed."""

from collections.abc import Mapping
from typing import Any

from tidegate.domain import cleaning as steps
from tidegate.domain.messages import Message, say


def told(step: Any, count: int, *, lost: int, seen: int, columns: Mapping[str, int]) -> Message:
    """The report of a step that changed ``count`` values or rows, by column where it says so."""
    names = [f"{name} ({changed:,})" for name, changed in columns.items()] or ["-"]
    match step:
        case steps.Trim():
            return say("blanks around {count} texts were taken off", count=count)
        case steps.MissingWords():
            return say(
                "{count} values that mean missing ({values}) are missing now: {columns}",
                count=count,
                values=step.values,
                columns=names,
            )
        case steps.Infinite():
            return say("{count} infinite values count as missing", count=count)
        case steps.Categories():
            return say("{count} numbers are read as categories, as the contract says", count=count)
        case steps.Types():
            return say(
                "{count} values have another type now, and {lost} that could not be read so are "
                "missing: {columns}",
                count=count,
                lost=lost,
                columns=names,
            )
        case steps.Lower():
            return say("{count} texts are in small letters now: {columns}", count=count,
                       columns=names)  # fmt: skip
        case steps.Replace():
            return say("{count} values of '{column}' were replaced", count=count,
                       column=step.column)  # fmt: skip
        case steps.Rename():
            pairs = [f"{old} → {new}" for old, new in step.columns.items()]
            return say("{count} columns were renamed: {pairs}", count=count, pairs=pairs)
        case steps.Fill():
            return say("{count} missing values were filled in: {columns}", count=count,
                       columns=names)  # fmt: skip
        case steps.Require():
            return say(
                "{count} rows that miss one of {columns} were dropped",
                count=count,
                columns=step.columns,
            )
        case steps.DropRepeats():
            return _repeats(step, count, seen)
    return _outside(step, count, names)


def _repeats(step: steps.DropRepeats, count: int, seen: int) -> Message:
    if step.columns is not None:
        return say(
            "{count} rows repeated another in {columns} and were dropped",
            count=count,
            columns=step.columns,
        )
    if seen or not count:
        return say("{count} rows repeat another in full and were kept", count=seen)
    return say("{count} rows repeated another in full and were dropped", count=count)


def _outside(step: Any, count: int, names: list[str]) -> Message:
    if step.action == "drop":
        return say(
            "{count} rows with values outside the range of {columns} were dropped",
            count=count,
            columns=steps.names_of(step),
        )
    if step.action == "blank":
        return say("{count} values outside their range are missing now: {columns}", count=count,
                   columns=names)  # fmt: skip
    return say("{count} values outside their range were set to its end: {columns}", count=count,
               columns=names)  # fmt: skip
