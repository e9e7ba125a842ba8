"""Files of rows into one table in memory."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tidegate.data.source import open_source
from tidegate.data.sources.rows import Rows, unheard


def read_files(paths: Sequence[Path], progress: Rows = unheard) -> pl.DataFrame:
    """The rows of all files, stacked in the order given; see ``open_source``.

    ``progress`` hears rows done and rows in all.
    """
    source = open_source(list(paths), progress)
    batches = []
    done = 0
    for batch in source.batches():
        batches.append(batch)
        done += batch.height
        progress(done, source.rows or 0)
    return pl.concat(batches, rechunk=True)
