"""Which rows are trained on and which are kept aside, without leakage."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.table import as_text, canonical_column
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec

Rows = NDArray[np.int64]

#: Microseconds, as times are counted.
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending, without overlap. ``how``: time, grouped, stratified or random."""

    train: Rows
    holdout: Rows
    how: str


def split(
    frame: pl.DataFrame,
    spec: ModelSpec,
    holdout_share: float,
    seed: int,
    *,
    gap_days: float = 0.0,
) -> Split:
    """The labelled rows in two; rows without a label are in neither.

    With time columns the hold-out is the newest rows, rows of one moment on one side, and rows
    without a time are trained on. Rows of the last ``gap_days`` before the hold-out are in
    neither: what was known of them may tell what came after.

    Else a seeded draw. Where entities (the model's key) have several rows, it draws entities, so
    that none is on both sides; rows without a key are each their own. Otherwise it draws rows, for
    classification in equal shares per class: a class of two rows or more is on both sides, a
    single one is trained on.

    Two labelled rows or more give at least one to each side, or all are of one moment or entity
    and are drawn from. Raises DataError where the gap leaves nothing to train on.
    """
    if not 0 < holdout_share < 1:
        raise WrongUsage(
            "a hold-out share of {share} leaves one side empty",
            do="give a share between 0 and 1",
            share=holdout_share,
        )
    labelled = _labelled(frame, spec)
    if spec.time:
        times = time_of(frame, spec.time)[labelled.tolist()]
        parts = _newest(labelled, times, holdout_share, gap_days)
        if parts is not None:
            return Split(*parts, how="time")
        # All of one moment: there is no newest, so the draw below is the fair one.
    if spec.key is not None:
        parts = _entities(labelled, frame[spec.key][labelled.tolist()], holdout_share, seed)
        if parts is not None:
            return Split(*parts, how="grouped")
    if spec.task is Task.REGRESSION or spec.target is None:
        return Split(*_drawn(labelled, holdout_share, seed), how="random")
    return Split(*_stratified(labelled, frame[spec.target], holdout_share, seed), how="stratified")


def _labelled(frame: pl.DataFrame, spec: ModelSpec) -> Rows:
    if spec.target is None:
        return np.arange(frame.height, dtype=np.int64)
    target = frame[spec.target]
    known = target.is_not_null()
    if target.dtype.is_float():
        known = known & target.is_not_nan()
    return known.arg_true().to_numpy().astype(np.int64)


def _share_of(rows: int, share: float) -> int:
    """How many of ``rows`` are kept aside: the rounded share, and one on each side if possible."""
    return min(max(round(rows * share), 1), rows - 1) if rows > 1 else 0


def _newest(
    labelled: Rows, times: pl.Series, share: float, gap_days: float
) -> tuple[Rows, Rows] | None:
    order = times.arg_sort(nulls_last=False).to_numpy()
    ranked = times[order.tolist()].cast(pl.Int64)
    # Where the time differs from that of the row before: the only places one may cut.
    cuts = np.flatnonzero(ranked.diff().fill_null(0).to_numpy() != 0)
    cuts = np.union1d(cuts, [ranked.null_count()]) if ranked.null_count() else cuts
    cuts = cuts[(cuts > 0) & (cuts < len(labelled))]
    if len(cuts) == 0:
        return None
    wanted = len(labelled) - _share_of(len(labelled), share)
    cut = int(cuts[np.argmin(np.abs(cuts - wanted))])
    trained = order[:cut]
    if gap_days:
        first = ranked[cut]
        near = (ranked[:cut] > first - round(gap_days * _DAY)).fill_null(False)
        trained = trained[~near.to_numpy()]
        if not len(trained):
            raise DataError(
                "a gap of {gap:g} days before the hold-out leaves no row to train on: the hold-out "
                "begins at {first}",
                do="shorten the policy's gap_days, or add older rows",
                gap=gap_days,
                first=str(times[int(order[cut])]),
            )
    return np.sort(labelled[trained]), np.sort(labelled[order[cut:]])


def entities_of(keys: pl.Series) -> Rows | None:
    """A number for each row's entity, ``(n_rows,)``; rows without a key are each their own.

    None where no entity has a second row: then there is nothing to keep together.
    """
    named = as_text(canonical_column(keys)).to_numpy()
    alone = np.array([key is None for key in named], dtype=bool)
    # One number an entity, in the order of their names, so that file order does not matter.
    names, place = np.unique(named[~alone].astype(str), return_inverse=True)
    group = np.empty(len(named), np.int64)
    group[~alone] = place
    group[alone] = len(names) + np.arange(int(alone.sum()))
    sizes = np.bincount(group)
    return None if len(sizes) < 2 or sizes.max() == 1 else group


def _entities(labelled: Rows, keys: pl.Series, share: float, seed: int) -> tuple[Rows, Rows] | None:
    """Whole entities drawn until the share is as near as it comes; None where none can be."""
    group = entities_of(keys)
    if group is None:
        return None
    sizes = np.bincount(group)
    kept, filled, wanted = [], 0, _share_of(len(labelled), share)
    order = _shuffled(len(sizes), seed)
    for entity, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        # A large one that would take the hold-out further from its share is trained on.
        if abs(filled + size - wanted) < wanted - filled and filled + size < len(labelled):
            kept.append(entity)
            filled += size
    kept = kept or [int(order[np.argmin(sizes[order])])]
    aside = np.isin(group, kept)
    return labelled[~aside], labelled[aside]


def _drawn(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    order = _shuffled(len(rows), seed)
    kept = _share_of(len(rows), share)
    return np.sort(rows[order[kept:]]), np.sort(rows[order[:kept]])


def _shuffled(count: int, seed: int) -> Rows:
    # Sorted by raw generator output: numpy keeps that stream the same in every version, which it
    # does not promise for shuffles, and a split must be found again years later.
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def _stratified(labelled: Rows, target: pl.Series, share: float, seed: int) -> tuple[Rows, Rows]:
    labels = target[labelled.tolist()].cast(pl.String).to_numpy()
    train, holdout = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, label in enumerate(np.unique(labels.astype(str))):
        mine, kept = _drawn(labelled[labels == label], share, seed + number)
        train.append(mine)
        holdout.append(kept)
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(holdout))
