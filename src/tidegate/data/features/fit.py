"""Fitting the transform, and what it makes of the rows that it was fitted on."""

from typing import Any, Literal

import polars as pl

from tidegate.data.features.categorical import HASH_COLUMNS, HashedFeature, fit_categorical
from tidegate.data.features.dates import fit_cycles, fit_date
from tidegate.data.features.embedding import fit_embedding
from tidegate.data.features.numeric import fit_numeric
from tidegate.data.features.target import TargetFeature, fit_target
from tidegate.data.features.text import fit_text
from tidegate.data.features.transform import SINCE_2, Feature, Transform
from tidegate.data.features.values import Floats, numbers
from tidegate.data.features.ways import require_known, way_of
from tidegate.data.table import canonical_column
from tidegate.data.time import time_of
from tidegate.domain.features import FeatureRule, Way
from tidegate.domain.model import ModelSpec
from tidegate.params.parallel import on_threads

#: The list of the transform that holds what each way gives.
_LISTS = {
    Way.NUMBER: "numeric",
    Way.ONE_HOT: "categorical",
    Way.TARGET: "target",
    Way.HASH: "hashed",
    Way.DATE: "dates",
    Way.TEXT: "text",
    Way.EMBEDDING: "embeddings",
}

#: From so many rows on, threads pay for their start.
_LARGE = 50_000


def fit_transform(frame: pl.DataFrame, spec: ModelSpec, *, keep_missing: bool = False) -> Transform:
    """The transform fitted on ``frame``: every column but ``spec.not_features``.

    ``spec.features`` says what becomes what; see ``way_of``. The model's time columns turn into
    the cycles they show (hour, weekday, day of the year) and, unless a rule names them, never into
    a trend: parameters know nothing of times to come, and updates are what follows a trend.
    Columns without any value are left out. For the rows of ``frame`` themselves, use
    ``training_features``.
    """
    require_known(spec, frame.columns)
    aside = spec.not_features | (set(spec.time) - set(spec.features or {}))
    has_target = _has_target(frame, spec)

    def fitted(name: str) -> tuple[Way, Feature] | None:
        column = _canonical(frame[name])
        if column.null_count() == len(column):
            return None
        way, rule = way_of(column, spec, has_target=has_target)
        return way, _fit(column, way, rule, frame, spec, keep_missing)

    names = [name for name in frame.columns if name not in aside]
    threads = None if frame.height >= _LARGE else 1
    found: dict[str, list[Any]] = {name: [] for name in _LISTS.values()}
    for way, feature in filter(None, on_threads(fitted, names, threads)):
        found[_LISTS[way]].append(feature)
    return Transform(
        format=_format(found),
        keep_missing=keep_missing,
        time=list(spec.time),
        cycles=fit_cycles(time_of(frame, spec.time)) if spec.time else [],
        **found,
    )


def training_features(transform: Transform, frame: pl.DataFrame, spec: ModelSpec) -> Floats:
    """The features of the rows that ``transform`` was fitted on, to learn from.

    As ``apply`` gives them, but for target encodings: there a row's value comes from other rows
    alone, since one that holds a part of its own target would be believed more than it deserves.
    """
    out, seed = transform.apply(frame), spec.policy.training.seed
    for feature, start, end in transform.placed:
        if isinstance(feature, TargetFeature) and spec.target is not None:
            column = frame[feature.name]
            out[:, start:end] = feature.out_of_fold(column, frame[spec.target], seed)
    return out


def _format(found: dict[str, list[Any]]) -> Literal[1, 2]:
    """Format 1 where it has words for everything, so that ids stay as they were."""
    new = any(found[name] for name in SINCE_2)
    return 2 if new or any(feature.keep is not None for feature in found["numeric"]) else 1


def _has_target(frame: pl.DataFrame, spec: ModelSpec) -> bool:
    if spec.task is None or spec.target not in frame.columns:
        return False
    return frame[spec.target].null_count() < frame.height


def _canonical(column: pl.Series) -> pl.Series:
    # Vectors are read as they are; see ``values.vectors``.
    nested = isinstance(column.dtype, (pl.Array, pl.List))
    return column if nested else canonical_column(column)


def _fit(
    column: pl.Series,
    way: Way,
    rule: FeatureRule,
    frame: pl.DataFrame,
    spec: ModelSpec,
    keep_missing: bool,
) -> Feature:
    if way is Way.NUMBER:
        return fit_numeric(column.name, numbers(column), rule, keep_missing=keep_missing)
    if way is Way.ONE_HOT:
        return fit_categorical(column, rule)
    if way is Way.HASH:
        return HashedFeature(name=column.name, columns=rule.columns or HASH_COLUMNS)
    if way is Way.DATE:
        return fit_date(column, rule, keep_missing=keep_missing)
    if way is Way.TEXT:
        return fit_text(column, rule, keep_missing=keep_missing)
    if way is Way.EMBEDDING:
        return fit_embedding(column, rule, keep_missing=keep_missing)
    assert spec.task is not None and spec.target is not None  # noqa: S101, PT018 - way_of saw to it
    return fit_target(column, frame[spec.target], spec.task, rule, spec.policy.training.seed)
