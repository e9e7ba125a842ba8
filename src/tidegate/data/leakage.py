"""Whether what is kept aside, or what is to be told, is known already to what is trained on."""

import numpy as np
import polars as pl

from tidegate.data.contract.tally import EXAMPLES
from tidegate.data.split import Split
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError
from tidegate.domain.evidence import Leak
from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec

#: Rows, and rows of the rarest class, below which a column may tell the target by chance: with 5
#: of 30 the chance that noise sorts them apart is 1 in 70,000.
MIN_ROWS, MIN_CLASS_ROWS = 30, 5
#: A number that moves with the target like this is the target, in another unit.
COPY_CORRELATION = 0.9999
#: Rows that repeat are a leak where they are more than this share of the hold-out, and where more
#: than half of all rows are unlike any other: elsewhere, rows are alike by nature.
REPEATED, UNLIKE = 0.01, 0.5
#: A column that tells the target does so on any rows; most do not on so many.
_FIRST_LOOK = 2000


def leaks(frame: pl.DataFrame, parts: Split, spec: ModelSpec) -> list[Leak]:
    """What makes the hold-out look better than the future will be, in a cleaned frame.

    Rows kept aside that are also trained on; columns that tell the target without fail (for
    classes: each of its values, or each range of them, has one class; for numbers: a correlation
    of ``COPY_CORRELATION``; whether it is missing counts as a value); and columns of times that
    lie after the row's own. Each may be as it should, so people are told and policy decides.
    """
    features = [name for name in frame.columns if name not in spec.not_features]
    found = [_repeats(frame, parts, features, spec)]
    labelled = np.sort(np.concatenate([parts.train, parts.holdout]))
    if spec.target is not None and len(labelled) >= MIN_ROWS:
        rows = frame[labelled.tolist()]
        found += [_copy(rows[name], rows[spec.target], spec.task) for name in features]
    if spec.time:
        times = time_of(frame, spec.time)
        dates = [name for name in features if name not in spec.time]
        found += [_future(frame[name], times) for name in dates]
    return [leak for leak in found if leak is not None]


def _repeats(
    frame: pl.DataFrame, parts: Split, features: list[str], spec: ModelSpec
) -> Leak | None:
    names = features + [name for name in [spec.target] if name is not None]
    # By place, for a column may have any name.
    columns = frame.select(names)
    columns.columns = places = [str(place) for place in range(len(names))]
    train, holdout = (
        columns[side.tolist()].with_columns(row=pl.Series(side))
        for side in (parts.train, parts.holdout)
    )
    if not train.height or not holdout.height or not features:
        return None
    again = holdout.join(train, on=places, how="semi", nulls_equal=True)["row"].sort()
    share = len(again) / holdout.height
    if share <= REPEATED:
        return None
    both = pl.concat([train, holdout]).select(places)
    if both.n_unique() <= UNLIKE * both.height:
        return None
    rows = again.head(EXAMPLES).to_list()
    return Leak(
        kind="repeats",
        share=share,
        rows=rows,
        message=say(
            "{count} of {total} rows kept aside repeat one that is trained on in every column "
            "(rows {rows}): the hold-out knows them by heart",
            count=len(again),
            total=holdout.height,
            rows=rows,
        ),
    )


def _copy(column: pl.Series, target: pl.Series, task: Task | None) -> Leak | None:
    """Looked for on some rows first: what they contradict is no copy."""
    look = _moves_with if task is Task.REGRESSION else _tells_apart
    few = max(1, len(column) // _FIRST_LOOK)
    if not look(column.gather_every(few), target.gather_every(few)):
        return None
    enough = _many_pairs if task is Task.REGRESSION else _many_of_each
    if not (enough(column, target) and look(column, target)):
        return None
    return Leak(
        kind="target_copy",
        column=column.name,
        share=1.0,
        message=say(
            "column '{column}' tells the target '{target}' without fail: is it known before the "
            "target is?",
            column=column.name,
            target=target.name,
        ),
    )


def _moves_with(column: pl.Series, target: pl.Series) -> bool:
    if not (column.dtype.is_numeric() and target.dtype.is_numeric()):
        return False
    pairs = pl.select(c=column.cast(pl.Float64), t=target.cast(pl.Float64)).drop_nulls().to_numpy()
    largest = np.abs(pairs).max(axis=0, initial=0.0)
    if not largest.all():
        return False
    apart = pairs / largest  # large values would overflow when squared
    apart -= apart.mean(axis=0)
    (cc, ct), (_, tt) = apart.T @ apart
    return bool(abs(ct) >= COPY_CORRELATION * np.sqrt(cc * tt) > 0)


def _many_pairs(column: pl.Series, target: pl.Series) -> bool:
    pairs = int((column.is_not_null() & target.is_not_null()).sum())
    return pairs >= max(MIN_ROWS, len(column) / 2)


def _tells_apart(column: pl.Series, target: pl.Series) -> bool:
    """Whether each value, or of numbers each range without gaps, goes with one class."""
    values = pl.select(c=column, t=target).group_by("c").agg(pl.col("t").unique())
    if (values["t"].list.len() > 1).any():
        return False
    # Missing counts as the largest number.
    ranges = len(values.sort("c", nulls_last=True)["t"].list.first().rle())
    return not column.dtype.is_numeric() or ranges == target.n_unique()


def _many_of_each(column: pl.Series, target: pl.Series) -> bool:
    """Whether it would take more than chance; a text of its own in each row tells anything."""
    sizes = target.value_counts(name="rows")["rows"].to_numpy()
    if len(sizes) < 2 or sizes.min() < MIN_CLASS_ROWS:
        return False
    return column.dtype.is_numeric() or 2 * column.n_unique() <= len(column)


def _future(column: pl.Series, times: pl.Series) -> Leak | None:
    if column.dtype != pl.String or column.null_count() == len(column):
        return None
    try:
        time_of(column.drop_nulls().head(_FIRST_LOOK).to_frame(), [column.name])
        told = time_of(column.to_frame(), [column.name])
    except DataError:
        return None  # a text, not a time
    later = (told > times).fill_null(False)
    share = int(later.sum()) / len(later)
    if not share:
        return None
    rows = later.arg_true().head(EXAMPLES).to_list()
    return Leak(
        kind="future",
        column=column.name,
        share=share,
        rows=rows,
        message=say(
            "column '{column}' holds times after the row's own in {share:.1%} of the rows (rows "
            "{rows}): was it known then?",
            column=column.name,
            share=share,
            rows=rows,
        ),
    )
