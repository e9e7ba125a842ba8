"""Rows as they might have been measured: the same, with a little noise on every number."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def shaken(frame: pl.DataFrame, columns: Sequence[str], scale: float, seed: int) -> pl.DataFrame:
    """The same rows with normal noise on ``columns``, of ``scale`` times each one's own spread.

    Columns that hold no numbers, or one value alone, stay as they are; so do missing values.
    """
    random = np.random.default_rng(seed)
    noisy = []
    for name in columns:
        series = frame[name]
        if not series.dtype.is_numeric() or series.n_unique() < 3:  # a yes or no is no measurement
            continue
        values = series.cast(pl.Float64).drop_nulls().to_numpy()
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        if not np.isfinite(spread):
            continue
        noise = random.normal(0, scale * spread, frame.height)
        noisy.append((series.cast(pl.Float64) + pl.Series(noise)).alias(name))
    return frame.with_columns(noisy)
