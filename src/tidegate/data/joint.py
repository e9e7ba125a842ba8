"""Whether all columns together tell two tables apart: a classifier two-sample test."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tidegate.data.table import as_text, canonical_column, finite, kind_of
from tidegate.domain.schema import Kind

Floats = NDArray[np.float64]

#: Rows drawn from each side. At 5,000 an AUC is known to within 0.01, finer than any threshold
#: in use; more rows would cost time and tell nothing.
SAMPLE_ROWS = 5000
#: The most telling columns that are named.
TELLING = 5


class Separation(NamedTuple):
    """``score``: AUC on rows the classifier has not seen, 0.5 to 1; ``columns``: most telling."""

    score: float
    p_value: float
    columns: list[str]


def separation(
    reference: pl.DataFrame, current: pl.DataFrame, columns: list[str], *, seed: int = 0
) -> Separation:
    """How well gradient boosting tells the sides apart (Lopez-Paz and Oquab 2017).

    Trained on one half of a sample of up to ``SAMPLE_ROWS`` a side and scored on the other, then
    the other way round. Given a half it was not trained on, the AUC without drift is the
    Mann-Whitney statistic; the mean of the two is at most as spread as one, so the p-value from
    one's spread is safe.
    """
    # On so few rows, threads wait for each other longer than they work: many times as long where
    # other processes want the cores too.
    with threadpool_limits(limits=1, user_api="openmp"):
        return _separation(reference, current, columns, seed)


def _separation(
    reference: pl.DataFrame, current: pl.DataFrame, columns: list[str], seed: int
) -> Separation:
    random = np.random.default_rng(seed)
    sides = [_drawn(frame, random) for frame in (reference, current)]
    rows = np.column_stack([_codes(sides[0][name], sides[1][name]) for name in columns])
    side = np.repeat([0, 1], [len(sides[0]), len(sides[1])])
    # Alternating rows of a random order: both halves hold both sides in equal measure.
    half = np.concatenate([np.arange(len(part)) % 2 for part in sides])
    folds = [(_fitted(rows[half == k], side[half == k], seed), half != k) for k in (0, 1)]
    scores = [auc(model.predict_proba(rows[test])[:, 1], side[test]) for model, test in folds]
    score = float(np.mean(scores))
    small = min((int(np.sum(side[test] == 0)), int(np.sum(side[test] == 1))) for _, test in folds)
    error = np.sqrt((sum(small) + 1) / (12 * small[0] * small[1]))
    p = float(special.ndtr(-(score - 0.5) / error))
    telling = _telling(folds, rows, side, columns, random) if p < 0.05 else []
    return Separation(max(0.5, score), p, telling)


def auc(scores: Floats, labels: NDArray[np.int64]) -> float:
    """The chance that a row of label 1 scores above one of label 0; ties count half."""
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    ones = int(labels.sum())
    zeros = len(labels) - ones
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _drawn(frame: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    rows: list[int] = random.permutation(frame.height)[:SAMPLE_ROWS].tolist()
    return frame[rows]


def _codes(a: pl.Series, b: pl.Series) -> Floats:
    """Both sides of a column as numbers, NaN where missing; texts by how often they occur."""
    both = [canonical_column(series) for series in (a, b)]
    if all(kind_of(series.dtype) is Kind.NUMERIC for series in both):
        return np.concatenate([finite(series).fill_null(np.nan).to_numpy() for series in both])
    texts = pl.concat([as_text(series).alias("value").str.strip_chars() for series in both])
    counts = texts.drop_nulls().value_counts(name="rows")
    order = counts.sort(["rows", "value"], descending=[True, False])["value"]
    place = dict(zip(order, range(len(order)), strict=True))
    codes = texts.replace_strict(place, default=None, return_dtype=pl.Float64)
    return codes.fill_null(np.nan).to_numpy()


def _fitted(rows: Floats, side: NDArray[np.int64], seed: int) -> Any:
    # Imported here: it takes a second, and most commands compare nothing.
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=8,
        min_samples_leaf=10,
        learning_rate=0.2,
        early_stopping=False,
        class_weight="balanced",
        random_state=seed,
    )
    # The library cannot bin a column without any value.
    return model.fit(np.where(np.isnan(rows).all(axis=0), 0.0, rows), side)


def _telling(
    folds: list[tuple[Any, NDArray[np.bool_]]],
    rows: Floats,
    side: NDArray[np.int64],
    columns: list[str],
    random: np.random.Generator,
) -> list[str]:
    """Columns by the AUC that is lost when their values are dealt out anew (Breiman 2001)."""
    model, test = folds[0]
    held, truth = rows[test], side[test]
    whole = auc(model.predict_proba(held)[:, 1], truth)
    lost: dict[str, float] = {}
    for number, name in enumerate(columns):
        dealt = held.copy()
        dealt[:, number] = random.permutation(dealt[:, number])
        lost[name] = whole - auc(model.predict_proba(dealt)[:, 1], truth)
    ranked = sorted(columns, key=lambda name: -lost[name])
    return [name for name in ranked if lost[name] > 0][:TELLING]
