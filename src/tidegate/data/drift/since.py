"""Since when a column is what it is now: the row from which it differs."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.drift.measures import Lines, by_name
from tidegate.data.profile.categories import Tally, group_of
from tidegate.data.profile.column import ColumnProfile, microseconds
from tidegate.data.profile.hashing import text_hashes
from tidegate.data.profile.numbers import Floats, Summary
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
#: Rows counted together; a multiple of 8, since answers are kept as bits.
_BLOCK = 1024


def question(reference: ColumnProfile, current: ColumnProfile) -> Question | None:
    """What tells the two sides of a column apart best: is it missing, one value, below a line, or
    one of the categories that have become more frequent? None for vectors and prose."""
    kinds = {reference.kind, current.kind}
    if Kind.EMBEDDING in kinds or Kind.TEXT in kinds:
        return None
    if len(kinds) > 1 and not (reference.has_texts and current.has_texts):
        return None  # it holds something of another kind from the first row on
    if len(kinds) == 1 and reference.value and current.value and reference.held and current.held:
        numbers = _as_numbers if Kind.NUMERIC in kinds else microseconds
        asked, apart = _of_numbers(reference.value.summary, current.value.summary, numbers)
    else:
        asked, apart = _of_texts(reference.texts(), current.texts())
    # Where nothing is left, nothing else can be asked.
    gone = abs(reference.missing_share - current.missing_share)
    return _is_missing if gone > apart or not (reference.held and current.held) else asked


def _of_numbers(
    a: Summary, b: Summary, numbers: Callable[[pl.Series], Floats]
) -> tuple[Question, float]:
    """Whether a number is below the line, or is the value, that tells most; and how much that is.

    ``numbers``: what a batch is as numbers, NaN where one is missing.
    """
    lines = Lines.of(a, b)
    moved = np.abs(lines.before - lines.after)
    line = int(np.argmax(moved))
    single = lines.single(a.rows, b.rows)
    if single is not None and single.apart > moved[line]:
        value = single.value
        return lambda series: numbers(series) == value, single.apart
    below = float(lines.values[line])
    return lambda series: numbers(series) <= below, float(moved[line])


def _of_texts(a: Tally, b: Tally) -> tuple[Question, float]:
    """Whether a text has become more, or less, frequent; and how much of the rows has moved.

    Where not all are named, those that have for sure; or its group, if that tells more.
    """
    names, before, after = by_name(a, b)
    n, m = max(1, a.held), max(1, b.held)
    moves = [after / m - (before + a.lost) / n, before / n - (after + b.lost) / m]
    sums = [float(move[move > 0].sum()) for move in moves]
    most = int(np.argmax(sums))
    if a.more is not None or b.more is not None:
        rise = b.beyond.groups / m - a.beyond.groups / n
        apart = float(rise[rise > 0].sum())
        if apart > sums[most]:
            return lambda series: _in_groups(_texts(series), rise > 0), apart
    moved = [names[place] for place in np.flatnonzero(moves[most] > 0)]
    return lambda series: _texts(series).is_in(moved).fill_null(False).to_numpy(), sums[most]


def _in_groups(texts: pl.Series, risen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    there = (texts.is_not_null() & (texts != "")).fill_null(False).to_numpy()
    answers = np.zeros(len(texts), np.bool_)
    answers[there] = risen[group_of(text_hashes(texts.filter(there)))]
    return answers


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
    """The row that splits the answers of both sides most clearly in two.

    Answers are counted block by block first. Within a block the difference from what is expected
    moves by a row at most with each row, so only blocks that could hold the largest are opened.
    """
    whole = sum(rows)
    blocks = [_blocks(side, count) for side, count in zip(packed, rows, strict=True)]
    sizes = np.concatenate([size for size, _ in blocks])
    counts = np.concatenate([count for _, count in blocks])
    starts, told = np.cumsum(sizes) - sizes, np.cumsum(counts) - counts
    share = float(counts.sum()) / whole if whole else 0.0
    ends = np.append(starts, whole).astype(np.float64)
    away = np.abs(np.append(told, counts.sum()) - ends * share)
    best = np.max(_clear(away[1:-1], ends[1:-1], whole), initial=-1.0)
    # The furthest it could be away inside, over the narrowest spread that a row there has.
    most = np.maximum(away[:-1], away[1:]) + sizes
    edge = np.minimum(np.maximum(starts, 1), np.maximum(whole - starts - sizes, 1))
    at, found = rows[0], -1.0
    for block in np.flatnonzero(_clear(most, edge.astype(np.float64), whole) >= best):
        k = starts[block] + np.arange(1, sizes[block] + 1, dtype=np.float64)
        upto = told[block] + np.cumsum(_opened(packed, rows, int(block)), dtype=np.float64)
        inner = k < whole
        clear = _clear(np.abs(upto - k * share)[inner], k[inner], whole)
        if len(clear) and float(clear.max()) > found:
            found, at = float(clear.max()), int(starts[block]) + int(np.argmax(clear)) + 1
    return at


def _clear(away: Floats, k: Floats, whole: int) -> Floats:
    """How clearly the first ``k`` rows differ from the rest."""
    return np.asarray(away / np.sqrt(k * (whole - k)))


def _blocks(side: NDArray[np.uint8], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and answers of each block of a side; the bits after its last row are 0."""
    bits = np.zeros(-(-rows // _BLOCK) * _BLOCK // 8, np.uint8)
    bits[: len(side)] = side
    counts = np.bitwise_count(bits).reshape(-1, _BLOCK // 8).sum(axis=1, dtype=np.int64)
    sizes = np.full(len(counts), _BLOCK)
    if len(sizes):
        sizes[-1] = rows - _BLOCK * (len(sizes) - 1)
    return sizes, counts


def _opened(
    packed: Sequence[NDArray[np.uint8]], rows: Sequence[int], block: int
) -> NDArray[np.uint8]:
    """The answers of one block, counted over both sides."""
    first = -(-rows[0] // _BLOCK)
    side, number = (0, block) if block < first else (1, block - first)
    size = min(_BLOCK, rows[side] - number * _BLOCK)
    return np.unpackbits(packed[side][number * _BLOCK // 8 :], count=size)


def _as_numbers(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _texts(series: pl.Series) -> pl.Series:
    return as_text(series).str.strip_chars()


def _is_missing(series: pl.Series) -> NDArray[np.bool_]:
    if series.dtype == pl.String:
        return (series.is_null() | (series.str.strip_chars() == "")).to_numpy()
    if series.dtype == pl.Float64:
        return (~series.is_finite()).fill_null(True).to_numpy()
    return series.is_null().to_numpy()
