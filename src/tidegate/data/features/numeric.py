"""Numbers: filled where missing, and brought to one scale."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat

from tidegate.data.features.values import LARGEST, Floats, place_of
from tidegate.domain.features import FeatureRule, Scale
from tidegate.domain.messages import Frozen

MISSING = "(missing)"
#: Rows that are worked on at a time, so that they stay in a core's own cache.
_AT_ONCE = 4096


class NumericFeature(Frozen):
    """A number becomes ``(value - mean) / scale``.

    ``fill`` stands for a missing one, unless ``keep``: then it stays NaN (None: as the transform
    does). ``indicator``: a further column says 1 where the value is missing.
    """

    name: str
    mean: FiniteFloat
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fill: FiniteFloat
    indicator: bool
    keep: bool | None = None

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        return [self.name] + [f"{self.name}={MISSING}"] * self.indicator

    def put_values(self, block: Floats, values: Floats, *, keep_missing: bool) -> None:
        """Write the features of float64 into ``block``, ``(n_rows, len(names))``."""
        Numbers([self], keep_missing=keep_missing).put(block, [values])


class Numbers:
    """The features of several numeric columns at once.

    For a single row the number of calls is what takes time, not the size of the arrays.
    """

    def __init__(self, features: Sequence[NumericFeature], *, keep_missing: bool):
        keeps = [keep_missing if f.keep is None else f.keep for f in features]
        self._mean = np.array([f.mean for f in features])
        self._scale = np.array([f.scale for f in features])
        self._fill = np.array(
            [np.nan if k else f.fill for f, k in zip(features, keeps, strict=True)]
        )
        widths = np.array([len(f.names) for f in features], np.int64)
        self._places = np.cumsum(widths) - widths
        self._indicated = np.flatnonzero(widths == 2)
        self._in_order = len(self._indicated) == 0

    def put(self, block: Floats, columns: Sequence[Floats]) -> None:
        """Write the features of columns of float64; what is not finite counts as missing."""
        for start in range(0, len(block), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            self._put(block[part], np.stack([column[part] for column in columns], axis=1))

    def of(self, values: Floats) -> Floats:
        """As ``put``, of columns that are one array already, ``(n_rows, n_columns)``, into a new
        one where no other features belong beside them."""
        if self._in_order and len(values) <= _AT_ONCE:
            scaled, within = self._scaled(values)
            if within:
                return scaled
        block = np.empty((len(values), len(self._places) + len(self._indicated)))
        for start in range(0, len(values), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            self._put(block[part], values[part])
        return block

    def _put(self, block: Floats, values: Floats) -> None:
        scaled, within = self._scaled(values)
        if self._in_order and within:
            block[:, : len(self._places)] = scaled
            return
        known = np.isfinite(values)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (np.where(known, values, self._fill) - self._mean) / self._scale
        # A value too far out for float64 stays at its end.
        block[:, self._places] = np.minimum(np.maximum(scaled, -LARGEST), LARGEST)
        if len(self._indicated):
            block[:, self._places[self._indicated] + 1] = ~known[:, self._indicated]

    def _scaled(self, values: Floats) -> tuple[Floats, bool]:
        """The values scaled, and whether surely none is missing or too far out, as in most rows:
        one that is makes the sum of squares too large, or none."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: Floats = np.subtract(values, self._mean, order="C")
            scaled /= self._scale
            flat = scaled.reshape(-1)
            return scaled, bool(flat.dot(flat) <= LARGEST**2)


def fit_numeric(
    name: str, values: Floats, rule: FeatureRule, *, keep_missing: bool
) -> NumericFeature:
    """The feature of a column of float64, NaN where missing, as far as ``rule`` says and else by
    default: standardised, missing kept where the adapter does, else filled with the lower median.
    """
    known = values[np.isfinite(values)]
    gaps = len(known) < len(values)
    known = known if len(known) else np.zeros(1)  # infinities only
    missing = "keep" if rule.missing is None and keep_missing else rule.missing
    keep = missing == "keep"
    mean, scale = _placed(known, rule.scale or "standard")
    return NumericFeature(
        name=name,
        mean=mean,
        scale=scale,
        fill=_fill(known, missing),
        indicator=not keep and (gaps if rule.indicator is None else rule.indicator),
        keep=None if keep == keep_missing else keep,
    )


def _fill(known: Floats, missing: Literal["median", "mean", "keep"] | float | None) -> float:
    if isinstance(missing, float):
        return missing
    if missing == "mean":
        return place_of(known)[0]
    return _quantile(known, 0.5)


def _quantile(known: Floats, share: float) -> float:
    """The lower quantile: a value that occurs."""
    at = int((len(known) - 1) * share)
    return float(np.partition(known, at)[at])


def _placed(known: Floats, scale: Scale) -> tuple[float, float]:
    """What is taken off and what is divided by; never 0, nor beyond float64."""
    if scale == "none":
        return 0.0, 1.0
    if scale == "robust":
        low, middle, high = (_quantile(known, share) for share in (0.25, 0.5, 0.75))
    elif scale == "min_max":
        low, high = float(known.min()), float(known.max())
        middle = low
    else:
        return place_of(known)
    width = min(high - low, float(np.finfo(np.float64).max))
    # Where the middle half is one value, its width says nothing; one value alone has none at all.
    return middle, width or place_of(known)[1]
