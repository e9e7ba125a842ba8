"""The feature transform: fitted once, stored with the parameters, the same wherever it runs."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.table import as_text, canonical, canonical_column, finite, kind_of
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError
from tidegate.domain.messages import Frozen
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Kind

Floats = NDArray[np.float64]

#: One-hot columns per categorical column; rarer values share "(other)".
MAX_CATEGORIES = 30
#: Seen fewer times, a category gets no column: nothing can be learned from one row.
MIN_CATEGORY_ROWS = 2
_OTHER, _MISSING = "(other)", "(missing)"


class NumericFeature(Frozen):
    """A number becomes ``(value - mean) / scale``.

    ``fill``, the lower median, stands for a missing one; ``indicator``: a further column says 1
    where the value is missing.
    """

    name: str
    mean: float
    scale: float
    fill: float
    indicator: bool


class CategoricalFeature(Frozen):
    """A text becomes one column per category, one for all others, one for none if ``missing``."""

    name: str
    categories: list[str]
    missing: bool


class TimeFeature(Frozen):
    """A cycle in time: its place in the cycle, 0 to 1, and that as a point on a circle."""

    part: Literal["hour", "weekday", "yearday"]


class Transform(Frozen):
    """What turns rows into numbers; ``keep_missing`` leaves NaN where a number is missing."""

    format: Literal[1] = 1
    keep_missing: bool
    numeric: list[NumericFeature]
    categorical: list[CategoricalFeature]
    time: list[str] = []
    cycles: list[TimeFeature] = []

    @property
    def names(self) -> list[str]:
        """Names of the output columns, in order."""
        found: list[str] = []
        for number in self.numeric:
            found += [number.name] + [f"{number.name}={_MISSING}"] * number.indicator
        for text in self.categorical:
            known = [*text.categories, _OTHER] + [_MISSING] * text.missing
            found += [f"{text.name}={category}" for category in known]
        for cycle in self.cycles:
            found += [f"time.{cycle.part}{point}" for point in ("", ".sine", ".cosine")]
        return found

    @property
    def columns(self) -> list[str]:
        """The input columns that rows must have."""
        plain = [number.name for number in self.numeric] + [text.name for text in self.categorical]
        return plain + (self.time if self.cycles else [])

    def apply(self, frame: pl.DataFrame) -> Floats:
        """The features, ``(n_rows, len(names))`` float64; a row's are the same in any company.

        Raises DataError for a missing column, and for text where a number belongs.
        """
        self._require(frame)
        out = np.empty((frame.height, len(self.names)))
        at = 0
        for number in self.numeric:
            at = self._put_number(out, at, number, _as_number(frame[number.name]))
        for text in self.categorical:
            at = _put_text(out, at, text, _as_category(frame[text.name]))
        if self.cycles:
            times = time_of(frame, self.time)
            for cycle in self.cycles:
                at = self._put_cycle(out, at, cycle, times)
        return out

    def _require(self, frame: pl.DataFrame) -> None:
        absent = [name for name in self.columns if name not in frame.columns]
        if absent:
            raise DataError(
                "the rows miss the columns {missing}",
                do="give all of: {columns}",
                missing=absent,
                columns=self.columns,
            )

    def _put_number(self, out: Floats, at: int, number: NumericFeature, values: Floats) -> int:
        missing = np.isnan(values)
        if not self.keep_missing:
            values = np.where(missing, number.fill, values)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - number.mean) / number.scale
        # A value too far out for float64 stays at its end: infinities upset every model.
        out[:, at] = np.clip(scaled, -_LARGEST, _LARGEST)
        if number.indicator:
            out[:, at + 1] = missing
        return at + 1 + number.indicator

    def _put_cycle(self, out: Floats, at: int, cycle: TimeFeature, times: pl.Series) -> int:
        place, length = _CYCLES[cycle.part](times), _LENGTHS[cycle.part]
        # Sines from a table, rounded: vector and scalar routines differ in the last bit.
        table = np.array([_point(step, length) for step in range(length)])
        missing = place.is_null().to_numpy()
        points = table[place.fill_null(0).to_numpy()]
        points[missing] = np.nan if self.keep_missing else 0.0
        out[:, at : at + 3] = points
        return at + 3


#: float32 holds it, so that adapters may work in either.
_LARGEST = 1e30

_LENGTHS = {"hour": 24, "weekday": 7, "yearday": 366}
_CYCLES: dict[str, Callable[[pl.Series], pl.Series]] = {
    "hour": lambda times: times.dt.hour().cast(pl.Int64),
    "weekday": lambda times: times.dt.weekday().cast(pl.Int64) - 1,
    "yearday": lambda times: times.dt.ordinal_day().cast(pl.Int64) - 1,
}


def fit_transform(frame: pl.DataFrame, spec: ModelSpec, *, keep_missing: bool = False) -> Transform:
    """The transform fitted on ``frame``: every column but ``spec.not_features``.

    Time columns turn into the cycles they show (hour, weekday, day of the year) and never into a
    trend: parameters know nothing of times to come, and updates are what follows a trend.
    Columns without any value are left out.
    """
    frame = canonical(frame)
    aside = spec.not_features | set(spec.time)
    held = [
        series
        for series in frame.get_columns()
        if series.name not in aside and series.null_count() < len(series)
    ]
    numbers = [series for series in held if kind_of(series.dtype) is Kind.NUMERIC]
    texts = [series for series in held if kind_of(series.dtype) is Kind.CATEGORICAL]
    return Transform(
        keep_missing=keep_missing,
        numeric=[_fit_number(series, keep_missing) for series in numbers],
        categorical=[_fit_text(series) for series in texts],
        time=list(spec.time),
        cycles=_fit_cycles(time_of(frame, spec.time)) if spec.time else [],
    )


def _fit_number(series: pl.Series, keep_missing: bool) -> NumericFeature:
    values = finite(series).drop_nulls().to_numpy()
    if len(values) == 0:  # infinities only
        values = np.zeros(1)
    # Worked out around the middle and on values of at most 1: numbers far from zero keep their
    # last digits, and large ones do not overflow when squared.
    middle = float(values.min()) / 2 + float(values.max()) / 2
    around = values - middle
    size = float(np.abs(around).max()) or 1.0
    mean = middle + float(np.mean(around / size)) * size
    scale = float(np.std(around / size)) * size
    scale = float(f"{scale:.6g}") or 1.0
    return NumericFeature(
        name=series.name,
        mean=_rounded(mean, scale),
        scale=scale,
        fill=float(np.sort(values)[(len(values) - 1) // 2]),  # a value that occurs
        indicator=not keep_missing and bool(finite(series).null_count()),
    )


def _rounded(mean: float, scale: float) -> float:
    """The mean to a millionth of the scale.

    Standardising needs no more, and sums differ beyond that between machines.
    """
    return round(mean, 6 - math.floor(math.log10(scale)))


def _fit_text(series: pl.Series) -> CategoricalFeature:
    texts = _as_category(series)
    counts = texts.drop_nulls().value_counts()
    ranked = sorted(counts.iter_rows(), key=lambda row: (-row[1], row[0]))
    chosen = [text for text, rows in ranked[:MAX_CATEGORIES] if rows >= MIN_CATEGORY_ROWS]
    return CategoricalFeature(
        name=series.name, categories=sorted(chosen), missing=texts.null_count() > 0
    )


def _fit_cycles(times: pl.Series) -> list[TimeFeature]:
    """The cycles that the data goes through: within less than one, it is a trend in disguise."""
    seen = times.drop_nulls()
    if seen.is_empty():
        return []
    found: list[TimeFeature] = []
    if seen.dt.hour().n_unique() > 1:
        found.append(TimeFeature(part="hour"))
    days = (seen.max() - seen.min()).total_seconds() / 86400  # type: ignore[operator, union-attr]
    if days >= 7:
        found.append(TimeFeature(part="weekday"))
    if days >= 365:
        found.append(TimeFeature(part="yearday"))
    return found


def _point(step: int, length: int) -> tuple[float, float, float]:
    turn = step / length
    angle = 2 * math.pi * turn
    return turn, round(math.sin(angle), 12), round(math.cos(angle), 12)


def _as_number(series: pl.Series) -> Floats:
    """A column as float64 with NaN where missing; raises DataError naming what is no number."""
    if series.dtype == pl.Boolean or series.dtype == pl.Object:
        bad, numbers = series.is_not_null(), None
    else:
        plain = canonical_column(series)
        if plain.dtype == pl.String:
            plain = plain.str.strip_chars()
            plain = plain.set(plain == "", None)
        numbers = plain.cast(pl.Float64, strict=False)
        bad = plain.is_not_null() & numbers.is_null()
    rows = bad.arg_true().head(3).to_list()
    if rows or numbers is None:
        raise DataError(
            "column '{column}' must hold numbers, and holds {values} (rows {rows})",
            do="give numbers, or nothing where a value is missing",
            column=series.name,
            values=[repr(series[row]) for row in rows],
            rows=rows,
        )
    return finite(numbers).fill_null(math.nan).to_numpy()


def _as_category(series: pl.Series) -> pl.Series:
    text = as_text(canonical_column(series)).str.strip_chars()
    return text.set(text == "", None)


def _put_text(out: Floats, at: int, text: CategoricalFeature, values: pl.Series) -> int:
    width = len(text.categories) + 1 + text.missing
    place = {category: number for number, category in enumerate(text.categories)}
    other = len(text.categories)
    codes = values.replace_strict(place, default=other, return_dtype=pl.Int64)
    # Where no value was missing in the fit, one that is missing now is one never seen.
    gone = other + text.missing
    places = codes.set(values.is_null(), gone).to_numpy()
    block = out[:, at : at + width]
    block[:] = 0.0
    block[np.arange(len(places)), places] = 1.0
    return at + width
