"""Which columns of a table go together."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.domain.schema import Kind

Floats = NDArray[np.float64]

#: Pairs that are told, the strongest first, and how strong a pair has to be: at 5,000 rows chance
#: alone stays below 0.07.
PAIRS, STRONG = 20, 0.3


def correlations(sample: pl.DataFrame, numeric: list[str]) -> tuple[list[str], Floats]:
    """Spearman's rank correlation of every pair of the named columns, ``(k, k)``, by a sample.

    Of ranks, so that one far value does not make it. Rows that miss a value take the middle rank.
    Columns of one value have no correlation and are left out.
    """
    kept = [name for name in numeric if sample[name].n_unique() > 1]
    if len(kept) < 2 or sample.height < 2:
        return [], np.empty((0, 0))
    # Column by column: polars reads a name such as "^x.*$" as a pattern.
    columns = [sample[name].rank() for name in kept]
    ranks = np.column_stack([column.fill_null(column.mean()).to_numpy() for column in columns])
    centred = ranks - ranks.mean(axis=0)
    sizes = np.sqrt((centred**2).sum(axis=0))
    sizes[sizes == 0] = 1.0
    centred /= sizes
    return kept, centred.T @ centred


def strongest(sample: pl.DataFrame, kinds: dict[str, Kind]) -> list[tuple[str, str, float]]:
    """The pairs of numeric columns that go together most, the strongest first."""
    numeric = [name for name, kind in kinds.items() if kind is Kind.NUMERIC]
    names, found = correlations(sample, numeric)
    if not names:
        return []
    places = np.triu_indices(len(names), 1)
    values = found[places]
    order = np.argsort(-np.abs(values), kind="stable")[:PAIRS]
    return [
        (names[places[0][at]], names[places[1][at]], float(values[at]))
        for at in order
        if abs(values[at]) >= STRONG
    ]
