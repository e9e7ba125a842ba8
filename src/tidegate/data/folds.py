"""Training rows dealt into folds, each told from the others, in the way the model is split."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.data.split import Split, entities_of
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec

Rows = NDArray[np.int64]
_DAY = 86_400_000_000  # microseconds


def folds(frame: pl.DataFrame, spec: ModelSpec, count: int, seed: int) -> list[Split]:
    """``count`` splits of labelled rows; every row is held out at most once.

    With time columns each fold is told from what came before it, the policy's ``gap_days`` left
    out, so its first part is only ever trained on. Else rows are dealt at random: whole entities
    where the model's key has several rows, classes in equal shares for classification. Raises
    DataError where there are too few moments, entities or rows for so many folds.
    """
    if spec.time:
        return _in_time(frame, spec, count)
    entity = None if spec.key is None else entities_of(frame[spec.key])
    if entity is not None:
        return _dealt(entity, np.zeros(frame.height, np.int64), count, seed, "grouped")
    own = np.arange(frame.height)
    if spec.task is Task.REGRESSION or spec.target is None:
        return _dealt(own, np.zeros(frame.height, np.int64), count, seed, "random")
    _, classes = np.unique(frame[spec.target].cast(pl.String).to_numpy(), return_inverse=True)
    return _dealt(own, classes, count, seed, "stratified")


def _in_time(frame: pl.DataFrame, spec: ModelSpec, count: int) -> list[Split]:
    times = time_of(frame, spec.time)
    order = times.arg_sort(nulls_last=False).to_numpy()
    ranked = times[order.tolist()].cast(pl.Int64).fill_null(np.iinfo(np.int64).min).to_numpy()
    gap = round(spec.policy.training.gap_days * _DAY)
    cuts = np.linspace(0, len(order), count + 2).round().astype(int)[1:-1]
    # Rows of one moment belong on one side.
    cuts = np.unique(np.searchsorted(ranked, ranked[cuts])) if len(order) else cuts
    ends = [*(cut for cut in cuts.tolist() if cut > 0), len(order)]
    made = []
    for start, end in pairwise(ends):
        upto = int(np.searchsorted(ranked, ranked[start] - gap)) if gap else start
        if upto:
            made.append(Split(np.sort(order[:upto]), np.sort(order[start:end]), "time"))
    return _enough(made, count)


def _dealt(unit: Rows, stratum: Rows, count: int, seed: int, how: str) -> list[Split]:
    """Units dealt in turn, stratum by stratum, in a seeded order: folds differ by one each."""
    names, first = np.unique(unit, return_index=True)
    # Raw output of the generator is the same in every version of numpy; see ``split``.
    drawn = np.argsort(np.random.PCG64(seed).random_raw(len(names)), kind="stable")
    order = drawn[np.argsort(stratum[first][drawn], kind="stable")]
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % count
    of_row = fold[np.searchsorted(names, unit)]
    return _enough(
        [
            Split(np.flatnonzero(of_row != k), np.flatnonzero(of_row == k), how)
            for k in range(min(count, len(names)))
        ],
        count,
    )


def _enough(made: list[Split], count: int) -> list[Split]:
    if len(made) < count:
        raise DataError(
            "there is not enough to tell apart for {count} folds: {made} can be made",
            do="ask for fewer folds (policy validation.folds), or add data",
            count=count,
            made=len(made),
        )
    return made
