"""Golden requests in an update's life: made when it is validated, replayed at each load."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from tidegate.data.golden import Golden, answers_of, chosen, differences, keep, kept
from tidegate.data.snapshot import snapshot_batches
from tidegate.domain.errors import Incompatible, Missing, TidegateError
from tidegate.domain.messages import Message, say
from tidegate.domain.predictor import NumbersPredictor, Predictions, Predictor
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.validation import GoldenRequests
from tidegate.store.objects import Objects
from tidegate.training.environment import changes, environment

#: Binary digits behind the first of each type of float that parameters have.
_DIGITS = {"BF16": 7, "F16": 10, "F32": 23, "F64": 52}
#: Changes of the environment that a message names.
_FEW = 5


def make(
    objects: Objects, snapshot: Snapshot, columns: Iterable[str], predictor: Predictor
) -> GoldenRequests | None:
    """Rows of a snapshot, of these ``columns``, kept with the answers that a version gives them.

    Rows that it cannot answer, as they came, are passed over; None where it answers none.
    """
    there = {column.name for column in snapshot.columns}
    names = [name for name in columns if name in there]
    rows = _answerable(chosen(snapshot_batches(objects, snapshot, names)), predictor)
    if not rows.height:
        return None
    golden = Golden(rows, answers_of(predictor.predict(rows)))
    digest = keep(objects, golden)
    return GoldenRequests(digest=digest, rows=rows.height, environment=environment())


def replay(
    objects: Objects,
    version: str,
    golden: GoldenRequests,
    predictor: Predictor,
    dtypes: Iterable[str],
) -> Message | None:
    """Ask again; gives a word where nothing could be asked, as the rows are gone.

    In the environment that the answers were given in they must be equal to the bit; in another
    one, to half of the digits that the narrowest float of the parameters has: libraries and
    processors add up in another order. Raises Incompatible naming the row and the answer where
    they are not, IntegrityError where what was kept was altered.
    """
    try:
        rows, answers = kept(objects, golden.digest)
    except Missing:
        return say(
            "the golden requests of version {version} are gone: it answers without having been "
            "asked them",
            version=version,
        )
    changed = changes(golden.environment, environment())
    tolerance = _tolerance(dtypes) if changed else 0.0
    for said in _ways(version, rows, predictor):
        found = differences(answers, answers_of(said), tolerance)
        if found:
            first = found[0]
            raise Incompatible(
                "version {version} answers otherwise than when it was validated: golden request "
                "{row}, {column}: {was} became {now}; {count} answer(s) differ",
                do="run it where it was validated, or make a new version with a full update; "
                "changed since: {changes}",
                version=version,
                row=first.row,
                column=first.column or "-",
                was=first.was,
                now=first.now,
                count=len(found),
                changes=_few(changed) or ["-"],
            )
    return None


def _answerable(rows: pl.DataFrame, predictor: Predictor) -> pl.DataFrame:
    """The rows that can be answered as they came."""
    if _answers(predictor, rows):
        return rows
    return rows[[at for at in range(rows.height) if _answers(predictor, rows[at : at + 1])]]


def _answers(predictor: Predictor, rows: pl.DataFrame) -> bool:
    try:
        predictor.predict(rows)
    except TidegateError:
        return False
    return True


def _ways(version: str, rows: pl.DataFrame, predictor: Predictor) -> Iterator[Predictions]:
    """The answers, by each way that requests take: as a table, and as numbers alone."""
    try:
        yield predictor.predict(rows)
        if isinstance(predictor, NumbersPredictor) and predictor.inputs is not None:
            columns = rows.select(predictor.inputs)
            if all(dtype.is_numeric() for dtype in columns.dtypes):
                block = columns.cast(pl.Float64).to_numpy()
                yield predictor.predict_numbers(np.ascontiguousarray(block))
    except TidegateError as problem:
        raise Incompatible(
            "version {version} cannot answer what it answered when it was validated: {problem}",
            do="run it where it was validated, or make a new version with a full update",
            version=version,
            problem=say(problem.what, **problem.values).model_dump(),
        ) from problem


def _tolerance(dtypes: Iterable[str]) -> float:
    digits = [_DIGITS[dtype] for dtype in dtypes if dtype in _DIGITS]
    return math.sqrt(2.0 ** -min(digits, default=_DIGITS["F64"]))


def _few(changed: Sequence[str]) -> list[str | Message]:
    left = len(changed) - _FEW
    return [*changed[:_FEW], say("and {count} more", count=left)] if left > 0 else [*changed]
