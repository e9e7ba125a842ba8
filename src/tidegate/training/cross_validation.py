"""The score on folds that training did not see."""

import dataclasses
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import METRICS, Metric, Task
from tidegate.training.adapter import Adapter, Job, Loaded, train
from tidegate.training.state import Array, Floats, silent


def cross_validate(
    how: Adapter,
    x: Floats,
    y: Array,
    job: Job,
    metric: Metric,
    folds: int,
    time_ordered: bool,
) -> list[float]:
    """The metric on each fold, from parameters trained on the others.

    Rows in time order are only ever scored by parameters of earlier rows (an expanding window);
    others are dealt at random, every class as evenly as it goes. Raises WrongUsage for fewer
    than 2 folds or fewer rows than folds, DataError where a fold cannot be trained on.
    """
    if folds < 2 or folds >= len(y):
        raise WrongUsage(
            "{folds} folds cannot be made of {rows} rows",
            do="use at least 2 folds, and more rows than folds",
            folds=folds,
            rows=len(y),
        )
    quiet = dataclasses.replace(job, progress=silent)
    found = []
    for fold, (seen, kept) in enumerate(_folds(y, job, folds, time_ordered)):
        try:
            state = train(how, x[seen], y[seen], quiet).state
        except DataError as error:
            raise DataError(
                "fold {fold} of {folds} cannot be trained on: {detail}",
                do="use fewer folds, or add rows",
                fold=fold + 1,
                folds=folds,
                detail=error.text(),
            ) from error
        answers = Loaded(state, how.load(state)).predict(x[kept]).values
        found.append(METRICS[metric.name][1](y[kept], answers))
        job.progress(fold + 1, folds)
    return found


def _folds(y: Array, job: Job, folds: int, time_ordered: bool) -> Iterator[tuple[Array, Array]]:
    if time_ordered:
        yield from TimeSeriesSplit(folds).split(y)
        return
    deal = KFold if job.task is Task.REGRESSION else StratifiedKFold
    codes = y if job.task is Task.REGRESSION else np.unique(y, return_inverse=True)[1]
    with warnings.catch_warnings():
        # A class rarer than the folds cannot be in each of them: its rows still count.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splits = list(deal(folds, shuffle=True, random_state=job.seed).split(codes, codes))
    yield from splits
