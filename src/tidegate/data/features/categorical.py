"""Categories: a column each, or a place by their hash where there are too many."""

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated

import numpy as np
import polars as pl
from blake3 import blake3
from pydantic import Field, model_validator

from tidegate.data.features.numeric import MISSING
from tidegate.data.features.values import Floats, categories, texts
from tidegate.domain.features import MOST_COLUMNS, FeatureRule
from tidegate.domain.messages import Frozen

#: One-hot columns per categorical column; rarer values share "(other)". As many as there are days
#: in a month, and few enough that each has rows to learn from.
MAX_CATEGORIES = 30
#: Seen fewer times, a category gets no column: nothing can be learned from one row.
MIN_CATEGORY_ROWS = 2
#: Columns that hashed categories share. Of a hundred categories four in five share theirs with
#: another, which the signs tell apart every second time; more columns cost every row memory.
HASH_COLUMNS = 64
OTHER = "(other)"


class CategoricalFeature(Frozen):
    """A text becomes one column per category, one for all others, one for none if ``missing``."""

    name: str
    categories: Annotated[list[str], Field(max_length=MOST_COLUMNS)]
    missing: bool

    @model_validator(mode="after")
    def _once_each(self) -> "CategoricalFeature":
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a category is named twice")
        return self

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        known = [*self.categories, OTHER] + [MISSING] * self.missing
        return [f"{self.name}={category}" for category in known]

    @cached_property
    def _places(self) -> dict[str | None, int]:
        places: dict[str | None, int] = {c: number for number, c in enumerate(self.categories)}
        # Where no value was missing in the fit, one that is missing now is one never seen.
        places[None] = len(self.categories) + self.missing
        return places

    def put(self, block: Floats, column: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, len(names))``."""
        places, other = self._places, len(self.categories)
        at = [places.get(text, other) for text in categories(column)]
        block[:] = 0.0
        block[np.arange(len(at)), at] = 1.0


def fit_categorical(column: pl.Series, rule: FeatureRule) -> CategoricalFeature:
    """The most frequent categories of a column, those of equal counts in the order of names."""
    read = texts(column)
    ranked = sorted(read.drop_nulls().value_counts().iter_rows(), key=lambda row: (-row[1], row[0]))
    most = rule.max_categories or MAX_CATEGORIES
    chosen = [text for text, rows in ranked[:most] if rows >= MIN_CATEGORY_ROWS]
    return CategoricalFeature(
        name=column.name, categories=sorted(chosen), missing=read.null_count() > 0
    )


class HashedFeature(Frozen):
    """A text becomes 1 or -1 in one of ``columns``, by its hash alone, and nothing where missing.

    The hash is the first eight bytes of BLAKE3 of the text's UTF-8, as a little-endian number:
    its remainder by ``columns`` is the column, its highest bit the sign, so that categories which
    share a column seldom add up (Weinberger et al. 2009).
    """

    name: str
    columns: Annotated[int, Field(ge=1, le=MOST_COLUMNS)]

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        return [f"{self.name}#{number}" for number in range(self.columns)]

    def put(self, block: Floats, column: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, len(names))``."""
        given = categories(column)
        hashes = hashes_of(given)
        block[:] = 0.0
        for row, text in enumerate(given):
            if text is not None:
                block[row, hashes[text] % self.columns] = -1.0 if hashes[text] >> 63 else 1.0


def hashes_of(given: Iterable[str | None]) -> dict[str, int]:
    """64 bits for each text: BLAKE3 is specified, so they are the same everywhere and for good."""
    known = {text for text in given if text is not None}
    return {t: int.from_bytes(blake3(t.encode()).digest(length=8), "little") for t in known}
