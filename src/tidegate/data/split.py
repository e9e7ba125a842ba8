"""Which rows are trained on and which are kept aside, without leakage."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.time import time_of
from tidegate.domain.errors import WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending, without overlap. ``how``: time, order, stratified or random."""

    train: Rows
    holdout: Rows
    how: str


def split(
    frame: pl.DataFrame, spec: ModelSpec, holdout_share: float, seed: int, *, ordered: bool = False
) -> Split:
    """The labelled rows in two; rows without a label are in neither.

    With time columns the hold-out is the newest rows, rows of one moment on one side, and rows
    without a time are trained on; ``ordered`` says that file order is time order. Else a seeded
    draw, for classification in equal shares per class: a class of two rows or more is on both
    sides, a single one is trained on. Two labelled rows or more give at least one to each side.
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
        parts = _newest(labelled, times, holdout_share)
        if parts is not None:
            return Split(*parts, how="time")
        # All of one moment: there is no newest, so the draw below is the fair one.
    elif ordered:
        cut = len(labelled) - _share_of(len(labelled), holdout_share)
        return Split(labelled[:cut], labelled[cut:], how="order")
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


def _newest(labelled: Rows, times: pl.Series, share: float) -> tuple[Rows, Rows] | None:
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
    return np.sort(labelled[order[:cut]]), np.sort(labelled[order[cut:]])


def _drawn(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    # Sorted by raw generator output: numpy keeps that stream the same in every version, which it
    # does not promise for shuffles, and a split must be found again years later.
    order = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")
    kept = _share_of(len(rows), share)
    return np.sort(rows[order[kept:]]), np.sort(rows[order[:kept]])


def _stratified(labelled: Rows, target: pl.Series, share: float, seed: int) -> tuple[Rows, Rows]:
    labels = target[labelled.tolist()].cast(pl.String).to_numpy()
    train, holdout = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, label in enumerate(np.unique(labels.astype(str))):
        mine, kept = _drawn(labelled[labels == label], share, seed + number)
        train.append(mine)
        holdout.append(kept)
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(holdout))
