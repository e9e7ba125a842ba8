"""Golden requests: a few real rows, and what a version answered to them when it was validated."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from typing import NamedTuple

import numpy as np
import orjson
import polars as pl
from blake3 import blake3
from numpy.typing import NDArray

from tidegate.data.table import kind_of
from tidegate.domain.errors import IntegrityError, Missing
from tidegate.domain.messages import Message, say
from tidegate.domain.predictor import Predictions
from tidegate.domain.schema import Kind
from tidegate.store.objects import Objects

Floats = NDArray[np.float64]

#: Rows that are kept: answered in a millisecond, and enough to hold what is odd about a table.
ROWS = 32
#: At most so many of them are taken for what they hold; the others lie evenly between them.
_ODD = 24
#: Batches of a snapshot that they are chosen from: a million rows.
_BATCHES = 16
#: What the columns of rows and answers begin with in what is stored.
_ROW, _ANSWER = "row.", "answer."
#: The column of answers that holds the predictions; beside it one a class, with its share.
PREDICTION = "prediction"


class Golden(NamedTuple):
    """Rows as they came, before cleaning and transform, and the answers to them, in their order."""

    rows: pl.DataFrame
    answers: pl.DataFrame


class Difference(NamedTuple):
    """One answer that is another now; ``row`` counts from 0."""

    row: int
    column: str
    was: str
    now: str


def chosen(batches: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """At most ``ROWS`` of the rows: with missing values, rare categories, the least and greatest
    numbers where there are such, the others from all over. The same rows give the same ones."""
    return _chosen(pl.concat([_chosen(batch) for batch in islice(batches, _BATCHES)]))


def answers_of(said: Predictions) -> pl.DataFrame:
    """Predictions as a table: numbers, or class labels as JSON, and the share of each class."""
    values = said.values.tolist()
    if said.values.dtype.kind != "f":
        values = [_label(value) for value in values]
    found = [pl.Series(PREDICTION, values)]
    if said.probabilities is not None:
        names = [_share(_label(label)) for label in said.classes or []]
        found += [pl.Series(n, said.probabilities[:, at]) for at, n in enumerate(names)]
    return pl.DataFrame(found)


def keep(objects: Objects, golden: Golden) -> str:
    """Store rows and answers; gives the BLAKE3 of what is stored."""
    sides = [(golden.rows, _ROW), (golden.answers, _ANSWER)]
    columns = [s.alias(f"{begins}{s.name}") for side, begins in sides for s in side.get_columns()]
    file = BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    digest = blake3(file.getvalue()).hexdigest()
    objects.put(_key(digest), file.getvalue())
    return digest


def kept(objects: Objects, digest: str) -> Golden:
    """What was stored; raises Missing where it is gone, IntegrityError where it was altered."""
    data = objects.get(_key(digest))
    if blake3(data).hexdigest() != digest:
        raise IntegrityError(
            "the stored golden requests {digest} were altered",
            do="restore the object store from a backup",
            digest=digest,
        )
    frame = pl.read_parquet(BytesIO(data))
    return Golden(_side(frame, _ROW), _side(frame, _ANSWER))


def _side(frame: pl.DataFrame, begins: str) -> pl.DataFrame:
    columns = [column for column in frame.get_columns() if column.name.startswith(begins)]
    return pl.DataFrame([column.alias(column.name.removeprefix(begins)) for column in columns])


def verify_golden(objects: Objects, digest: str) -> Message | None:
    """What is wrong with stored golden requests, or None."""
    try:
        kept(objects, digest)
    except Missing:
        return say("the golden requests {digest} are gone", digest=digest)
    except IntegrityError as error:
        return say(error.what, **error.values)
    return None


def differences(was: pl.DataFrame, now: pl.DataFrame, tolerance: float) -> list[Difference]:
    """Where answers are not the same, row by row.

    Numbers must be equal to the bit, or with a ``tolerance`` differ by no more than that, absolute
    or as a share of the one before. A label may then be another one as well where both have the
    same share within the tolerance.
    """
    if was.schema != now.schema or was.height != now.height:
        return [Difference(0, "", _shape(was), _shape(now))]
    found = []
    for name in was.columns:
        old, new = was[name], now[name]
        if old.dtype == pl.Float64:
            bad = ~_alike(old.to_numpy(), new.to_numpy(), tolerance)
        else:
            bad = (old != new).to_numpy()
        found += [
            Difference(int(row), name, str(old[int(row)]), str(new[int(row)]))
            for row in np.flatnonzero(bad)
            if old.dtype == pl.Float64 or not _tied(was, int(row), new[int(row)], tolerance)
        ]
    return sorted(found)


def _alike(old: Floats, new: Floats, tolerance: float) -> NDArray[np.bool_]:
    if not tolerance:
        return np.asarray(old.view(np.int64) == new.view(np.int64))
    return np.asarray(np.isclose(new, old, rtol=tolerance, atol=tolerance, equal_nan=True))


def _tied(was: pl.DataFrame, row: int, label: str, tolerance: float) -> bool:
    """Whether ``label`` has the share of the label that was told."""
    names = [_share(str(was[PREDICTION][row])), _share(label)]
    if not tolerance or any(name not in was.columns for name in names):
        return False
    told, other = (float(was[name][row]) for name in names)
    return abs(told - other) <= 2 * tolerance


def _shape(answers: pl.DataFrame) -> str:
    return f"{answers.height} x {', '.join(answers.columns)}"


def _label(value: object) -> str:
    return orjson.dumps(value).decode()


def _share(label: str) -> str:
    return f"share of {label}"


def _key(digest: str) -> str:
    return f"golden/{digest}.parquet"


def _chosen(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.height <= ROWS:
        return frame
    odd = _spread(list(dict.fromkeys(_odd(frame))), _ODD)
    evenly = [n * (frame.height - 1) // (ROWS - 1) for n in range(ROWS)]
    others = _spread([row for row in evenly if row not in odd], ROWS - len(odd))
    return frame[sorted([*odd, *others])]


def _spread(rows: Sequence[int], count: int) -> list[int]:
    """``count`` of them, or all, from beginning to end."""
    if len(rows) <= count:
        return list(rows)
    return [rows[n * len(rows) // count] for n in range(count)]


def _odd(frame: pl.DataFrame) -> Iterator[int]:
    """Rows with a missing value, with the rarest text, with the least and the greatest number."""
    columns = frame.get_columns()
    for column in columns:
        if column.null_count():
            yield int(column.is_null().arg_true()[0])
    for column in columns:
        kind = kind_of(column.dtype)
        if column.null_count() == len(column) or kind is Kind.EMBEDDING:
            continue
        if kind is Kind.NUMERIC:
            yield from (at for at in (column.arg_min(), column.arg_max()) if at is not None)
        else:
            counts = column.alias("value").drop_nulls().value_counts(name="rows")
            rare = counts.filter(pl.col("rows") == pl.col("rows").min())["value"].min()
            yield int((column == rare).arg_true()[0])
