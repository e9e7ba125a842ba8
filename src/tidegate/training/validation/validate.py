"""A candidate against the champion on rows that neither has seen, with intervals."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from tidegate.domain.errors import DataError
from tidegate.domain.evidence import ValidateEvidence
from tidegate.domain.intervals import BLOCKS, deal, draws, percentile, sums, wilson
from tidegate.domain.metrics import METRICS, Metric, Task, losses, scores
from tidegate.domain.predictor import Predictions
from tidegate.domain.serial import block_length
from tidegate.domain.validation import Interval, Paired, SegmentScore
from tidegate.training.state import Array, Floats
from tidegate.training.validation.calibration import calibration, came_true
from tidegate.training.validation.paired import (
    area_difference,
    area_interval,
    areas,
    even,
    mcnemar,
)
from tidegate.training.validation.slices import slices as search

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
    ``min_segment_rows`` are reported as far as there is room. Rows are in their order in time,
    where they have one: where neighbours hang together, they are drawn together, and the intervals
    are as much wider. Raises DataError without rows.
    """
    if len(truth) == 0:
        raise DataError(
            "there are no labelled rows to validate on",
            do="add rows, or raise the policy's holdout_share",
        )
    reference = champion.values if champion is not None else baseline
    losses_now = losses(task, truth, candidate.values)
    losses_before = losses(task, truth, reference)
    block = deal(len(truth), seed, block_length(losses_now - losses_before))
    units = int(block.max()) + 1
    ours, theirs, drawn = _intervals(
        task, truth, candidate.values, reference, confidence, block, seed
    )
    level = theirs[metric.name].value
    at = _difference(metric, level)
    bad_above = 0.0
    if task is Task.REGRESSION:
        of = losses_before if champion is not None else losses_now
        bad_above = float(np.quantile(of, bad_quantile))
    gap = None
    if train_score is not None:
        gap = float(at(np.array(train_score), np.array(ours[metric.name].value)))
    beside = None if champion is None else _paired(losses_now, losses_before, block)
    beside = _with_areas(ours, theirs, beside, _areas(truth, candidate, champion, confidence))
    return ValidateEvidence(
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        rows=len(truth),
        candidate=ours,
        champion=theirs if champion is not None else {},
        paired=beside,
        calibration=calibration(truth, candidate),
        champion_calibration=None if champion is None else calibration(truth, champion),
        difference=percentile(
            float(at(np.array(ours[metric.name].value), np.array(level))),
            at(drawn[0][metric.name], drawn[1][metric.name]),
            confidence,
            units,
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


def found_segments(
    task: Task,
    metric: Metric,
    truth: Array,
    ours: Array,
    theirs: Array,
    columns: Mapping[str, Array],
    *,
    min_rows: int,
    seed: int,
) -> list[SegmentScore]:
    """Segments of one or two columns in which ``ours`` are worse than ``theirs``, the surest first.

    ``columns``: for each column, every row's value or range as text. Searched on half of the
    rows, told as it is on the other half.
    """
    extra = losses(task, truth, ours) - losses(task, truth, theirs)
    at = _difference(metric, METRICS[metric.name][1](truth, theirs))
    return [
        _segment(one.name, metric, truth, ours, theirs, at, one.rows, one.p_value)
        for one in search(columns, extra, min_rows=min_rows, seed=seed)
    ]


def lost(metric: Metric, score: float, than: float) -> float:
    """By how much ``score`` is worse than another, in the unit of the policy's margin."""
    return -float(_difference(metric, than)(np.array(score), np.array(than)))


Difference = Callable[[Floats, Floats], Floats]


class _Ranked(NamedTuple):
    candidate: Interval
    champion: Interval | None = None
    difference: Interval | None = None
    p_value: float | None = None


def _areas(
    truth: Array, candidate: Predictions, champion: Predictions | None, confidence: float
) -> _Ranked | None:
    """Areas under the ROC curves; None without two classes that both occur, or probabilities."""
    scored = [candidate] if champion is None else [candidate, champion]
    sides = [side.probabilities for side in scored if side.probabilities is not None]
    if candidate.probabilities is None or not candidate.classes or len(candidate.classes) != 2:
        return None
    if any(side.classes != candidate.classes for side in scored):
        return None  # another class is the second one: the curves are not of the same thing
    positive = came_true(truth, candidate)[:, 1]
    rarer = int(min(positive.sum(), (~positive).sum()))
    if rarer == 0:
        return None
    found = areas(positive, np.stack([side[:, 1] for side in sides]))
    variances = np.diag(found.covariance)
    intervals = [
        area_interval(float(area), float(variance), rarer, confidence)
        for area, variance in zip(found.values, variances, strict=True)
    ]
    if len(intervals) == 1:
        return _Ranked(intervals[0])
    return _Ranked(intervals[0], intervals[1], *area_difference(found, confidence))


def _with_areas(
    ours: dict[str, Interval],
    theirs: dict[str, Interval],
    beside: Paired | None,
    ranked: _Ranked | None,
) -> Paired | None:
    """Areas under curves among both sides' metrics, and their difference in what pairs say."""
    if ranked is None:
        return beside
    ours["auc"] = ranked.candidate
    if ranked.champion is None or beside is None:
        return beside
    theirs["auc"] = ranked.champion
    told = {"auc": ranked.difference, "auc_p_value": ranked.p_value}
    return beside.model_copy(update=told)


def _paired(now: Floats, before: Floats, block: Array) -> Paired:
    better, worse = now < before, now > before
    units = int(block.max()) + 1
    if units >= min(len(now), BLOCKS):
        p = mcnemar(int(better.sum()), int(worse.sum()))
    else:  # neighbours are no new evidence: blocks of them are
        leans = better.astype(np.float64) - worse
        p = even(np.bincount(block, leans).astype(np.float64))
    return Paired(better=int(better.sum()), worse=int(worse.sum()), p_value=p)


def _difference(metric: Metric, reference: float) -> Difference:
    """How much better one score is than another, in the unit of the policy's margin."""
    sign = 1.0 if metric.greater_is_better else -1.0
    # A reference without any error leaves no share to take: the difference itself then.
    scale = reference if metric.name in _IN_UNITS and reference > 0 else 1.0
    return lambda score, than: sign * (score - than) / scale


Drawn = dict[str, Floats]


def _intervals(
    task: Task, truth: Array, ours: Array, theirs: Array, confidence: float, block: Array, seed: int
) -> tuple[dict[str, Interval], dict[str, Interval], tuple[Drawn, Drawn]]:
    """Both sides' metrics with intervals, and their draws over the same blocks (paired)."""
    units = int(block.max()) + 1
    sides = [sums(task, truth, answers, block) for answers in (ours, theirs)]
    width = sides[0].blocks.shape[1]
    drawn = draws(np.concatenate([side.blocks for side in sides], axis=1), seed)
    halves = (drawn[:, :width], drawn[:, width:])
    found, kept = [], []
    for side, half, answers in zip(sides, halves, (ours, theirs), strict=True):
        values = scores(task, truth, answers)
        draws_of = {name: score(half) for name, score in side.score.items()}
        intervals = {
            name: percentile(value, draws_of[name], confidence, units)
            for name, value in values.items()
        }
        if task is not Task.REGRESSION and units >= min(len(truth), BLOCKS):
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
            name = f"{column}={names[code]}"
            found.append(_segment(name, metric, truth, ours, theirs, at, codes == code))
    return found


def _segment(
    name: str,
    metric: Metric,
    truth: Array,
    ours: Array,
    theirs: Array,
    at: Difference,
    rows: Array,
    p_value: float | None = None,
) -> SegmentScore:
    score = METRICS[metric.name][1]
    now, before = score(truth[rows], ours[rows]), score(truth[rows], theirs[rows])
    return SegmentScore(
        segment=name,
        rows=int(rows.sum()),
        candidate=now,
        champion=before,
        difference=float(at(np.array(now), np.array(before))),
        p_value=p_value,
    )
