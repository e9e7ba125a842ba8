"""Since when a column is what it is now: the row from which it differs."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.drift.measures import Lines, by_name
from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.profile import Profile
from tidegate.data.table import as_text
from tidegate.domain.drift import Consistency, Since
from tidegate.domain.schema import Kind

#: What a row of a column is asked: whether it belongs to what has become rarer or more frequent.
Question = Callable[[pl.Series], NDArray[np.bool_]]

#: Gives some columns of a table, batch by batch.
Rows = Callable[[list[str]], Iterable[pl.DataFrame]]

#: Columns that are dated, the most drifted first: each is read again.
MOST = 10
#: Rows looked at in one go.
_STEP = 1 << 20


def question(reference: ColumnProfile, current: ColumnProfile) -> Question | None:
    """What tells the two sides of a column apart best: is it missing, one value, below a line, or
    one of the categories that have become more frequent? None for vectors and prose."""
    kinds = {reference.kind, current.kind}
    gone = abs(reference.missing_share - current.missing_share)
    if Kind.EMBEDDING in kinds or Kind.TEXT in kinds:
        return None
    if kinds == {Kind.NUMERIC} and reference.held and current.held:
        assert reference.value is not None and current.value is not None  # noqa: S101, PT018
        a, b = reference.value.summary, current.value.summary
        lines = Lines.of(a, b)
        line = int(np.argmax(np.abs(lines.before - lines.after)))
        below, apart = float(lines.values[line]), float(np.abs(lines.before - lines.after)[line])
        single = lines.single(a.rows, b.rows)
        if gone > max(apart, single.apart if single is not None else 0.0):
            return _is_missing
        if single is not None and single.apart > apart:
            value = single.value
            return lambda series: (series == value).fill_null(False).to_numpy()
        return lambda series: (series <= below).fill_null(False).to_numpy()
    names, before, after = by_name(reference.texts(), current.texts())
    shares = before / max(1, reference.held), after / max(1, current.held)
    risen = [name for name, was, now in zip(names, *shares, strict=True) if now > was]
    moved = float(np.abs(shares[0] - shares[1]).sum()) / 2
    if gone >= moved:  # where nothing is left, nothing else can be asked
        return _is_missing
    return lambda series: as_text(series).str.strip_chars().is_in(risen).fill_null(False).to_numpy()


def dated(
    found: Consistency,
    reference: Profile,
    current: Profile,
    rows: tuple[Rows, Rows],
) -> Consistency:
    """The same report, its most drifted columns with the row since when they have.

    ``rows``: what gives the named columns of both sides, in row order.
    """
    asked: dict[str, Question] = {}
    for one in found.columns:
        a, b = reference.column(one.name), current.column(one.name)
        if one.drifted and len(asked) < MOST and a is not None and b is not None:
            put = question(a, b)
            asked |= {} if put is None else {one.name: put}
    before, now = rows
    when = since(before(list(asked)), now(list(asked)), asked) if asked else {}
    columns = [one.model_copy(update={"since": when.get(one.name)}) for one in found.columns]
    return found.model_copy(update={"columns": columns})


def since(
    reference: Iterable[pl.DataFrame], current: Iterable[pl.DataFrame], asked: dict[str, Question]
) -> dict[str, Since]:
    """For each column the row from which on its answers differ most, reference rows first.

    The place with the largest standardised difference between the shares before and after it
    (Page 1955; for one change of a share it is the likeliest one). A bit a row is kept.
    """
    bits: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in asked}
    rows = [0, 0]
    for side, batches in enumerate((reference, current)):
        left: dict[str, NDArray[np.bool_]] = {name: np.empty(0, np.bool_) for name in asked}
        for batch in batches:
            rows[side] += batch.height
            for name, question_of in asked.items():
                answers = np.concatenate([left[name], question_of(batch[name])])
                whole = len(answers) - len(answers) % 8
                bits[name].append(np.packbits(answers[:whole]))
                left[name] = answers[whole:]
        for name in asked:
            bits[name].append(np.packbits(left[name]))
    lengths = [-(-count // 8) for count in rows]
    found = {}
    for name in asked:
        packed = np.concatenate(bits[name])
        row = _changed([packed[: lengths[0]], packed[lengths[0] :]], rows)
        in_reference = row < rows[0]
        found[name] = Since(
            side="reference" if in_reference else "current",
            row=row if in_reference else row - rows[0],
        )
    return found


def _changed(packed: Sequence[NDArray[np.uint8]], rows: Sequence[int]) -> int:
    """The row that splits the answers of both sides most clearly in two."""
    total = sum(
        int(np.unpackbits(side, count=count).sum(dtype=np.int64))
        for side, count in zip(packed, rows, strict=True)
    )
    whole, best, at = sum(rows), -1.0, rows[0]
    seen = told = 0
    for side, count in zip(packed, rows, strict=True):
        for start in range(0, count, _STEP):
            size = min(_STEP, count - start)
            answers = np.unpackbits(side[start // 8 :], count=size)
            k = np.arange(seen + 1, seen + size + 1, dtype=np.float64)
            upto = told + np.cumsum(answers, dtype=np.float64)
            inner = k < whole
            apart = np.abs(upto - k * (total / whole))[inner]
            apart /= np.sqrt(k[inner] * (whole - k[inner]))
            if len(apart) and float(apart.max()) > best:
                best, at = float(apart.max()), seen + int(np.argmax(apart)) + 1
            seen, told = seen + size, int(upto[-1])
    return at


def _is_missing(series: pl.Series) -> NDArray[np.bool_]:
    if series.dtype == pl.String:
        return (series.is_null() | (series.str.strip_chars() == "")).to_numpy()
    if series.dtype == pl.Float64:
        return (~series.is_finite()).fill_null(True).to_numpy()
    return series.is_null().to_numpy()
