"""What cleaning steps find in the data once, to go by it from then on."""

from typing import Any

import polars as pl

from tidegate.domain import cleaning as steps

#: The median distance of normal values from their median is 1 / 1.4826 standard deviations, their
#: mean distance 1 / 1.2533 (Iglewicz and Hoaglin 1993, modified z-scores).
_BY_MEDIAN, _BY_MEAN = 1.4826, 1.2533


def fit(step: Any, frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """By column, the limits or the value that ``step`` takes from these rows; mostly nothing."""
    if isinstance(step, steps.Outliers):
        found = {name: _limits(step, frame[name]) for name in step.columns}
    elif isinstance(step, steps.Fill):
        found = {name: _value(step, frame[name]) for name in step.columns}
    else:
        return {}
    return {name: values for name, values in found.items() if values}


def needs_all(step: Any) -> bool:
    """Whether the step must see every row before it can do anything, where nothing is recorded."""
    if isinstance(step, steps.Fill):
        return step.by != "value"
    return isinstance(step, (steps.Outliers, steps.DropRepeats))


def _limits(step: steps.Outliers, series: pl.Series) -> dict[str, Any]:
    """None where the column has no numbers, or one number only: nothing there is far off."""
    if not series.dtype.is_numeric():
        return {}
    floats = series.cast(pl.Float64)
    floats = floats.filter(floats.is_finite())
    if floats.is_empty():
        return {}
    if step.method == "quantiles":
        return {
            "low": floats.quantile(step.low, "nearest"),
            "high": floats.quantile(step.high, "nearest"),
        }
    middle = float(floats.median())  # type: ignore[arg-type]
    distance = (floats - middle).abs()
    # Where more than half of the values are one and the same, the median distance is zero.
    spread = _BY_MEDIAN * float(distance.median())  # type: ignore[arg-type]
    spread = spread or _BY_MEAN * float(distance.mean())  # type: ignore[arg-type]
    if not spread:
        return {}
    return {"low": middle - step.limit * spread, "high": middle + step.limit * spread}


def _value(step: steps.Fill, series: pl.Series) -> dict[str, Any]:
    held = series.drop_nulls()
    if step.by == "value":
        return {"value": step.value}
    if held.is_empty() or (step.by == "median" and not held.dtype.is_numeric()):
        return {}
    if step.by == "median":
        # A value that occurs; polars' own median goes through floats, which not all Int64 survive.
        return {"value": held.sort()[len(held) // 2]}
    counts = held.value_counts().sort("count", held.name, descending=[True, False])
    return {"value": counts[held.name][0]}
