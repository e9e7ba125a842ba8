"""What a table holds (schema), what it must hold (contract), and where it breaks that (breach)."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tidegate.domain.expression import parse_rule
from tidegate.domain.messages import Frozen, Message


class Kind(StrEnum):
    """The kinds of column. All but numbers and embeddings are stored as text."""

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


def moment(text: str) -> dt.datetime:
    """The time an ISO 8601 text names, without a zone: in UTC where it names one.

    Raises ValueError where it names none, or one that is outside the years 1 to 9999 in UTC.
    """
    found = dt.datetime.fromisoformat(text)
    try:
        return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found
    except OverflowError:
        raise ValueError(f"'{text}' is outside the years 1 to 9999 in UTC") from None


def _severity(given: str) -> str:
    if given not in ("warn", "refuse"):
        raise ValueError(f"severity is 'warn' or 'refuse', not '{given}'")
    return given


def _moment_text(given: Any) -> Any:
    """YAML reads 2011-12-31 as a date already."""
    if isinstance(given, (dt.date, dt.datetime)):
        return given.isoformat()
    if isinstance(given, str):
        moment(given)
    return given


#: A longer pattern is a program; the engine also refuses one that would compile to megabytes.
MAX_PATTERN = 1000


def whole(pattern: str) -> str:
    """The pattern that matches a value from its first to its last character."""
    return rf"\A(?:{pattern})\z"


def _pattern(given: str) -> str:
    """Only the engine that will run it knows its grammar: linear in the text, whatever it is."""
    if len(given) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} characters, not {len(given)}")
    for pattern in (given, whole(given)):
        try:
            pl.Series([""]).str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            lines = [line for line in str(error).splitlines() if "error: " in line]
            why = lines[-1].partition("error: ")[2] if lines else "it grows too large"
            raise ValueError(f"the pattern '{given[:80]}' cannot be read ({why})") from None
    return given


Severity = Annotated[str, AfterValidator(_severity)]
Moment = Annotated[str, BeforeValidator(_moment_text)]
Share = Annotated[float, Field(ge=0, le=1)]
#: Beyond 2**31 characters or numbers no cell holds a value: Arrow counts them in 32 bits.
Length = Annotated[int, Field(ge=0, lt=2**31)]
#: Tables count their rows in 64 bits.
Rows = Annotated[int, Field(ge=0, lt=2**63)]

_TEXTS = (Kind.CATEGORICAL, Kind.TEXT)
#: Which kinds a key of a column's rule is for, and what to write elsewhere.
_FITS: dict[str, tuple[tuple[Kind, ...], str]] = {
    "minimum": ((Kind.NUMERIC,), "give 'allowed', or 'earliest' and 'latest' for dates"),
    "maximum": ((Kind.NUMERIC,), "give 'allowed', or 'earliest' and 'latest' for dates"),
    "earliest": ((Kind.DATE,), "give 'minimum' for numbers"),
    "latest": ((Kind.DATE,), "give 'maximum' for numbers"),
    "allowed": ((Kind.NUMERIC, *_TEXTS), "leave it out"),
    "pattern": (_TEXTS, "leave it out"),
    "min_length": (_TEXTS, "give 'minimum' for numbers"),
    "max_length": (_TEXTS, "give 'maximum' for numbers"),
    "width": ((Kind.EMBEDDING,), "leave it out"),
}


class ColumnRule(Frozen):
    """What one column must hold. All limits are inclusive.

    ``pattern`` matches a whole value; ``min_length`` and ``max_length`` count characters, blanks
    around a value aside; ``width`` is of embeddings. ``severity`` is what a value does that is
    none of these; a column that is missing, or of another kind, is always refused.
    """

    name: str
    kind: Kind
    max_missing_share: Share = 1.0
    minimum: float | None = Field(None, allow_inf_nan=False)
    maximum: float | None = Field(None, allow_inf_nan=False)
    earliest: Moment | None = None
    latest: Moment | None = None
    allowed: list[str] | None = None
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    min_length: Length | None = None
    max_length: Length | None = None
    width: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    unique: bool = False
    severity: Severity = "warn"

    @model_validator(mode="after")
    def _sound(self) -> "ColumnRule":
        for key, (kinds, instead) in _FITS.items():
            if getattr(self, key) is not None and self.kind not in kinds:
                names = " and ".join(kinds)
                raise ValueError(
                    f"{key} is for {names} columns, and '{self.name}' is {self.kind}; {instead}"
                )
        if self.kind is Kind.EMBEDDING and self.unique:
            raise ValueError(f"'{self.name}' is an embedding; only plain values can be unique")
        _in_order("minimum", self.minimum, "maximum", self.maximum)
        _in_order("min_length", self.min_length, "max_length", self.max_length)
        times = [moment(text) if text else None for text in (self.earliest, self.latest)]
        _in_order("earliest", times[0], "latest", times[1])
        return self


def _in_order(low_name: str, low: Any, high_name: str, high: Any) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"{low_name} {low} lies above {high_name} {high}")


class UniqueRule(Frozen):
    """No two rows are alike in all of these columns; rows that miss one of them are passed over."""

    columns: list[str] = Field(min_length=1)
    severity: Severity = "warn"


class RowRule(Frozen):
    """What holds between the columns of every row; see ``domain.expression`` for the language."""

    rule: Annotated[str, AfterValidator(lambda text: (parse_rule(text), text)[1])]
    severity: Severity = "warn"


#: 2,700 years: more than any data hold, and few enough to count in microseconds.
MAX_DAYS = 1_000_000


class Freshness(Frozen):
    """How old the newest row may be."""

    max_age_days: float = Field(ge=0, le=MAX_DAYS)
    severity: Severity = "refuse"


class Presence(Frozen):
    """Values of one column of which there must be enough rows."""

    column: str
    values: list[str] = Field(min_length=1)
    min_rows: Rows = 1
    min_share: Share = 0.0


class Coverage(Frozen):
    """How much of the world the rows must show.

    ``max_gap_days``: no longer time without a row between the first and the last;
    ``min_days_share``: of the days from the first row's to the last one's (UTC), those with a row.
    """

    min_rows: Rows = 0
    max_gap_days: float | None = Field(None, gt=0, le=MAX_DAYS)
    min_days_share: Share = 0.0
    present: list[Presence] = []
    severity: Severity = "warn"


class Contract(Frozen):
    """What data for a model must look like: one rule a column, and rules for the whole table.

    ``time`` names the columns that say when a row happened; where it is empty, the model's own.
    """

    columns: list[ColumnRule]
    extra_columns: Literal["allow", "warn", "refuse"] = "allow"
    unique: list[Annotated[UniqueRule, BeforeValidator(lambda v: _short(v, list, "columns"))]] = []
    rules: list[Annotated[RowRule, BeforeValidator(lambda v: _short(v, str, "rule"))]] = []
    time: Annotated[list[str], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = []
    freshness: Freshness | None = None
    coverage: Coverage | None = None

    @model_validator(mode="after")
    def _one_rule_each(self) -> "Contract":
        seen: set[str] = set()
        for rule in self.columns:
            if rule.name in seen:
                raise ValueError(f"column '{rule.name}' has two rules; make them one")
            seen.add(rule.name)
        return self

    def rule(self, name: str) -> ColumnRule | None:
        """The rule for a column, or None where the contract does not speak of it."""
        return next((rule for rule in self.columns if rule.name == name), None)


def _short(given: Any, form: type, key: str) -> Any:
    """``- [a, b]`` stands for ``- columns: [a, b]``, and ``- a <= b`` for ``- rule: a <= b``."""
    return {key: given} if isinstance(given, form) else given


class Breach(Frozen):
    """One broken rule: which column and rule, how often, and rows (0-based) that show it.

    ``rule``: missing_column, kind, unreadable, range, allowed, pattern, length, missing_share,
    extra_column, unique, rule, unchecked, freshness or coverage. ``column`` lists several where
    the rule speaks of several, and is empty where it speaks of the number of rows.
    """

    column: str
    rule: str
    severity: str
    count: int
    share: float
    rows: list[int]
    examples: list[Any]
    message: Message
