"""Embeddings: passed through as they are, their width checked."""

from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from tidegate.data.features.numeric import MISSING
from tidegate.data.features.values import LARGEST, Floats, vectors
from tidegate.domain.errors import DataError
from tidegate.domain.features import FeatureRule
from tidegate.domain.messages import Frozen

#: Widest vectors that are taken; models that embed text give a few thousand numbers.
WIDEST = 65_536


class EmbeddingFeature(Frozen):
    """A vector stays as it is, zeros where it or an element is missing unless ``keep``.

    It is not brought to a scale: its lengths and angles are what its own model meant by it.
    ``indicator``: a further column says 1 where the vector, or any element of it, is missing.
    """

    name: str
    width: Annotated[int, Field(ge=1, le=WIDEST)]
    indicator: bool
    keep: bool = False

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        plain = [f"{self.name}.{number}" for number in range(self.width)]
        return plain + [f"{self.name}={MISSING}"] * self.indicator

    def put(self, block: Floats, column: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, len(names))``."""
        values = vectors(column, self.width)
        missing = np.isnan(values)
        if self.indicator:
            block[:, -1] = missing.any(axis=1)
        if not self.keep:
            values[missing] = 0.0
        block[:, : self.width] = np.minimum(np.maximum(values, -LARGEST), LARGEST)


def fit_embedding(column: pl.Series, rule: FeatureRule, *, keep_missing: bool) -> EmbeddingFeature:
    """The feature of a column of vectors; raises DataError where they differ in width."""
    if not isinstance(column.dtype, (pl.Array, pl.List)):
        raise DataError(
            "column '{column}' is declared an embedding and holds no vectors but {dtype}",
            do="give each row's vector as a list of numbers, or declare it otherwise",
            column=column.name,
            dtype=str(column.dtype),
        )
    listed = column.cast(pl.List(column.dtype.inner))
    width = int(listed.drop_nulls().list.len()[0])
    if width == 0 or width > WIDEST:
        raise DataError(
            "column '{column}' holds vectors of {width} numbers",
            do="give vectors of 1 to {widest} numbers, or leave the column out",
            column=column.name,
            width=width,
            widest=WIDEST,
        )
    missing = rule.missing if rule.missing is not None else ("keep" if keep_missing else 0.0)
    if missing not in ("keep", 0.0):
        raise DataError(
            "column '{column}' holds vectors, whose missing elements cannot become {missing}",
            do="say 'missing: 0' or 'missing: keep'",
            column=column.name,
            missing=str(missing),
        )
    keep = missing == "keep"
    gaps = bool(np.isnan(vectors(column, width)).any())
    indicator = not keep and (gaps if rule.indicator is None else rule.indicator)
    return EmbeddingFeature(name=column.name, width=width, indicator=indicator, keep=keep)
