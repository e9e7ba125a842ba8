"""A target encoding's table: what each category stands for; kept as arrays, for it may be long."""

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.features.values import Floats

Arrays = Mapping[str, NDArray[Any]]


class TargetTable:
    """``values``, ``(len(categories), width)``, of ``categories``; "" is the missing one."""

    def __init__(self, categories: list[str], values: Floats):
        self.categories, self.values = categories, values

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TargetTable)
            and self.categories == other.categories
            and self.values.tobytes() == other.values.tobytes()
        )

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _places(self) -> dict[str | None, int]:
        places: dict[str | None, int] = {c: number for number, c in enumerate(self.categories)}
        places[None] = places.get("", len(self.categories))
        return places

    @cached_property
    def _with_zeros(self) -> Floats:
        return np.concatenate([self.values, np.zeros((1, self.values.shape[1]))])

    def look_up(self, texts: list[str | None]) -> Floats:
        """The values of each text, ``(len(texts), width)``; zeros for one that is not known."""
        unknown = len(self.categories)
        places = self._places
        found: Floats = self._with_zeros[[places.get(text, unknown) for text in texts]]
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The table as three arrays: all categories in UTF-8, where each ends, and the values."""
        encoded = [category.encode() for category in self.categories]
        sizes = np.array([len(category) for category in encoded], np.int64)
        return {
            "texts": np.frombuffer(b"".join(encoded), np.uint8),
            "ends": np.cumsum(sizes, dtype=np.int64),
            "values": self.values,
        }


def table_of(arrays: Arrays, width: int) -> TargetTable:
    """The table that ``arrays`` hold; raises ValueError where they hold none of ``width``."""
    if set(arrays) != {"texts", "ends", "values"}:
        raise ValueError("a target encoding has the arrays texts, ends and values")
    texts, ends, values = (arrays[name] for name in ("texts", "ends", "values"))
    if [array.dtype.str for array in (texts, ends, values)] != ["|u1", "<i8", "<f8"]:
        raise ValueError("texts are bytes, ends int64 and values float64")
    if texts.ndim != 1 or ends.ndim != 1 or values.shape != (len(ends), width):
        raise ValueError(f"{len(ends)} categories have values of shape {list(values.shape)}")
    if not np.isfinite(values).all():
        raise ValueError("a value is NaN or infinite")
    edges = [0, *ends.tolist()]
    if edges[-1] != len(texts) or any(end < start for start, end in pairwise(edges)):
        raise ValueError("the categories do not end where the texts do")
    raw = texts.tobytes()
    try:
        categories = [raw[start:end].decode() for start, end in pairwise(edges)]
    except UnicodeDecodeError:
        raise ValueError("a category is no UTF-8") from None
    if len(set(categories)) < len(categories):
        raise ValueError("a category is named twice")
    return TargetTable(categories, values)
