"""What a table holds (schema), what it must hold (contract), and where it breaks that (breach)."""

from enum import StrEnum
from typing import Any

from pydantic import model_validator

from tidegate.domain.messages import Frozen, Message


class Kind(StrEnum):
    """The kinds of column."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"
    EMBEDDING = "embedding"


class Column(Frozen):
    """A column as found: its kind, and how many of its values are missing."""

    name: str
    kind: Kind
    dtype: str
    missing: int = 0


class Schema(Frozen):
    """The columns of a table, in file order."""

    columns: list[Column]

    @property
    def names(self) -> list[str]:
        """Column names in file order."""
        return [column.name for column in self.columns]

    def get(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)


class ColumnRule(Frozen):
    """What one column must hold. ``minimum`` and ``maximum`` are inclusive."""

    name: str
    kind: Kind
    max_missing_share: float = 1.0
    minimum: float | None = None
    maximum: float | None = None
    allowed: list[str] | None = None
    severity: str = "warn"  # what a value outside range or list does: "warn" or "refuse"

    @model_validator(mode="after")
    def _ordered(self) -> "ColumnRule":
        if self.severity not in ("warn", "refuse"):
            raise ValueError(f"severity is 'warn' or 'refuse', not '{self.severity}'")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError(f"minimum {self.minimum} lies above maximum {self.maximum}")
        if self.kind is Kind.CATEGORICAL and (self.minimum, self.maximum) != (None, None):
            raise ValueError("minimum and maximum are for numeric columns; give 'allowed' here")
        return self


class Contract(Frozen):
    """What data for a model must look like: one rule a column."""

    columns: list[ColumnRule]

    def rule(self, name: str) -> ColumnRule | None:
        """The rule for a column, or None where the contract does not speak of it."""
        return next((rule for rule in self.columns if rule.name == name), None)


class Breach(Frozen):
    """One broken rule: which column and rule, how often, and rows (0-based) that show it."""

    column: str
    rule: str  # missing_column, kind, range, allowed, missing_share
    severity: str
    count: int
    share: float
    rows: list[int]
    examples: list[Any]
    message: Message
