"""Whether all columns together tell two tables apart: a classifier two-sample test."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special

from tidegate.data.profile.embeddings import sides
from tidegate.data.table import as_text, finite, kind_of
from tidegate.domain.schema import Kind
from tidegate.params.parallel import on_threads, openmp

Floats = NDArray[np.float64]

#: With more distinct texts than this, how often one occurs tells little of it.
MANY = 100
#: The most telling columns that are named.
TELLING = 5


class Separation(NamedTuple):
    """``score``: AUC on rows the classifier has not seen, 0.5 to 1; ``columns``: most telling."""

    score: float
    p_value: float
    columns: list[str]

    @property
    def effect(self) -> float:
        """The effect of one normal column that separates the sides as well.

        Shifted by d standard deviations it has an AUC of the normal probability of d / sqrt(2),
        and a Kolmogorov-Smirnov distance of twice that of d / 2, less 1.
        """
        shift = float(np.sqrt(2) * special.ndtri(min(self.score, 1 - 1e-12)))
        return float(2 * special.ndtr(shift / 2) - 1)


def separation(
    reference: pl.DataFrame, current: pl.DataFrame, columns: list[str], *, seed: int = 0
) -> Separation:
    """How well gradient boosting tells the sides apart (Lopez-Paz and Oquab 2017).

    Trained on one half of both samples and scored on the other, then the other way round. Given a
    half it was not trained on, the AUC without drift is the Mann-Whitney statistic; the mean of the
    two is at most as spread as one, so the p-value from one's spread is safe.
    """
    random = np.random.default_rng(seed)
    shuffled = [frame[random.permutation(frame.height).tolist()] for frame in (reference, current)]
    codes = [_codes(shuffled[0][name], shuffled[1][name]) for name in columns]
    owner = np.repeat(np.arange(len(columns)), [block.shape[1] for block in codes])
    rows = np.column_stack(codes)
    side = np.repeat([0, 1], [len(shuffled[0]), len(shuffled[1])])
    # Alternating rows of a random order: both halves hold both sides in equal measure.
    half = np.concatenate([np.arange(len(part)) % 2 for part in shuffled])
    models = on_threads(lambda k: _fitted(rows[half == k], side[half == k], seed), (0, 1))
    folds = [(model, half != k) for k, model in enumerate(models)]
    scores = [auc(_scored(model, rows[test]), side[test]) for model, test in folds]
    score = float(np.mean(scores))
    small = min((int(np.sum(side[test] == 0)), int(np.sum(side[test] == 1))) for _, test in folds)
    error = np.sqrt((sum(small) + 1) / (12 * small[0] * small[1]))
    p = float(special.ndtr(-(score - 0.5) / error))
    telling = _telling(folds, rows, side, columns, owner, random) if p < 0.05 else []
    return Separation(max(0.5, score), p, telling)


def auc(scores: Floats, labels: NDArray[np.int64]) -> float:
    """The chance that a row of label 1 scores above one of label 0; ties count half."""
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    ones = int(labels.sum())
    zeros = len(labels) - ones
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _codes(a: pl.Series, b: pl.Series) -> Floats:
    """Both sides of a column as numbers, ``(n_rows, k)``, NaN where missing.

    Texts by how often they occur, many by their length as well; vectors by their sides.
    """
    if isinstance(a.dtype, pl.Array) or isinstance(b.dtype, pl.Array):
        return np.concatenate([_vector_codes(series) for series in (a, b)])
    if all(kind_of(series.dtype) is Kind.NUMERIC for series in (a, b)):
        both = [finite(series).fill_null(np.nan).to_numpy() for series in (a, b)]
        return np.concatenate(both)[:, None]
    texts = pl.concat([as_text(series).alias("value").str.strip_chars() for series in (a, b)])
    counts = texts.drop_nulls().value_counts(name="rows")
    order = counts.sort(["rows", "value"], descending=[True, False])["value"]
    codes = texts.replace_strict(
        order, pl.Series(range(len(order)), dtype=pl.Float64), default=None, return_dtype=pl.Float64
    )
    columns = [codes]
    if len(order) > MANY:
        columns.append(texts.str.len_chars().cast(pl.Float64))
    return np.column_stack([column.fill_null(np.nan).to_numpy() for column in columns])


def _vector_codes(series: pl.Series) -> Floats:
    vectors = np.full((len(series), series.dtype.shape[0]), np.nan)  # type: ignore[attr-defined]
    vectors[series.is_not_null().to_numpy()] = series.drop_nulls().to_numpy()
    return np.column_stack(list(sides(vectors).values()))


def _fitted(rows: Floats, side: NDArray[np.int64], seed: int) -> Any:
    # Imported here: it takes a second, and most commands compare nothing.
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=8,
        max_bins=63,
        min_samples_leaf=10,
        learning_rate=0.2,
        early_stopping=False,
        random_state=seed,
    )
    # The library cannot bin a column without any value.
    rows = np.where(np.isnan(rows).all(axis=0), 0.0, rows)
    # On so few rows, threads wait for each other longer than they work: many times as long where
    # other processes want the cores too. The limit holds for the thread that sets it.
    with openmp(1):
        return model.fit(rows, side)


def _asked(model: Any, owner: NDArray[np.int64]) -> list[int]:
    """The columns that trees ask for, by how much their questions brought, the most first.

    Dealing out another's values would change nothing.
    """
    inner = [n[n["is_leaf"] == 0] for trees in model._predictors for n in (t.nodes for t in trees)]
    nodes = np.concatenate(inner)
    gains = np.bincount(owner[nodes["feature_idx"].astype(np.int64)], weights=nodes["gain"])
    return [int(column) for column in np.argsort(-gains, kind="stable") if gains[column] > 0]


def _scored(model: Any, rows: Floats) -> Floats:
    with openmp(1):
        return np.asarray(model.predict_proba(rows)[:, 1])


def _telling(
    folds: list[tuple[Any, NDArray[np.bool_]]],
    rows: Floats,
    side: NDArray[np.int64],
    columns: list[str],
    owner: NDArray[np.int64],
    random: np.random.Generator,
) -> list[str]:
    """Columns by the AUC that is lost when their values are dealt out anew (Breiman 2001).

    Only of those that brought most in training: what brought little there loses little here.
    """
    model, test = folds[0]
    held, truth = rows[test], side[test]
    whole = auc(_scored(model, held), truth)
    lost: dict[str, float] = {}
    for number in _asked(model, owner)[: 3 * TELLING]:
        name = columns[number]
        dealt = held.copy()
        mine = np.flatnonzero(owner == number)
        dealt[:, mine] = dealt[np.ix_(random.permutation(len(dealt)), mine)]
        lost[name] = whole - auc(_scored(model, dealt), truth)
    ranked = sorted(lost, key=lambda name: -lost[name])
    return [name for name in ranked if lost[name] > 0][:TELLING]
