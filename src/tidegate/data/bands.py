"""What the rows of a column have in common, as text: a category, or a range of numbers."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

#: Ranges of a column of numbers, of as many rows each.
BANDS = 4
MISSING = "(missing)"


def bands(series: pl.Series) -> NDArray[np.str_]:
    """Each row's value as text, ``(n_rows,)``; of a column of many numbers, its quarter.

    >>> bands(pl.Series("x", [1.0, 2.0, 3.0, 4.0, 5.0, None])).tolist()
    ['1 to 2', '1 to 2', '2 to 3', '3 to 4', '4 to 5', '(missing)']
    """
    if not series.dtype.is_numeric() or series.n_unique() <= BANDS:
        return series.cast(pl.String).fill_null(MISSING).to_numpy().astype(str)
    numbers = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    held = numbers[~np.isnan(numbers)]
    inner = np.unique(np.quantile(held, np.arange(1, BANDS) / BANDS, method="lower"))
    inner = inner[inner < held.max()]
    edges = [held.min(), *inner, held.max()]
    names = [f"{low:.6g} to {high:.6g}" for low, high in pairwise(edges)]
    place = np.searchsorted(inner, numbers)  # NaN lies after all others; it is named below
    texts = np.array([*names, MISSING])
    return np.asarray(texts[np.where(np.isnan(numbers), len(names), place)])
