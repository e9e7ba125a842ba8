"""The same training on other rows: cross-validation, and what fewer rows would have given."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import stdtrit

from tidegate.data.folds import folds
from tidegate.data.split import Split
from tidegate.domain.errors import DataError
from tidegate.domain.evidence import PlanEvidence
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.validation import CrossValidation, Interval, LearningPoint
from tidegate.process.compute import Compute
from tidegate.process.fitting import TrainingRows, fit_candidate, score_on
from tidegate.process.loading import Fitted

Progress = Callable[[int, int], None]
#: Shares of the rows that a learning curve trains on, beside the candidate's own.
SHARES = (0.125, 0.25, 0.5)


def cross_validated(
    spec: ModelSpec,
    plan: PlanEvidence,
    settings: dict[str, Any],
    rows: TrainingRows,
    parent: Fitted | None,
    compute: Compute,
    progress: Progress,
) -> CrossValidation:
    """Trained as planned ``policy.validation.folds`` times, each scored on rows it has not seen.

    Only rows of the newest snapshot are held out: they are what the model is to be good at, and
    the parent of an update that moves on knows the others. The interval's variance is that of the
    folds times (1/k + tested/trained), since folds share most of their training rows (Nadeau and
    Bengio 2003, doi:10.1023/A:1024068626366). Raises DataError where a fold cannot be made, or not
    be learned from.
    """
    count = spec.policy.validation.folds
    parts = folds(rows.newest, spec, count, spec.policy.training.seed)
    work = Refit(spec, plan, settings, rows, parent, parts)
    scores = compute.map(fold, work, list(range(count)), progress)
    always = rows.of(plan.strategy).height - rows.newest.height
    tested = np.mean([len(part.holdout) / (len(part.train) + always) for part in parts])
    return CrossValidation(
        how=parts[0].how,
        folds=scores,
        score=_interval(scores, float(tested), spec.policy.validation.confidence),
    )


@dataclass(frozen=True)
class Refit:
    """What every fold needs: handed to a cluster once."""

    spec: ModelSpec
    plan: PlanEvidence
    settings: dict[str, Any]
    rows: TrainingRows
    parent: Fitted | None
    parts: Sequence[Split]


def fold(work: Refit, number: int) -> float:
    """The score of one fold."""
    part, newest = work.parts[number], work.rows.newest
    train = replace(work.rows, newest=newest[part.train.tolist()]).of(work.plan.strategy)
    try:
        fitted, _ = fit_candidate(
            work.spec, work.plan, train, work.parent, lambda _done, _total: None,
            settings=work.settings, remembered=work.rows.remembered,
        )  # fmt: skip
    except DataError as error:
        raise DataError(
            "fold {number} of {count} cannot be learned from: {problem}",
            do="ask for fewer folds (policy validation.folds), or add data",
            number=number + 1,
            count=len(work.parts),
            problem=say(error.what, **error.values),
        ) from None
    return score_on(work.spec, fitted.predictor(), newest[part.holdout.tolist()])


def learning_curve(
    spec: ModelSpec,
    plan: PlanEvidence,
    settings: dict[str, Any],
    rows: pl.DataFrame,
    holdout: pl.DataFrame,
    parent: Fitted | None,
    progress: Progress,
) -> list[LearningPoint]:
    """Trained as planned on an eighth, a quarter and a half of ``rows``, each held in the next.

    The newest rows where the model has time columns, else a seeded draw. What cannot be learned
    from so few rows is left out.
    """
    order = np.arange(rows.height)[::-1]
    if not spec.time:
        drawn = np.random.PCG64(spec.policy.training.seed).random_raw(rows.height)
        order = np.argsort(drawn, kind="stable")
    found = []
    for number, share in enumerate(SHARES):
        progress(number, len(SHARES))
        part = rows[np.sort(order[: max(2, round(share * rows.height))]).tolist()]
        try:
            fitted, _ = fit_candidate(
                spec, plan, part, parent, lambda _done, _total: None, settings=settings
            )
        except DataError:
            continue
        predictor = fitted.predictor()
        found.append(
            LearningPoint(
                rows=part.height,
                train=score_on(spec, predictor, part),
                holdout=score_on(spec, predictor, holdout),
            )
        )
    progress(len(SHARES), len(SHARES))
    return found


def _interval(scores: list[float], tested: float, confidence: float) -> Interval:
    mean, k = float(np.mean(scores)), len(scores)
    error = math.sqrt(float(np.var(scores, ddof=1)) * (1 / k + tested))
    half = float(stdtrit(k - 1, (1 + confidence) / 2)) * error
    return Interval(value=mean, low=mean - half, high=mean + half)
