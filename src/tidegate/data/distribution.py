"""One column's values and how often each occurs: what drift compares and profiles keep."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.table import as_text, canonical_column, finite, kind_of
from tidegate.domain.schema import Kind

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Distribution:
    """Distinct ``values``, ascending (float64, or str objects), with their ``counts``.

    ``missing`` rows hold none. ``error`` is how far the share of values up to any point may be
    from the truth, since a thinned distribution keeps only some of its values.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    counts: Counts
    missing: int
    error: float = 0.0

    @property
    def rows(self) -> int:
        """Rows in all."""
        return self.held + self.missing

    @property
    def held(self) -> int:
        """Rows that hold a value."""
        return int(self.counts.sum())

    def as_categories(self) -> "Distribution":
        """The same with every number as the text it is written as."""
        if self.kind is Kind.CATEGORICAL:
            return self
        texts = as_text(pl.Series(self.values, dtype=pl.Float64)).to_numpy().astype(object)
        order = np.argsort(texts.astype(str), kind="stable")
        return Distribution(
            self.name, Kind.CATEGORICAL, texts[order], self.counts[order], self.missing, self.error
        )


def distribution(series: pl.Series) -> Distribution:
    """The exact distribution of a column; infinities and blank texts count as missing."""
    plain = canonical_column(series)
    kind = kind_of(plain.dtype)
    if kind is Kind.NUMERIC:
        plain = finite(plain)
    else:
        plain = plain.str.strip_chars()
        plain = plain.set(plain == "", None)
    held = plain.drop_nulls().alias("value")
    if kind is Kind.NUMERIC:
        values, counts = np.unique(held.to_numpy(), return_counts=True)
    else:
        table = held.value_counts(name="rows").sort("value")
        values, counts = table["value"].to_numpy().astype(object), table["rows"].to_numpy()
    return Distribution(series.name, kind, values, counts.astype(np.int64), plain.null_count())


def thinned(given: Distribution, points: int) -> Distribution:
    """A numeric distribution on at most ``points`` of its values, each standing for those below.

    The values are those at evenly spaced ranks, so the share of values up to any point is off by
    at most ``1 / points``, and exact at the values kept.
    """
    if given.kind is not Kind.NUMERIC or len(given.values) <= points:
        return given
    ends = np.cumsum(given.counts)
    ranks = np.ceil(np.arange(1, points + 1) * (given.held / points)).astype(np.int64)
    kept = np.unique(np.searchsorted(ends, np.minimum(ranks, given.held)))
    return Distribution(
        given.name,
        given.kind,
        given.values[kept],
        np.diff(ends[kept], prepend=0),
        given.missing,
        given.error + 1 / points,
    )


def quantile(given: Distribution, share: float) -> float:
    """The smallest value that at least this share of a numeric column's values do not exceed."""
    ends = np.cumsum(given.counts)
    at = int(np.searchsorted(ends, share * ends[-1] * (1 - 1e-12)))
    return float(given.values[min(at, len(ends) - 1)])
