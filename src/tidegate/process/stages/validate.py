"""Validate: the candidate against the champion, on rows that neither has seen."""

from typing import Any

import numpy as np
import polars as pl

from tidegate.data.bands import bands
from tidegate.data.noise import shaken
from tidegate.data.time import time_of
from tidegate.domain.evidence import (
    PlanEvidence,
    PrepareEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Array, Predictor
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.validation import GoldenRequests, Noise, SegmentScore
from tidegate.process.case import Case, Done
from tidegate.process.compute import opened
from tidegate.process.fitting import changed_share, target_of
from tidegate.process.golden import make
from tidegate.process.history import find_snapshot
from tidegate.process.loading import (
    Fitted,
    TabularPredictor,
    as_served,
    load_fitted,
    load_version,
)
from tidegate.process.refitting import cross_validated, learning_curve
from tidegate.process.stages.prepare import split_of
from tidegate.process.stages.train import newest_frame, training_rows
from tidegate.training.validation.validate import found_segments, lost, validate


def run(case: Case) -> Done:
    """Metrics with intervals, segments, gap and negative flips."""
    update = case.update
    trained = case.earlier(Stage.TRAIN, TrainEvidence)
    if trained.strategy is Strategy.IMPORT:
        return Done(ValidateEvidence(judged=False))
    frame = newest_frame(case)
    parts = split_of(update.spec, frame)
    champion = load_fitted(case.home, update.model, update.champion)
    candidate = load_version(case.home, update.model, trained.version).predictor()
    before = champion.predictor() if champion else None
    seen, holdout = frame[parts.train.tolist()], frame[parts.holdout.tolist()]
    evidence = compare(update.spec, candidate, before, seen=seen, holdout=holdout)
    return Done(
        evidence.model_copy(
            update={
                "champion_version": update.champion,
                "moves_on": champion is not None and trained.strategy is not Strategy.FULL,
                "found": found_in(update.spec, candidate, before, seen=seen, holdout=holdout),
                "noise": shaken_by(update.spec, evidence, candidate, before, holdout),
                "golden": _golden(case, candidate),
                **_fitted_again(case, trained, holdout, champion),
            }
        )
    )


def _golden(case: Case, candidate: TabularPredictor) -> GoldenRequests | None:
    """Rows of the update's snapshot, as they came, kept with the candidate's answers."""
    prepared = case.earlier(Stage.PREPARE, PrepareEvidence)
    assert prepared.snapshot is not None  # noqa: S101 - only imports have none
    with case.home.journal.read() as reader:
        snapshot = find_snapshot(reader, prepared.snapshot)
    served = as_served(candidate, case.update.spec, prepared.cleaning)
    return make(case.home.objects, snapshot, candidate.transform.columns, served)


def compare(
    spec: ModelSpec,
    candidate: Predictor,
    champion: Predictor | None,
    *,
    seen: pl.DataFrame,
    holdout: pl.DataFrame,
) -> ValidateEvidence:
    """Evidence from labelled rows: ``seen`` in training, and ``holdout`` kept aside."""
    assert spec.task is not None and spec.target is not None  # noqa: S101, PT018
    policy = spec.policy.validation
    metric = spec.metric
    if spec.time:
        holdout = holdout[time_of(holdout, spec.time).arg_sort().to_list()]
    truth, known = target_of(holdout, spec), target_of(seen, spec)
    train_score = METRICS[metric.name][1](known, candidate.predict(seen).values)
    ours, theirs = candidate.predict(holdout), champion.predict(holdout) if champion else None
    evidence = validate(
        spec.task,
        metric,
        truth,
        ours,
        theirs,
        _constant_answer(spec.task, known, len(truth)),
        confidence=policy.confidence,
        segments=segments(spec, holdout),
        min_segment_rows=policy.min_segment_rows,
        train_score=train_score,
        bad_quantile=spec.policy.rollout.bad_quantile,
        seed=spec.policy.training.seed,
    )
    if theirs is None:
        return evidence
    changed = changed_share(spec.task, truth, ours.values, theirs.values)
    return evidence.model_copy(update={"changed": changed})


def found_in(
    spec: ModelSpec,
    candidate: Predictor,
    champion: Predictor | None,
    *,
    seen: pl.DataFrame,
    holdout: pl.DataFrame,
) -> list[SegmentScore]:
    """Segments nobody declared in which the candidate is worse than the champion, or than the
    constant answer where there is none."""
    assert spec.task is not None and spec.target is not None  # noqa: S101, PT018
    truth = target_of(holdout, spec)
    reference = (
        champion.predict(holdout).values
        if champion
        else _constant_answer(spec.task, target_of(seen, spec), len(truth))
    )
    told = spec.not_features | set(spec.time)
    columns = [name for name in holdout.columns if name not in told]
    plain = [name for name in columns if not isinstance(holdout[name].dtype, pl.Array)]
    return found_segments(
        spec.task,
        spec.metric,
        truth,
        candidate.predict(holdout).values,
        reference,
        {name: bands(holdout[name]) for name in plain},
        min_rows=spec.policy.validation.min_segment_rows,
        seed=spec.policy.training.seed,
    )


#: Noise that answers are tried with, as a share of each column's spread: about what a sensor or
#: a rounding adds.
NOISE = 0.05


def shaken_by(
    spec: ModelSpec,
    evidence: ValidateEvidence,
    candidate: Predictor,
    champion: Predictor | None,
    holdout: pl.DataFrame,
) -> Noise | None:
    """What a little noise on every number costs; None where no column holds numbers."""
    columns = [name for name in holdout.columns if name not in spec.not_features | set(spec.time)]
    noisy = shaken(holdout, columns, NOISE, spec.policy.training.seed)
    if noisy.equals(holdout):
        return None
    metric, truth = spec.metric, target_of(holdout, spec)
    answers = candidate.predict(noisy).values
    score = METRICS[metric.name][1]
    return Noise(
        scale=NOISE,
        changed=None
        if spec.task is Task.REGRESSION
        else float(np.mean(answers != candidate.predict(holdout).values)),
        loss=lost(metric, score(truth, answers), evidence.candidate[metric.name].value),
        champion_loss=None
        if champion is None
        else lost(
            metric,
            score(truth, champion.predict(noisy).values),
            evidence.champion[metric.name].value,
        ),
    )


def _fitted_again(
    case: Case, trained: TrainEvidence, holdout: pl.DataFrame, parent: Fitted | None
) -> dict[str, Any]:
    """Cross-validation and learning curve, as far as policy asks for them."""
    spec, policy = case.update.spec, case.update.spec.policy.validation
    if not (policy.folds or policy.learning_curve):
        return {}
    plan = case.earlier(Stage.PLAN, PlanEvidence)
    rows, plan = training_rows(case, plan), plan.taking(trained.strategy)
    made: dict[str, Any] = {}
    if policy.folds:
        told = case.progress("cross-validation")
        with opened(spec.policy.training.compute) as compute:
            made["cross_validation"] = cross_validated(
                spec, plan, trained.settings, rows, parent, compute, told
            )
    if policy.learning_curve:
        made["learning_curve"] = learning_curve(
            spec, plan, trained.settings, rows.of(plan.strategy), holdout, parent,
            case.progress("learning curve"),
        )  # fmt: skip
    return made


def segments(spec: ModelSpec, frame: pl.DataFrame) -> dict[str, Array]:
    """For each declared segment column, the value of every row as text."""
    return {
        name: np.asarray(frame[name].cast(pl.String).fill_null("(missing)").to_numpy())
        for name in spec.segments
    }


def _constant_answer(task: Task, known: Array, rows: int) -> Array:
    """What someone without a model would answer: the mean, or the most frequent class."""
    if task is Task.REGRESSION:
        return np.full(rows, float(np.mean(known)))
    classes, counts = np.unique(known, return_counts=True)
    return np.full(rows, classes[np.argmax(counts)])
