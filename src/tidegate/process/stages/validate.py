"""Validate: the candidate against the champion, on rows that neither has seen."""

import numpy as np
import polars as pl

from tidegate.domain.evidence import TrainEvidence, ValidateEvidence
from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Array, Predictor
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.process.case import Case, Done
from tidegate.process.loading import load_fitted, load_version
from tidegate.process.stages.prepare import split_of
from tidegate.process.stages.train import newest_frame
from tidegate.training.validation import validate


def run(case: Case) -> Done:
    """Metrics with intervals, segments, gap and negative flips."""
    update = case.update
    trained = case.earlier(Stage.TRAIN, TrainEvidence)
    if trained.strategy is Strategy.IMPORT:
        return Done(ValidateEvidence(judged=False))
    frame = newest_frame(case)
    parts = split_of(update.spec, frame)
    champion = load_fitted(case.home, update.model, update.champion)
    evidence = compare(
        update.spec,
        load_version(case.home, update.model, trained.version).predictor(),
        champion.predictor() if champion else None,
        seen=frame[parts.train.tolist()],
        holdout=frame[parts.holdout.tolist()],
    )
    return Done(evidence.model_copy(update={"champion_version": update.champion}))


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
    truth, known = labels(spec, holdout), labels(spec, seen)
    train_score = METRICS[metric.name][1](known, candidate.predict(seen).values)
    return validate(
        spec.task,
        metric,
        truth,
        candidate.predict(holdout),
        champion.predict(holdout) if champion else None,
        _constant_answer(spec.task, known, len(truth)),
        confidence=policy.confidence,
        segments=segments(spec, holdout),
        min_segment_rows=policy.min_segment_rows,
        train_score=train_score,
        bad_quantile=spec.policy.rollout.bad_quantile,
        seed=spec.policy.training.seed,
    )


def labels(spec: ModelSpec, frame: pl.DataFrame) -> Array:
    """The target of every row, ``(n_rows,)``."""
    assert spec.target is not None  # noqa: S101
    return np.asarray(frame[spec.target].to_numpy())


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
