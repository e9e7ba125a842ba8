"""What a column of text fields holds, told by all of its values: numbers, dates or text."""

from dataclasses import dataclass, field

import polars as pl

from tidegate.data.table import MISSING
from tidegate.domain.errors import DataError

#: So many values of each kind, one kind above the other, are no code that happens to have digits.
SETTLED = 10
_INFINITE = ("inf", "infinity")

#: 1.234,56 and 3,14 and 1.234.567; a single group of three, as in 1.234, may be either.
_COMMA = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)?,\d+$|^[+-]?\d{1,3}(?:\.\d{3}){2,}$"
_GROUPED = r"^[+-]?\d{1,3}(?:\.\d{3})+,\d+$|^[+-]?\d{1,3}(?:\.\d{3}){2,}$"
_WHOLE, _EITHER = r"^[+-]?\d+$", r"^[+-]?\d{1,3}\.\d{3}$"

_CLOCK = r"(?:[ T]\d{1,2}:\d{2}.*)?$"
#: The ways to write a date, by the order of its parts and what stands between them.
_DATES = [
    r"^\d{4}-\d{1,2}-\d{1,2}" + _CLOCK,
    r"^\d{4}/\d{1,2}/\d{1,2}" + _CLOCK,
    r"^\d{1,2}/\d{1,2}/\d{4}" + _CLOCK,
    r"^\d{1,2}\.\d{1,2}\.\d{4}" + _CLOCK,
    r"^\d{1,2}-\d{1,2}-\d{4}" + _CLOCK,
    r"^\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{4}" + _CLOCK,
    r"^[A-Za-z]{3,9} \d{1,2},? \d{4}" + _CLOCK,
]
_DATE_LIKE = r"^\d{1,4}[-/. ][0-9A-Za-z]|^[A-Za-z]{3,9} \d"
#: The first number can be no month; or it can, and the second cannot.
_DAY_FIRST, _MONTH_FIRST = (
    r"^(?:1[3-9]|2\d|3[01])[/-]\d{1,2}[/-]",
    r"^\d{1,2}[/-](?:1[3-9]|2\d|3[01])[/-]",
)


@dataclass
class Seen:
    """How many values of a kind there are, and in which rows (from 0) the first and last are."""

    count: int = 0
    first: int = -1
    last: int = -1
    example: str = ""

    def add(self, values: pl.Series, mask: pl.Series, row: int) -> None:
        """Take in the values that ``mask`` names; the first one lies in ``row``."""
        found = mask.arg_true()
        if not len(found):
            return
        if not self.count:
            self.first, self.example = row + int(found[0]), str(values[int(found[0])])[:40]
        self.count, self.last = self.count + len(found), row + int(found[-1])

    def add_block(self, values: pl.Series, row: int) -> None:
        """Take in values that are all of the kind; rows are told to the block, which is enough."""
        found = len(values) - values.null_count()
        if not found:
            return
        if not self.count:
            self.first, self.example = row, str(values.drop_nulls()[0])[:40]
        self.count, self.last = self.count + found, row + len(values) - 1


@dataclass
class Column:
    """One column as its fields are read, a block at a time."""

    name: str
    file: str
    #: Whether a comma may stand for the decimal point: elsewhere it separates fields.
    commas: bool
    whole: bool = True
    numbers: Seen = field(default_factory=Seen)
    texts: Seen = field(default_factory=Seen)
    comma: Seen = field(default_factory=Seen)  # 3,14
    point: Seen = field(default_factory=Seen)  # 3.14
    either: Seen = field(default_factory=Seen)  # 3.140
    grouped: bool = False
    dates: dict[str, Seen] = field(default_factory=dict)
    orders: dict[str, Seen] = field(default_factory=dict)
    no_date: bool = False

    @property
    def guess(self) -> pl.DataType | None:
        """The type that its fields have had so far, where nothing else need be known of more."""
        if self.texts.count or self.comma.count or not self.numbers.count:
            return None
        if self.whole:
            return pl.Int64()
        return pl.Float64() if self.point.count or not self.commas else None

    @property
    def settled(self) -> bool:
        """Whether it is text, whatever follows."""
        n, t = self.numbers, self.texts
        return bool(n.count and t.count) and not (n.last < t.first or t.last < n.first)

    @property
    def only_text(self) -> bool:
        """Whether it has held nothing so far that could be a number or a date."""
        dated = bool(self.dates) and not self.no_date
        return not (self.numbers.count or self.comma.count or dated)

    def add_numbers(self, values: pl.Series, row: int) -> None:
        """Take in fields that were read as numbers already: whole ones, or others in part."""
        self.whole = self.whole and values.dtype == pl.Int64
        self.numbers.add_block(values, row)
        if values.dtype == pl.Float64 and not self.point.count:
            self.point.add(values, values.is_not_null(), row)

    def add_plain(self, fields: pl.Series, row: int) -> None:
        """Take in fields none of which is a number or a date, and one at least is not missing."""
        self.whole, self.no_date = False, True
        self.texts.add_block(fields, row)

    def add(self, fields: pl.Series, row: int) -> None:
        """Take in fields as they stand in the file, the first one of ``row`` (from 0)."""
        if self.settled:
            return
        bare = without_missing(fields)
        if bare.null_count() == len(bare):
            return
        if self.whole and not self.texts.count:
            self.whole = bare.cast(pl.Int64, strict=False).null_count() == bare.null_count()
        floats = bare.cast(pl.Float64, strict=False)
        is_number = floats.is_not_null()
        _check_size(bare, floats, self.file, row)
        self.numbers.add(bare, is_number, row)
        if not self.whole:
            self._add_marks(bare, is_number, row)

    def add_text(self, texts: pl.Series, row: int) -> None:
        """Take in values that are text, whatever they look like."""
        self.texts.add(texts, texts.is_not_null(), row)
        self._add_dates(texts, row)

    def _add_marks(self, bare: pl.Series, is_number: pl.Series, row: int) -> None:
        is_comma = ~is_number & _like(bare, _COMMA)
        self.comma.add(bare, is_comma, row)
        self.texts.add(bare, bare.is_not_null() & ~is_number & ~is_comma, row)
        if self.texts.count:
            if not self.numbers.count and not self.comma.count and not self.no_date:
                self._add_dates(bare, row)
            return
        is_either = is_number & _like(bare, _EITHER)
        self.either.add(bare, is_either, row)
        self.point.add(bare, is_number & ~is_either & ~_like(bare, _WHOLE), row)
        self.grouped = self.grouped or bool(_like(bare, _GROUPED).any())

    def _add_dates(self, bare: pl.Series, row: int) -> None:
        left = len(bare) - bare.null_count()
        for forms, seen in ((_DATES, self.dates), ((_DAY_FIRST, _MONTH_FIRST), self.orders)):
            for form in forms:
                mask = _like(bare, form)
                if mask.any():
                    seen.setdefault(form, Seen()).add(bare, mask, row)
                    left -= int(mask.sum()) if seen is self.dates else 0
        self.no_date = left > 0

    def dtype(self) -> pl.DataType:
        """What the column is; raises DataError where it changes in the course of the file."""
        if self.texts.count:
            self._check_change()
            self.check_dates()
            return pl.String()
        if not self.comma.count:
            whole = self.whole and self.numbers.count
            return pl.Int64() if whole else pl.Float64()
        other = self.point if self.point.count else self.either
        if other.count and not (other is self.either and self.grouped):
            self._refuse_mixed(other)
        return pl.Float64() if self.commas else pl.String()

    @property
    def by_comma(self) -> bool:
        """Whether its numbers are written with a decimal comma."""
        return self.commas and bool(self.comma.count) and not self.texts.count

    def _refuse_mixed(self, other: Seen) -> None:
        later, before = sorted((self.comma, other), key=lambda seen: seen.first, reverse=True)
        raise DataError(
            "{file}, row {row}: column '{column}' holds {value}, and {earlier} in row {before}: "
            "decimals with commas and with points",
            do="write the whole column one way",
            file=self.file,
            row=later.first + 1,
            column=self.name,
            value=later.example,
            earlier=before.example,
            before=before.first + 1,
        )

    def _check_change(self) -> None:
        """Raises DataError where numbers end for good and text begins, or the other way round."""
        n, t = self.numbers, self.texts
        if n.count < SETTLED or t.count < SETTLED or self.settled:
            return
        later = t if n.last < t.first else n
        raise DataError(
            "{file}, row {row}: column '{column}' holds numbers above and only text from here on "
            "({value})"
            if later is t
            else "{file}, row {row}: column '{column}' holds text above and only numbers from "
            "here on ({value})",
            do="see whether the columns moved; a column of codes can be given as text in Parquet",
            file=self.file,
            row=later.first + 1,
            column=self.name,
            value=later.example,
        )

    def check_dates(self) -> None:
        """Raises DataError where all are dates, written in more ways than one."""
        if self.no_date or self.numbers.count or self.comma.count:
            return
        seen = self.dates if len(self.dates) > 1 else self.orders
        if len(seen) < 2:
            return
        first, second = sorted(seen.values(), key=lambda one: one.first)[:2]
        raise DataError(
            "{file}, row {row}: column '{column}' writes a date as {value}, and as {earlier} in "
            "row {before}",
            do="write all dates of a column one way, best as 2011-12-31",
            file=self.file,
            row=second.first + 1,
            column=self.name,
            value=second.example,
            earlier=first.example,
            before=first.first + 1,
        )


def plain_texts(frame: pl.DataFrame) -> set[str]:
    """Which columns of fields hold text, and nothing that could be a number or a date."""
    counts = []
    for name in frame.columns:
        bare = pl.col(name).str.strip_chars()
        bare = pl.when(bare.is_in(list(MISSING)).not_()).then(bare)
        told = (bare, bare.cast(pl.Float64, strict=False), *(
            bare.filter(bare.str.contains(like)) for like in (_COMMA, _DATE_LIKE)
        ))  # fmt: skip
        counts.append(pl.concat_list([one.count() for one in told]).alias(name))
    found = frame.select(counts).row(0)
    return {
        name
        for name, (held, numbers, commas, dates) in zip(frame.columns, found, strict=True)
        if held and not numbers and not commas and dates < held
    }


def without_missing(fields: pl.Series) -> pl.Series:
    """Fields without blanks around them, null where they mean "missing"."""
    bare = fields.str.strip_chars()
    return bare.set(bare.is_in(list(MISSING)), None)


def numbers_of(fields: pl.Series, dtype: pl.DataType, *, by_comma: bool) -> pl.Series:
    """Fields as numbers; null where they are none."""
    bare = without_missing(fields)
    if by_comma:
        bare = bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    numbers = bare.cast(dtype, strict=False)
    return numbers.fill_nan(None) if dtype == pl.Float64 else numbers


def texts_of(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The fields of these columns as they stand, null where they mean "missing"."""
    if not names:
        return frame
    missing = pl.col(names).str.strip_chars().is_in(list(MISSING))
    return frame.with_columns(pl.when(missing.not_()).then(pl.col(names)))


def _like(bare: pl.Series, pattern: str) -> pl.Series:
    return bare.str.contains(pattern).fill_null(False)


def _check_size(bare: pl.Series, numbers: pl.Series, file: str, row: int) -> None:
    """Raises DataError where a number was written that no 64-bit float can hold."""
    if not numbers.is_infinite().any():
        return
    written = bare.str.strip_chars_start("+-").str.to_lowercase().is_in(list(_INFINITE))
    lost = (numbers.is_infinite() & ~written).arg_true()
    if len(lost):
        raise DataError(
            "{file}, row {row}: column '{column}' holds a number too large for 64 bits ({value})",
            do="give the column in a larger unit, or as text that is not all digits",
            file=file,
            row=row + int(lost[0]) + 1,
            column=bare.name,
            value=str(bare[int(lost[0])])[:40],
        )
