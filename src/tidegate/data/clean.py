"""Cleaning: few, declared steps, the same every time, and a count of what each changed."""

import polars as pl

from tidegate.data.breach import reads_as
from tidegate.data.table import as_text, bare, canonical
from tidegate.domain.evidence import Cleaning
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract, Kind


def clean(
    frame: pl.DataFrame, spec: ModelSpec, contract: Contract | None
) -> tuple[pl.DataFrame, list[Cleaning]]:
    """The cleaned rows in canonical form, and one entry for each step in the order taken.

    Cleaning twice changes nothing the second time. Values out of range stay as they are: whether
    they are errors is the contract's question, and the gate answers it. So do rows that repeat, for
    two alike readings are two readings: only where the model file declares key and time, and a
    row has both, is one alike in every column the same reading delivered again, and dropped.
    """
    frame = canonical(frame)
    frame, trimmed = _trim(frame)
    frame, infinite = _no_infinity(frame)
    frame, coded = _as_categories(frame, contract)
    frame, repeated = _no_repeats(frame, spec)
    return frame, [trimmed, infinite, coded, repeated]


def _trim(frame: pl.DataFrame) -> tuple[pl.DataFrame, Cleaning]:
    texts = [series for series in frame.get_columns() if series.dtype == pl.String]
    changed = sum(int((series != series.str.strip_chars()).sum()) for series in texts)
    return bare(frame), Cleaning(
        step="trim",
        changed=changed,
        message=say("blanks around {count} texts were taken off", count=changed),
    )


def _no_infinity(frame: pl.DataFrame) -> tuple[pl.DataFrame, Cleaning]:
    floats = [series for series in frame.get_columns() if series.dtype == pl.Float64]
    changed = sum(int(series.is_infinite().sum()) for series in floats)
    frame = frame.with_columns([series.set(series.is_infinite(), None) for series in floats])
    return frame, Cleaning(
        step="infinite",
        changed=changed,
        message=say("{count} infinite values count as missing", count=changed),
    )


def _as_categories(frame: pl.DataFrame, contract: Contract | None) -> tuple[pl.DataFrame, Cleaning]:
    """Numbers that the contract knows as categories, as text."""
    rules = contract.columns if contract is not None else []
    coded = [
        frame[rule.name]
        for rule in rules
        if rule.kind is Kind.CATEGORICAL
        and rule.name in frame.columns
        and frame[rule.name].dtype != pl.String
        and reads_as(frame[rule.name], rule)
    ]
    changed = sum(len(series) - series.null_count() for series in coded)
    return frame.with_columns([as_text(series) for series in coded]), Cleaning(
        step="categories",
        changed=changed,
        message=say("{count} numbers are read as categories, as the contract says", count=changed),
    )


def _no_repeats(frame: pl.DataFrame, spec: ModelSpec) -> tuple[pl.DataFrame, Cleaning]:
    again = ~frame.select(first=pl.struct(pl.all()).is_first_distinct()).to_series()
    # The same entity cannot be seen twice at one moment: only then is a row a second delivery.
    # Elsewhere repeats may be real, and dropping them would thin out whatever is frequent.
    if spec.key is not None and spec.time:
        told_apart = frame.select(pl.all_horizontal(pl.col(spec.key, *spec.time).is_not_null()))
        again = again & told_apart.to_series()
        repeats = int(again.sum())
        return frame.filter(~again), Cleaning(
            step="repeats",
            changed=repeats,
            message=say("{count} rows repeated another in full and were dropped", count=repeats),
        )
    repeats = int(again.sum())
    return frame, Cleaning(
        step="repeats",
        changed=0,
        message=say("{count} rows repeat another in full and were kept", count=repeats),
    )
