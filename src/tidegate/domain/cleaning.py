"""The steps of cleaning that a model file may declare, in the order they are taken."""

import sys
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tidegate.domain.messages import Frozen

Columns = Annotated[list[str], Field(min_length=1)]
Action = Literal["clip", "blank", "drop"]


def _texts(given: Any) -> Any:
    """YAML reads -999 as a number; as a value it is what stands in the file."""
    if not isinstance(given, list):
        return given
    numbers = (int, float)
    return [str(v) if isinstance(v, numbers) and not isinstance(v, bool) else v for v in given]


class Trim(Frozen):
    """Blanks around texts go; a text of nothing else is missing."""

    step: Literal["trim"] = "trim"
    columns: Columns | None = None


class MissingWords(Frozen):
    """Values that mean "missing", such as ``unknown`` or ``-999``; in every column or in some."""

    step: Literal["missing"] = "missing"
    values: Annotated[list[str], BeforeValidator(_texts), Field(min_length=1)]
    columns: Columns | None = None


class Infinite(Frozen):
    """Infinite numbers are missing."""

    step: Literal["infinite"] = "infinite"
    columns: Columns | None = None


class Categories(Frozen):
    """Numbers in columns that the contract knows as text or as true and false, as text."""

    step: Literal["categories"] = "categories"


class Types(Frozen):
    """Columns read as another type; what cannot be read so is missing, and counted.

    ``decimal`` is the mark before decimals in numbers that are stored as text; the other one of
    the two, and blanks, group their digits.
    """

    step: Literal["types"] = "types"
    columns: dict[str, Literal["numeric", "categorical", "boolean", "date"]]
    decimal: Literal[".", ","] = "."


class Lower(Frozen):
    """Texts in small letters."""

    step: Literal["lower"] = "lower"
    columns: Columns | None = None


class Replace(Frozen):
    """Texts in place of others; null makes a value missing. No new text is an old one again."""

    step: Literal["replace"] = "replace"
    column: str
    values: dict[str, str | None] = Field(min_length=1)

    @model_validator(mode="after")
    def _settled(self) -> "Replace":
        for old, new in self.values.items():
            if new is not None and self.values.get(new, new) != new:
                raise ValueError(f"'{old}' becomes '{new}', which becomes another again")
        return self


class Rename(Frozen):
    """Columns under other names, the old one first."""

    step: Literal["rename"] = "rename"
    columns: dict[str, str] = Field(min_length=1)


class Range(Frozen):
    """Numbers outside a range are set to its end, made missing, or their rows dropped."""

    step: Literal["range"] = "range"
    column: str
    minimum: float | None = Field(None, allow_inf_nan=False)
    maximum: float | None = Field(None, allow_inf_nan=False)
    action: Action = "blank"

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        low, high = self.minimum, self.maximum
        if low is None and high is None:
            raise ValueError(f"the range of '{self.column}' has neither minimum nor maximum")
        if low is not None and high is not None and low > high:
            raise ValueError(f"minimum {low:g} lies above maximum {high:g}")
        return self


class Outliers(Frozen):
    """Numbers far from the others; the limits are found once, recorded, and used again.

    ``robust_z``: further than ``limit`` standard deviations from the median, the deviation being
    told from the middle half (1.4826 times the median distance), which outliers do not widen;
    ``quantiles``: below the ``low`` or above the ``high`` quantile.
    """

    step: Literal["outliers"] = "outliers"
    columns: Columns
    method: Literal["robust_z", "quantiles"] = "robust_z"
    # 6: of a billion normal values two lie beyond it.
    limit: float = Field(6.0, gt=0, allow_inf_nan=False)
    low: float = Field(0.001, ge=0, lt=0.5)
    high: float = Field(0.999, gt=0.5, le=1)
    action: Action = "clip"


class Fill(Frozen):
    """Missing values filled in: with ``value``, or with what is found once and recorded.

    ``median``: the middle value of a numeric column; ``mode``: the most frequent one of any.
    """

    step: Literal["fill"] = "fill"
    columns: Columns
    by: Literal["value", "median", "mode"] = "value"
    value: str | int | float | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Fill":
        if (self.by == "value") != (self.value is not None):
            raise ValueError("give 'value: ...', or 'by: median' or 'by: mode' without a value")
        if isinstance(self.value, (int, float)) and not abs(self.value) <= sys.float_info.max:
            raise ValueError("missing values are filled in with finite numbers, up to 1.8e308")
        return self


class Require(Frozen):
    """Rows that miss one of these columns go."""

    step: Literal["require"] = "require"
    columns: Columns


class DropRepeats(Frozen):
    """Rows that are alike in these columns are one; rows that miss one of them stay.

    Without columns: alike in every column, and dropped only where the model names key and time
    and the row has both. Elsewhere two alike readings are two readings; they are counted.
    """

    step: Literal["repeats"] = "repeats"
    columns: Columns | None = None
    keep: Literal["first", "last"] = "first"


_Steps = (
    Trim | MissingWords | Infinite | Categories | Types | Lower | Replace | Rename | Range
    | Outliers | Fill | Require | DropRepeats
)  # fmt: skip
Step = Annotated[
    _Steps,
    Field(discriminator="step"),
    BeforeValidator(lambda given: {"step": given} if isinstance(given, str) else given),
]

#: What is done where the model file declares nothing.
DEFAULT_STEPS: tuple[_Steps, ...] = (Trim(), Infinite(), Categories(), DropRepeats())
#: Steps that say how the file is to be read: they keep every row where it is, and the contract is
#: checked after those that come first.
READING = (Trim, MissingWords, Types, Lower, Replace, Rename)


def names_of(step: _Steps) -> list[str]:
    """The columns that a step names; none where it is for all."""
    if isinstance(step, (Replace, Range)):
        return [step.column]
    return list(getattr(step, "columns", None) or [])
