"""Fitting the transform, and what it makes of the rows that it was fitted on."""

from typing import Any

import polars as pl

from tidegate.data.features.categorical import HASH_COLUMNS, HashedFeature, fit_categorical
from tidegate.data.features.dates import fit_cycles, fit_date
from tidegate.data.features.embedding import fit_embedding
from tidegate.data.features.numeric import fit_numeric
from tidegate.data.features.target import fit_target
from tidegate.data.features.text import fit_text
from tidegate.data.features.transform import SINCE_2, Feature, Transform
from tidegate.data.features.values import Floats, numbers
from tidegate.data.features.ways import require_known, way_of
from tidegate.data.table import canonical_column
from tidegate.data.time import time_of
from tidegate.domain.features import FeatureRule, Way
from tidegate.domain.model import ModelSpec

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
    found: dict[str, list[Any]] = {name: [] for name in _LISTS.values()}
    for name in frame.columns:
        if name in aside:
            continue
        column = _canonical(frame[name])
        if column.null_count() == len(column):
            continue
        way, rule = way_of(column, spec, has_target=has_target)
        found[_LISTS[way]].append(_fit(column, way, rule, frame, spec, keep_missing))
