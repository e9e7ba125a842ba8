"""A candidate against the champion on rows that neither has seen, with intervals."""

from collections.abc import Callable

import numpy as np

from tidegate.domain.errors import DataError
from tidegate.domain.evidence import Interval, SegmentScore, ValidateEvidence
from tidegate.domain.intervals import deal, draws, percentile, sums, wilson
from tidegate.domain.metrics import METRICS, Metric, Task, losses, scores
from tidegate.domain.predictor import Predictions
from tidegate.training.state import Array, Floats

#: Metrics in the target's unit: a difference of theirs is told as a share of the reference.
_IN_UNITS = frozenset({"mae", "rmse"})

#: Segments reported for one column, largest first, where more have too few rows to be judged.
_MOST_SEGMENTS = 50


def validate(
    task: Task,
    metric: Metric,
    truth: Array,
    candidate: Predictions,
    champion: Predictions | None,
    baseline: Array,
    *,
    confidence: float,
    segments: dict[str, Array],
    min_segment_rows: int,
    train_score: float | None,
    bad_quantile: float,
    seed: int,
) -> ValidateEvidence:
    """The evidence of the stage, from answers to the same rows.

    ``truth`` and ``baseline`` (the constant answer that stands in where there is no champion):
    ``(n_rows,)``. ``segments``: for each column, every row's value as text. Segments below
    ``min_segment_rows`` are reported as far as there is room. Raises DataError without rows.
    """
    if len(truth) == 0:
        raise DataError(
            "there are no labelled rows to validate on",
            do="add rows, or raise the policy's holdout_share",
        )
    reference = champion.values if champion is not None else baseline
    intervals = _intervals(task, truth, candidate.values, reference, confidence, seed)
    ours, theirs, drawn = intervals
    level = theirs[metric.name].value
    at, losses_now = _difference(metric, level), losses(task, truth, candidate.values)
    losses_before = losses(task, truth, reference)
    bad_above = 0.0
    if task is Task.REGRESSION:
        of = losses_before if champion is not None else losses_now
        bad_above = float(np.quantile(of, bad_quantile))
    gap = None
    if train_score is not None:
        gap = float(at(np.array(train_score), np.array(ours[metric.name].value)))
    return ValidateEvidence(
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        rows=len(truth),
        candidate=ours,
        champion=theirs if champion is not None else {},
        difference=percentile(
            float(at(np.array(ours[metric.name].value), np.array(level))),
            at(drawn[0][metric.name], drawn[1][metric.name]),
            confidence,
        ),
        train_score=train_score,
        gap=gap,
        negative_flips=None
        if champion is None
        else float(np.mean((losses_before <= bad_above) & (losses_now > bad_above))),
        segments=_segments(
            metric, truth, candidate.values, reference, at, segments, min_segment_rows
        ),
        bad_above=bad_above,
    )


Difference = Callable[[Floats, Floats], Floats]


def _difference(metric: Metric, reference: float) -> Difference:
    """How much better one score is than another, in the unit of the policy's margin."""
    sign = 1.0 if metric.greater_is_better else -1.0
    # A reference without any error leaves no share to take: the difference itself then.
    scale = reference if metric.name in _IN_UNITS and reference > 0 else 1.0
    return lambda score, than: sign * (score - than) / scale


Drawn = dict[str, Floats]


def _intervals(
    task: Task, truth: Array, ours: Array, theirs: Array, confidence: float, seed: int
) -> tuple[dict[str, Interval], dict[str, Interval], tuple[Drawn, Drawn]]:
    """Both sides' metrics with intervals, and their draws over the same rows (paired)."""
    block = deal(len(truth), seed)
    sides = [sums(task, truth, answers, block) for answers in (ours, theirs)]
    width = sides[0].blocks.shape[1]
    drawn = draws(np.concatenate([side.blocks for side in sides], axis=1), seed)
    halves = (drawn[:, :width], drawn[:, width:])
    found, kept = [], []
    for side, half, answers in zip(sides, halves, (ours, theirs), strict=True):
        values = scores(task, truth, answers)
        draws_of = {name: score(half) for name, score in side.score.items()}
        intervals = {
            name: percentile(value, draws_of[name], confidence) for name, value in values.items()
        }
        if task is not Task.REGRESSION:
            right = int(np.sum(truth == answers))
            intervals["accuracy"] = wilson(right, len(truth), confidence)
        found.append(intervals)
        kept.append(draws_of)
    return found[0], found[1], (kept[0], kept[1])


def _segments(
    metric: Metric,
    truth: Array,
    ours: Array,
    theirs: Array,
    at: Difference,
    segments: dict[str, Array],
    min_rows: int,
) -> list[SegmentScore]:
    """The primary metric in each segment, largest first in each column."""
    score = METRICS[metric.name][1]
    found = []
    for column, values in segments.items():
        names, codes, counts = np.unique(
            values.astype(str), return_inverse=True, return_counts=True
        )
        order = np.argsort(-counts, kind="stable")
        wanted = [code for code in order if counts[code] >= min_rows]
        wanted += [code for code in order if counts[code] < min_rows][
            : max(0, _MOST_SEGMENTS - len(wanted))
        ]
        for code in wanted:
            rows = codes == code
            now, before = score(truth[rows], ours[rows]), score(truth[rows], theirs[rows])
            found.append(
                SegmentScore(
                    segment=f"{column}={names[code]}",
                    rows=int(counts[code]),
                    candidate=now,
                    champion=before,
                    difference=float(at(np.array(now), np.array(before))),
                )
            )
    return found
