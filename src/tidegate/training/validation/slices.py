"""Where a candidate is worse: slices of rows that nobody declared, found and then confirmed."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr

from tidegate.domain.intervals import holm

Array = NDArray[np.str_]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Values of one column that are looked at, the most frequent ones.
MOST_VALUES = 20
#: Slices of one column that are narrowed down by a second one.
NARROWED = 10
#: Slices that are confirmed: fewer means less to correct for.
CONFIRMED = 10
#: A slice found is told where chance gives one as clear in less than so many of all searches.
SIGNIFICANCE = 0.05
#: Standard errors a slice must stand out by to be worth confirming.
STANDS_OUT = 2.0


class Slice(NamedTuple):
    """``name`` says what its rows share; ``rows`` marks those it was confirmed on."""

    name: str
    rows: Mask
    p_value: float


def slices(columns: Mapping[str, Array], extra: Floats, *, min_rows: int, seed: int) -> list[Slice]:
    """Slices by one or two columns in which ``extra`` is above zero, the surest first.

    ``columns``: for each column, every row's value or range as text, ``(n_rows,)``. ``extra``: by
    how much the candidate's loss exceeds the champion's in each row. Searched on one half of the
    rows, drawn at random, and confirmed on the other, whose numbers the search has not seen
    (Cox 1975, doi:10.1093/biomet/62.2.441); p-values are corrected over what is confirmed
    (Holm 1979). Slices of fewer than ``min_rows`` confirming rows are passed over.
    """
    half = np.zeros(len(extra), bool)
    half[np.random.default_rng(seed).permutation(len(extra))[: len(extra) // 2]] = True
    found = _searched({name: values[half] for name, values in columns.items()}, extra[half],
                      min_rows)  # fmt: skip
    confirmed = []
    for conditions in found:
        rows = ~half & np.logical_and.reduce([columns[c] == value for c, value in conditions])
        if rows.sum() >= min_rows:
            confirmed.append((conditions, rows, _above_zero(extra[rows])))
    corrected = holm([p for _, _, p in confirmed])
    told = [
        Slice(" & ".join(f"{column}={value}" for column, value in conditions), rows, p)
        for (conditions, rows, _), p in zip(confirmed, corrected, strict=True)
        if p < SIGNIFICANCE
    ]
    return sorted(told, key=lambda one: one.p_value)


Condition = tuple[str, str]


def _searched(
    columns: Mapping[str, Array], extra: Floats, min_rows: int
) -> list[tuple[Condition, ...]]:
    """Conditions whose rows stand out most, those of one column and of two."""
    everything = np.ones(len(extra), bool)
    single = _ranked(columns, extra, everything, min_rows)
    found: list[tuple[float, float, tuple[Condition, ...]]] = [
        (z, mean, (condition,)) for z, mean, condition in single
    ]
    for _, mean, (column, value) in single[:NARROWED]:
        others = {name: values for name, values in columns.items() if name > column}
        inside = columns[column] == value
        found += [
            (z, narrow, ((column, value), condition))
            for z, narrow, condition in _ranked(others, extra, inside, min_rows)
            if narrow > mean  # else the second column adds nothing
        ]
    found.sort(key=lambda one: (-one[0], one[2]))
    return [conditions for z, _, conditions in found if z > STANDS_OUT][:CONFIRMED]


def _ranked(
    columns: Mapping[str, Array], extra: Floats, inside: Mask, min_rows: int
) -> list[tuple[float, float, Condition]]:
    """How far each value's mean lies above zero, in standard errors, and that mean."""
    found = []
    of = extra[inside]
    for column, values in columns.items():
        names, codes, counts = np.unique(values[inside], return_inverse=True, return_counts=True)
        sums = np.bincount(codes, weights=of, minlength=len(names))
        squares = np.bincount(codes, weights=of**2, minlength=len(names))
        means = sums / counts
        errors = np.sqrt(np.maximum(squares / counts - means**2, 1e-12) / counts)
        frequent = np.argsort(-counts, kind="stable")[:MOST_VALUES]
        found += [
            (float(means[code] / errors[code]), float(means[code]), (column, str(names[code])))
            for code in frequent
            if counts[code] >= min_rows and means[code] > 0
        ]
    return sorted(found, key=lambda one: (-one[0], one[2]))


def _above_zero(extra: Floats) -> float:
    """One-sided p-value that the mean is no more than zero: exact for rows won and lost."""
    if np.isin(extra, (-1.0, 0.0, 1.0)).all():
        lost, won = int(np.sum(extra > 0)), int(np.sum(extra < 0))
        return float(bdtr(won, won + lost, 0.5)) if won + lost else 1.0
    spread = float(np.std(extra, ddof=1))
    if spread == 0:
        return float(extra[0] <= 0)
    t = float(np.mean(extra)) / (spread / np.sqrt(len(extra)))
    return float(stdtr(len(extra) - 1, -t))
