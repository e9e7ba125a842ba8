"""The feature transform: fitted once, stored with the parameters, the same wherever it runs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError, model_validator

from tidegate.data.features.categorical import CategoricalFeature, HashedFeature
from tidegate.data.features.dates import DateFeature, TimeFeature
from tidegate.data.features.embedding import EmbeddingFeature
from tidegate.data.features.numeric import Numbers, NumericFeature
from tidegate.data.features.target import TargetFeature
from tidegate.data.features.target_table import table_of
from tidegate.data.features.text import TextFeature
from tidegate.data.features.values import Floats, with_infinities
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError, Incompatible
from tidegate.domain.messages import Frozen

Feature = (
    NumericFeature
    | CategoricalFeature
    | TargetFeature
    | HashedFeature
    | DateFeature
    | TextFeature
    | EmbeddingFeature
)

#: Most features of a transform: ten times the widest embedding, and 5 MB a row.
MOST_FEATURES = 655_360
#: Lists that format 1 had not. It is still written where nothing else is needed, so that what was
#: trained before gets the same id when it is trained again.
SINCE_2 = ("target", "hashed", "dates", "text", "embeddings")


class Placed(NamedTuple):
    """A feature and where its columns begin and end."""

    feature: Feature
    start: int
    end: int


class Transform(Frozen):
    """What turns rows into numbers; ``keep_missing`` leaves NaN where a number is missing.

    Columns come in the order of the lists here. ``cycles`` are those of the model's own ``time``.
    """

    format: Literal[1, 2] = 1
    keep_missing: bool
    numeric: list[NumericFeature]
    categorical: list[CategoricalFeature]
    time: list[str] = []
    cycles: list[TimeFeature] = []
    target: list[TargetFeature] = []
    hashed: list[HashedFeature] = []
    dates: list[DateFeature] = []
    text: list[TextFeature] = []
    embeddings: list[EmbeddingFeature] = []

    @model_validator(mode="after")
    def _sound(self) -> "Transform":
        kept = any(feature.keep is not None for feature in self.numeric)
        if self.format == 1 and (kept or any(getattr(self, name) for name in SINCE_2)):
            raise ValueError("format 1 has no words for such features")
        counts = Counter(placed.feature.name for placed in self.placed)
        double, times = counts.most_common(1)[0] if counts else ("", 0)
        if times > 1:
            raise ValueError(f"column '{double}' has two features")
        if self._width > MOST_FEATURES:
            raise ValueError(f"{self._width} features are more than {MOST_FEATURES}")
        if self.cycles and not self.time:
            raise ValueError("there are cycles and no time")
        return self

    @cached_property
    def placed(self) -> list[Placed]:
        """Every feature of a column with its place; the cycles lie after the categories."""
        placed, at = [], 0
        for feature in self._features():
            if isinstance(feature, TimeFeature):
                at += len(feature.names("time"))
                continue
            end = at + len(feature.names)
            placed.append(Placed(feature, at, end))
            at = end
        return placed

    def _features(self) -> Iterator[Feature | TimeFeature]:
        yield from self.numeric
        yield from self.categorical
        yield from self.cycles
        for name in SINCE_2:
            yield from getattr(self, name)

    @cached_property
    def _numbers(self) -> Numbers:
        return Numbers(self.numeric, keep_missing=self.keep_missing)

    @cached_property
    def _cycles_at(self) -> int:
        numeric = sum(len(feature.names) for feature in self.numeric)
        return numeric + sum(len(feature.names) for feature in self.categorical)

    @cached_property
    def _width(self) -> int:
        ends = [self._cycles_at + 3 * len(self.cycles), *(placed.end for placed in self.placed)]
        return max(ends)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        found: list[str] = []
        for feature in self._features():
            found += feature.names("time") if isinstance(feature, TimeFeature) else feature.names
        return found

    @cached_property
    def columns(self) -> list[str]:
        """The input columns that rows must have, each once."""
        names = [placed.feature.name for placed in self.placed]
        return list(dict.fromkeys(names + (self.time if self.cycles else [])))

    def apply(self, frame: pl.DataFrame) -> Floats:
        """The features, ``(n_rows, len(names))`` float64; a row's are the same in any company.

        Raises DataError for a missing column, and for text where a number belongs.
        """
        self._require(frame)
        out = np.empty((frame.height, self._width))
        if self.numeric:
            columns = [with_infinities(frame.get_column(f.name)) for f in self.numeric]
            self._numbers.put(out, columns)
        for feature, start, end in self.placed:
            if not isinstance(feature, NumericFeature):
                column = frame.get_column(feature.name)
                feature.put(out[:, start:end], column, keep_missing=self.keep_missing)
        if self.cycles:
            times, at = time_of(frame, self.time), self._cycles_at
            for cycle in self.cycles:
                cycle.put(out[:, at : at + 3], times, keep_missing=self.keep_missing)
                at += 3
        return out

    @property
    def numbers_alone(self) -> bool:
        """Whether every column is a number: rows may then come as one array."""
        return bool(self.numeric) and not self.cycles and len(self.numeric) == len(self.placed)

    def apply_numbers(self, block: Floats) -> Floats:
        """As ``apply``, for ``columns`` as float64 ``(n_rows, n_columns)``, NaN where missing."""
        return self._numbers.of(block)

    def _require(self, frame: pl.DataFrame) -> None:
        given = set(frame.columns)
        absent = [name for name in self.columns if name not in given]
        if absent and frame.width == 1 and isinstance(frame.dtypes[0], pl.Array):
            raise DataError(
                "'{name}' is none of the columns",
                do="give each column by its name, as a tensor of its own: all in one is for models "
                "whose columns are all numbers. The columns are: {columns}",
                name=frame.columns[0],
                columns=self.columns,
            )
        if absent:
            raise DataError(
                "the rows miss the columns {missing}",
                do="give all of: {columns}",
                missing=absent,
                columns=self.columns,
            )

    def stored(self) -> dict[str, Any]:
        """The transform as JSON, all but the tables of its target encodings; see ``arrays``."""
        told = self.model_dump(mode="json", exclude_none=True)
        return {name: value for name, value in told.items() if value or name not in SINCE_2}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tables of the target encodings: for the first, ``target.0.texts`` and so on."""
        return {
            f"target.{number}.{name}": array
            for number, feature in enumerate(self.target)
            for name, array in feature.table.arrays().items()
        }


def restored(stored: Mapping[str, Any] | None, arrays: Mapping[str, NDArray[Any]]) -> Transform:
    """The transform that was stored; raises Incompatible for what is none."""
    try:
        return Transform.model_validate({**(stored or {}), **_with_tables(stored or {}, arrays)})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "transform"
        raise _no_transform(where, first["msg"].removeprefix("Value error, ")) from None
    except ValueError as error:
        raise _no_transform("target", str(error)) from None


def _with_tables(stored: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The target encodings of ``stored``, each with the table that ``arrays`` hold for it."""
    told = stored.get("target", [])
    if not told and not arrays:
        return {}
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise ValueError("the target encodings are no list of them")
    tables: list[dict[str, Any]] = [{} for _ in told]
    for name, array in arrays.items():
        _, number, part = [*name.split(".", 2), "", ""][:3]
        if name != f"target.{number}.{part}" or number not in map(str, range(len(tables))):
            raise ValueError(f"the array '{name}' belongs to no target encoding")
        tables[int(number)][part] = array
    found = []
    for one, table in zip(told, tables, strict=True):
        outputs = one.get("outputs")
        width = len(outputs) if isinstance(outputs, list) else 0
        found.append({**one, "table": table_of(table, width)})
    return {"target": found}


def _no_transform(where: str, problem: str) -> Incompatible:
    return Incompatible(
        "the stored feature transform cannot be used: {where}: {problem}",
        do="restore the version from a backup, or train it again with a full update",
        where=where,
        problem=problem,
    )
