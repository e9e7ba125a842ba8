"""Rows drawn evenly from a history too long to hold."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from tidegate.data.table import stacked


def reservoir(frames: Iterable[pl.DataFrame], rows: int, seed: int) -> pl.DataFrame | None:
    """``rows`` rows of all frames together, each as likely as any other, in their own order.

    One pass that holds a frame and the rows kept so far (Vitter 1985, doi:10.1145/3147.3165, by
    random keys of which the smallest stay). None where there is no frame, or no row is asked for.
    """
    generator = np.random.PCG64(seed)
    kept: pl.DataFrame | None = None
    keys = np.empty(0, np.uint64)
    for frame in frames if rows else ():
        drawn = generator.random_raw(frame.height)
        together = np.concatenate([keys, drawn])
        stays = np.sort(np.argsort(together, kind="stable")[:rows])
        both = frame if kept is None else stacked([kept, frame])
        kept, keys = both[stays.tolist()], together[stays]
    return kept
