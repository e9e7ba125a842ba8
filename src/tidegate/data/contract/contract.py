"""The data contract checked, in one pass over rows of any number; and what a model cannot miss."""

import re
from collections.abc import Iterable

import polars as pl

from tidegate.data.contract.checking import Checking
from tidegate.data.contract.spelling import nearest
from tidegate.data.table import canonical
from tidegate.domain.errors import DataError
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Breach, Contract

#: Rows looked at at a time where a whole frame is given.
BATCH_ROWS = 65_536


def require_columns(frame: pl.DataFrame, spec: ModelSpec, source: str) -> None:
    """Raises DataError where the target, time, key or a segment column is not there.

    ``source`` is what the message calls the data: a file, or a snapshot.
    """
    wanted = {
        "target": [spec.target] if spec.target is not None else [],
        "time": spec.time,
        "key": [spec.key] if spec.key is not None else [],
        "segments": spec.segments,
    }
    _refuse_misspelt(frame, spec, source)
    for role, names in wanted.items():
        for name in names:
            if name in frame.columns:
                continue
            near = nearest(name, frame.columns)
            raise DataError(
                "the {role} column '{column}' is missing in {source}; the nearest are: {nearest}",
                do="add the column, or change '{role}' in the model file",
                role=role,
                column=name,
                source=source,
                nearest=near or frame.columns[:10],
            )


def _refuse_misspelt(frame: pl.DataFrame, spec: ModelSpec, source: str) -> None:
    """An excluded column need not be there; one that nearly is was meant, and would leak."""
    others = [column for column in frame.columns if column not in spec.exclude]
    for name in set(spec.exclude) - set(frame.columns):
        for near in nearest(name, others, 0.85):
            # x_1 and x_2 are two columns; casuall is casual.
            if re.sub(r"\D", "", near) == re.sub(r"\D", "", name):
                raise DataError(
                    "the excluded column '{column}' is not in {source}, and '{nearest}' is",
                    do="correct the name under 'exclude' in the model file, or take it out",
                    column=name,
                    source=source,
                    nearest=near,
                )


def check(
    batches: Iterable[pl.DataFrame], contract: Contract, spec: ModelSpec, *, now: str | None = None
) -> list[Breach]:
    """Every broken rule, in the contract's order, with rows (0-based) and values that show it.

    One pass over canonical batches of one schema, in memory that does not grow with the rows (see
    ``Repeats`` and ``TimeCover`` for what unique keys and times take); how the rows are cut into
    batches changes nothing. ``now`` (ISO 8601) is what the age of the newest row counts from:
    the clock's time where none is given.
    """
    with Checking(contract, spec) as checking:
        for batch in batches:
            checking.add(batch)
        return checking.breaches(now)


def check_contract(
    frame: pl.DataFrame, contract: Contract, spec: ModelSpec, *, now: str | None = None
) -> list[Breach]:
    """``check`` of a whole frame, canonical or not."""
    return check(slices(canonical(frame)), contract, spec, now=now)


def slices(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The frame in batches; one of no rows where it has none, since it has columns still."""
    return list(frame.iter_slices(BATCH_ROWS)) if frame.height else [frame]
