"""What the model file says of features: what a column becomes, and how."""

import difflib
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from tidegate.domain.messages import Frozen

#: Key under ``features`` that speaks of every column not named there.
DEFAULT = "default"
#: Most columns that one text or one hashed category may become. Features are dense float64: a
#: million rows of so many are 32 GB, so what is more is a slip of the pen.
MOST_COLUMNS = 4096


class Way(StrEnum):
    """What a column becomes."""

    NUMBER = "number"
    ONE_HOT = "one_hot"
    TARGET = "target"
    HASH = "hash"
    DATE = "date"
    TEXT = "text"
    EMBEDDING = "embedding"


#: What a text of too many categories for one-hot columns may become.
Many = Literal[Way.ONE_HOT, Way.TARGET, Way.HASH]
Scale = Literal["standard", "robust", "min_max", "none"]
Part = Literal["days", "hour", "weekday", "yearday"]
Pieces = Literal["words", "characters"]

_NUMERIC = {"missing", "indicator", "scale"}
#: The options that each way takes.
OPTIONS: dict[Way, set[str]] = {
    Way.NUMBER: _NUMERIC,
    Way.ONE_HOT: {"max_categories"},
    Way.TARGET: {"smooth"},
    Way.HASH: {"columns"},
    Way.DATE: _NUMERIC | {"parts", "since"},
    Way.TEXT: {"of", "ngrams", "columns", "normalise"},
    Way.EMBEDDING: {"missing", "indicator"},
}
#: The words that each option takes, where it takes words.
_WORDS: dict[str, tuple[str, ...]] = {
    "as": tuple(Way),
    "many": (Way.ONE_HOT, Way.TARGET, Way.HASH),
    "missing": ("median", "mean", "keep"),
    "scale": ("standard", "robust", "min_max", "none"),
    "of": ("words", "characters"),
    "parts": ("days", "hour", "weekday", "yearday"),
}


class FeatureRule(Frozen):
    """What one column becomes, or how all columns do; what is left out is chosen by the data.

    A word alone, ``city: target``, is short for ``city: {as: target}``. ``docs/features.md``
    tells what each way and each option does.
    """

    way: Way | None = Field(None, alias="as")
    missing: Literal["median", "mean", "keep"] | FiniteFloat | None = None
    indicator: bool | None = None
    scale: Scale | None = None
    max_categories: Annotated[int, Field(ge=1, le=MOST_COLUMNS)] | None = None
    many: Many | None = None
    smooth: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    columns: Annotated[int, Field(ge=1, le=MOST_COLUMNS)] | None = None
    of: Pieces | None = None
    ngrams: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=8)]] | None = None
    normalise: bool | None = None
    parts: Annotated[list[Part], Field(min_length=1)] | None = None
    since: date | None = None

    model_config = {**Frozen.model_config, "populate_by_name": True, "serialize_by_alias": True}

    @model_validator(mode="before")
    @classmethod
    def _spelled_right(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"as": given}
        if not isinstance(given, Mapping):
            return given
        keys = [field.alias or name for name, field in cls.model_fields.items()]
        for key, value in given.items():
            if key != "way":  # as code names it
                _known(f"'{key}' is no option", key, keys)
            words = value if isinstance(value, list) else [value]
            for word in words:
                if key in _WORDS and isinstance(word, str):
                    _known(f"'{word}' is no word that '{key}' takes", word, _WORDS[key])
        return given

    @model_validator(mode="after")
    def _fitting(self) -> "FeatureRule":
        if self.way is not None:
            self.require_fits(self.way)
        if self.ngrams is not None and self.ngrams[0] > self.ngrams[1]:
            raise ValueError(f"ngrams go from the shorter to the longer, not {list(self.ngrams)}")
        if self.parts is not None and len(set(self.parts)) < len(self.parts):
            raise ValueError("each of parts is named once")
        if self.missing == "keep" and self.indicator:
            raise ValueError("what keeps missing values takes no indicator of them")
        return self

    def require_fits(self, way: Way) -> None:
        """Raise ValueError where an option was given that ``way`` does not take."""
        for option in sorted(self.given - OPTIONS[way]):
            takes = ", ".join(sorted(OPTIONS[way]))
            raise ValueError(f"what becomes '{way}' takes no '{option}', but: {takes}")

    @property
    def given(self) -> set[str]:
        """The options that were given, ``as`` aside."""
        told = {name for name, value in self if value is not None}
        return told - {"way"}


Features = dict[str, FeatureRule]


def checked(features: Features, aside: set[str]) -> Features:
    """The rules as they are; raises ValueError where one speaks of what it cannot speak of.

    ``aside`` are columns that never become features.
    """
    for name, rule in features.items():
        if name in aside:
            raise ValueError(f"features: '{name}' is the target, the key or excluded")
        alone = rule.given & ({"parts", "since"} if name == DEFAULT else {"many"})
        if name == DEFAULT and rule.way is not None:
            raise ValueError(
                "features: 'default' speaks of columns of every kind: say 'as' column by column, "
                "or 'many' for texts of many categories"
            )
        if alone:
            where = "a column's own rule" if name == DEFAULT else f"'{DEFAULT}'"
            raise ValueError(f"features: '{min(alone)}' belongs in {where}")
    return features


def _known(what: str, word: Any, known: Iterable[str]) -> None:
    words = list(known)
    if word in words:
        return
    near = difflib.get_close_matches(str(word), words, 1, 0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(words)}"
    raise ValueError(f"{what}; {hint}")
