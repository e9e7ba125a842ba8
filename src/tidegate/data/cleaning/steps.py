"""What each cleaning step does to a table: new values for some columns, or rows to keep."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from tidegate.data.table import as_text, bare, canonical_column, taken
from tidegate.data.time import readable_time_of
from tidegate.domain import cleaning as steps
from tidegate.domain.errors import DataError
from tidegate.domain.messages import Message, say
from tidegate.domain.schema import Contract, Kind

#: What a step found in the data, by column.
Fitted = Mapping[str, Mapping[str, Any]]

#: Int64 ends one below it.
_INT64 = 2**63
_YES, _NO = ["true", "yes", "1"], ["false", "no", "0"]


def new_values(
    step: Any, frame: pl.DataFrame, fitted: Fitted, contract: Contract | None
) -> list[pl.Series]:
    """The columns that a step gives new values, every row being kept."""
    names = steps.names_of(step)
    columns = [frame[name] for name in names] if names else frame.get_columns()
    texts = [series for series in columns if series.dtype == pl.String]
    match step:
        case steps.Trim():
            return bare(pl.DataFrame(texts)).get_columns()
        case steps.MissingWords():
            plain = [s for s in columns if not isinstance(s.dtype, pl.Array)]
            return [series.set(as_text(series).is_in(step.values), None) for series in plain]
        case steps.Infinite():
            floats = [series for series in columns if series.dtype == pl.Float64]
            return [series.set(series.is_infinite(), None) for series in floats]
        case steps.Categories():
            return _categories(frame, contract)
        case steps.Types():
            return [_typed(frame[n], kind, step.decimal) for n, kind in step.columns.items()]
        case steps.Lower():
            return [_text(step, s).str.to_lowercase() for s in (columns if names else texts)]
        case steps.Replace() if frame.height:
            old, new = list(step.values), list(step.values.values())
            return [_text(step, frame[step.column]).replace(old, new)]
        case steps.Fill():
            filled = [(frame[name], fitted.get(name, {}).get("value")) for name in names]
            return [_filled(step, series, value) for series, value in filled]
        case steps.Range() | steps.Outliers() if step.action != "drop":
            return [_within(step, frame[name], fitted) for name in names]
    return []


def kept_rows(step: Any, frame: pl.DataFrame, fitted: Fitted) -> pl.Series | None:
    """Which rows a step keeps; None where it keeps all. ``repeats`` is not among them."""
    match step:
        case steps.Require():
            held = pl.all_horizontal(pl.all().is_not_null())
            return taken(frame, step.columns).select(held).to_series()
        case steps.Range() | steps.Outliers() if step.action == "drop":
            keep = pl.repeat(True, frame.height, eager=True)
            for name in steps.names_of(step):
                keep = keep & ~_outside(_number(step, frame[name]), *limits(step, name, fitted))
            return keep
    return None


def limits(step: Any, name: str, fitted: Fitted) -> tuple[float | None, float | None]:
    """The range that a step keeps a column within."""
    if isinstance(step, steps.Range):
        return step.minimum, step.maximum
    found = fitted.get(name, {})
    return found.get("low"), found.get("high")


def _outside(series: pl.Series, low: float | None, high: float | None) -> pl.Series:
    outside = pl.repeat(False, len(series), eager=True)
    if low is not None:
        outside = outside | (series < low)
    if high is not None:
        outside = outside | (series > high)
    return outside.fill_null(False)


def _within(step: Any, series: pl.Series, fitted: Fitted) -> pl.Series:
    low, high = limits(step, series.name, fitted)
    outside = _outside(_number(step, series), low, high)
    if step.action == "blank":
        return series.set(outside, None)
    if series.dtype != pl.Int64:
        return series.cast(pl.Float64).clip(low, high)
    # An end beyond 64 bits that no whole number passes is none.
    low = None if low is None or low <= -_INT64 else low
    high = None if high is None or high >= _INT64 else high
    # Where an end of the range is no whole number in 64 bits, neither is what is set to it.
    if all(end is None or _is_int64(end) for end in (low, high)):
        return series.clip(None if low is None else int(low), None if high is None else int(high))
    return series.cast(pl.Float64).clip(low, high)


def _is_int64(value: float) -> bool:
    return -_INT64 <= value < _INT64 and value == int(value)


def _categories(frame: pl.DataFrame, contract: Contract | None) -> list[pl.Series]:
    found = []
    for rule in contract.columns if contract is not None else []:
        series = frame[rule.name] if rule.name in frame.columns else None
        if series is None or isinstance(series.dtype, pl.Array):
            continue
        if rule.kind is Kind.BOOLEAN:
            found.append(_typed(series, "boolean", ".", strict=False))
        elif rule.kind in (Kind.CATEGORICAL, Kind.TEXT) and series.dtype != pl.String:
            found.append(as_text(series))
    return found


def _typed(series: pl.Series, kind: str, decimal: str, *, strict: bool = True) -> pl.Series:
    """The column as ``kind``; what cannot be read so is missing, or as it was."""
    if kind == "numeric":
        return _numbers(series, decimal)
    if kind == "categorical":
        return as_text(series)
    if kind == "date":
        times = readable_time_of(series.alias("time").to_frame(), ["time"])
        return canonical_column(times).alias(series.name)
    text = as_text(series)
    plain = text.str.strip_chars().str.to_lowercase()
    truths = text.set(plain.is_in(_YES), "true").set(plain.is_in(_NO), "false")
    return truths.set(~plain.is_in(_YES + _NO), None) if strict else truths


def _numbers(series: pl.Series, decimal: str) -> pl.Series:
    """Digits stand in one group, or in threes: in 1,5 the comma is no group's, and 15 a lie."""
    if series.dtype != pl.String:
        return series
    group, mark = (r"[\s.]", ",") if decimal == "," else (r"[\s,]", r"\.")
    whole = rf"(\d+|\d{{1,3}}({group}\d{{3}})+)"
    number = rf"\A[+-]?({whole}({mark}\d*)?|{mark}\d+)([eE][+-]?\d+)?\z"
    given = series.str.strip_chars()
    readable = given.set(~given.str.contains(number), None)
    digits = readable.str.replace_all(group, "").str.replace(decimal, ".", literal=True)
    numbers = digits.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def _filled(step: steps.Fill, series: pl.Series, value: Any) -> pl.Series:
    if value is None:
        return series
    text = isinstance(value, str)
    fits = series.dtype == pl.String if text else series.dtype.is_numeric()
    if not fits and series.null_count() == len(series):
        series = series.clear(len(series)).cast(pl.String if text else pl.Float64)
    elif not fits:
        raise DataError(
            "the cleaning step '{step}' fills column '{column}' with {value}, and it holds {found}",
            do="fill text with text and numbers with numbers, or put the step 'types' before",
            step=step.step,
            column=series.name,
            value=value,
            found=str(series.dtype),
        )
    if series.dtype == pl.Int64 and not _is_int64(value):
        series = series.cast(pl.Float64)
    filler = pl.Series([int(value) if series.dtype == pl.Int64 else value], dtype=series.dtype)
    return series.zip_with(series.is_not_null(), filler)


def _number(step: Any, series: pl.Series) -> pl.Series:
    if series.dtype.is_numeric() or series.null_count() == len(series):
        return series.cast(pl.Float64, strict=False)
    raise _unfit(step, series, say("numbers"))


def _text(step: Any, series: pl.Series) -> pl.Series:
    if series.dtype == pl.String or series.null_count() == len(series):
        return series.cast(pl.String)
    raise _unfit(step, series, say("text"))


def _unfit(step: Any, series: pl.Series, wanted: Message) -> DataError:
    return DataError(
        "the cleaning step '{step}' is for {wanted}, and column '{column}' holds {found}",
        do="put the step 'types' before it, or leave the column out",
        step=step.step,
        wanted=wanted,
        column=series.name,
        found=str(series.dtype),
    )
