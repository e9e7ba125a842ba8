"""A column as features read it: numbers, categories, vectors; by themselves, row for row."""

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.table import as_text, canonical_column
from tidegate.domain.errors import DataError

Floats = NDArray[np.float64]

#: Features stay within this on either side: float32 holds it, so that adapters may work in either,
#: and infinities upset every model.
LARGEST = 1e30

#: What counts as a blank: what Unicode calls white space, as polars does, which Python does not.
_BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
#: Types that are float64 after one cast, without a closer look.
_PLAIN = frozenset({
    pl.Float32, pl.Int64, pl.Int32, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8,
})  # fmt: skip


def numbers(column: pl.Series) -> Floats:
    """A column as float64, NaN where missing or infinite; texts may hold numbers.

    Raises DataError naming what is no number.
    """
    values = with_infinities(column)
    return np.where(np.isfinite(values), values, np.nan)


def with_infinities(column: pl.Series) -> Floats:
    """As ``numbers``, infinite ones as they are; no copy where none is needed."""
    if column.dtype == pl.Float64:
        return column.to_numpy()
    return column.cast(pl.Float64).to_numpy() if column.dtype in _PLAIN else _read(column)


def _read(column: pl.Series) -> Floats:
    if column.dtype in (pl.Boolean, pl.Object) or column.dtype.is_nested():
        bad = column.is_not_null()
        numbers = pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    else:
        plain = canonical_column(column)
        if plain.dtype == pl.String:
            plain = plain.str.strip_chars()
            plain = plain.set(plain == "", None)
        numbers = plain.cast(pl.Float64, strict=False)
        bad = plain.is_not_null() & numbers.is_null()
    rows = bad.arg_true().head(3).to_list()
    if rows:
        raise DataError(
            "column '{column}' must hold numbers, and holds {values} (rows {rows})",
            do="give numbers, or nothing where a value is missing",
            column=column.name,
            values=[told(_plain(column[row])) for row in rows],
            rows=rows,
        )
    return numbers.to_numpy()


def _plain(value: Any) -> Any:
    return value.to_list() if isinstance(value, pl.Series) else value


def texts(column: pl.Series) -> pl.Series:
    """A column as String without blanks around; null where nothing is left.

    Numbers become text as ``table.as_text`` writes them. Raises DataError for lists and the like.
    """
    text = _text(column).str.strip_chars()
    return text.set(text == "", None)


def categories(column: pl.Series) -> list[str | None]:
    """As ``texts``, as a list: it takes a tenth of the time for a single row."""
    return [None if t is None else t.strip(_BLANKS) or None for t in _text(column).to_list()]


def _text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column
    if column.dtype.is_nested() and column.is_not_null().any():
        row = int(column.is_not_null().arg_true()[0])
        raise DataError(
            "column '{column}' must hold texts, and holds {value} (row {row})",
            do="give texts or numbers, or declare the column an embedding",
            column=column.name,
            value=told(column[row]),
            row=row,
        )
    nothing = pl.Series(column.name, [None] * len(column), dtype=pl.String)
    return nothing if column.dtype.is_nested() else as_text(canonical_column(column))


def vectors(column: pl.Series, width: int) -> Floats:
    """A column of vectors as ``(n_rows, width)`` float64, NaN where an element is missing or
    infinite, and all over a row without any.

    Raises DataError naming rows that hold a vector of another width, or none but something else.
    """
    out = np.full((len(column), width), np.nan)
    held = column.is_not_null()
    if not held.any():
        return out
    if not isinstance(column.dtype, (pl.Array, pl.List)) or column.dtype.inner is None:
        raise _no_vectors(column, held)
    listed = column.cast(pl.List(column.dtype.inner))
    odd = held & (listed.list.len() != width)
    if odd.any():
        row = int(odd.arg_true()[0])
        raise DataError(
            "column '{column}' must hold vectors of {width} numbers, and holds one of {given} "
            "(row {row})",
            do="give vectors of the model that made those it was trained on",
            column=column.name,
            width=width,
            given=int(listed.list.len()[row]),
            row=row,
        )
    flat = listed.filter(held).explode()
    if not (flat.dtype.is_numeric() or flat.dtype == pl.Null):
        raise _no_vectors(column, held)
    out[held.to_numpy()] = numbers(flat.cast(pl.Float64)).reshape(-1, width)
    return out


def _no_vectors(column: pl.Series, held: pl.Series) -> DataError:
    row = int(held.arg_true()[0])
    return DataError(
        "column '{column}' must hold vectors, and holds {value} (row {row})",
        do="give each row's vector as a list of numbers",
        column=column.name,
        value=told(column[row]),
        row=row,
    )


def told(value: Any) -> str:
    """A value as a message shows it: cut where it is long."""
    shown = repr(value[:_SHOWN]) if isinstance(value, str) else repr(value)
    long = isinstance(value, str) and len(value) > _SHOWN
    return f"{shown[:_SHOWN]}..." if long or len(shown) > _SHOWN + 2 else shown


#: Characters of a value in a message: a line of a terminal, and not a value of a megabyte.
_SHOWN = 60


def place_of(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of finite numbers, the latter never 0.

    Both rounded to six digits: standardising needs no more, and sums differ beyond that between
    machines. Worked out around the middle and on values of at most 1: numbers far from zero keep
    their last digits, and large ones do not overflow when squared.
    """
    if len(values) == 0:
        return 0.0, 1.0
    middle = float(values.min()) / 2 + float(values.max()) / 2
    around = values - middle
    size = float(np.abs(around).max()) or 1.0
    mean = middle + float(np.mean(around / size)) * size
    scale = float(np.std(around / size)) * size
    scale = float(f"{scale:.6g}") or 1.0
    return round(mean, 6 - math.floor(math.log10(scale))), scale
