"""A policy tried on the past: every batch is predicted first and learned after (prequential)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tidegate.data.cleaning.clean import clean
from tidegate.data.contract.contract import require_columns
from tidegate.data.read import read_files
from tidegate.data.table import columns_of, stacked
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.evidence import PlanEvidence, PrepareEvidence, TrainEvidence
from tidegate.domain.gates import gate
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.metrics import METRICS, Metric, losses
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Array
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.strategy import Strategy
from tidegate.governance.risk import assess
from tidegate.monitoring.trigger import Arrived, Stretch, due
from tidegate.process.compute import HERE
from tidegate.process.fitting import fit_candidate, gathered, target_of
from tidegate.process.home import Progress, silent
from tidegate.process.loading import Fitted
from tidegate.process.stages.plan import make_plan
from tidegate.process.stages.prepare import examine, split_of
from tidegate.process.stages.train import steps_of
from tidegate.process.stages.validate import compare
from tidegate.process.trials import chosen, tried
from tidegate.training.steps import not_finite


class Arm(Frozen):
    """One way to update: its score over all rows tested, versions released, seconds spent, and
    those of them that went into updates."""

    score: float
    updates: int
    seconds: float
    updating: float = 0.0
    refused: int = 0


class Backtest(Frozen):
    """Never updating, updating at every batch, and this policy, on the same rows."""

    batches: int
    rows_tested: int
    metric: Metric
    static: Arm
    always: Arm
    policy: Arm


#: Takes what is known when a batch has been labelled; gives the next champion where there is one.
Updater = Callable[["Past"], Fitted | None]


@dataclass
class Past:
    """What is known when a batch has been labelled.

    ``snapshots`` are what the champion learned from, ``pending`` the labelled batches since;
    ``record`` is the champion's loss on its hold-out, then on each of those. ``trainings``: how
    the versions so far came to be, the newest first.
    """

    spec: ModelSpec
    snapshots: list[pl.DataFrame]
    champion: Fitted
    pending: list[pl.DataFrame] = field(default_factory=list)
    record: list[Stretch] = field(default_factory=list)
    trainings: list[TrainEvidence] = field(default_factory=list)
    refused: int = 0
    since: int = 0  # batches since the last candidate


def backtest(
    spec: ModelSpec,
    data: Path,
    *,
    batch_rows: int,
    time_column: str | None = None,
    progress: Progress = silent,
) -> Backtest:
    """Replay ``data`` in batches of ``batch_rows`` rows: the first one trains, the rest test.

    Rows count in file order, or in the order of ``time_column``, else of the model's own time
    columns. Rows without a label are passed over. What the gates say offline decides whether a
    candidate replaces the champion; approvals and canaries have no part in a replay.
    """
    if not spec.trains:
        raise WrongUsage(
            "model '{model}' is not trained here, so there is no policy to try",
            do="name a model file with an adapter that trains",
            model=spec.model,
        )
    frame = read_files(
        [data], lambda done, total: progress(say("reading", unit="rows"), done, total)
    )
    require_columns(frame, spec, data.name)
    batches = batches_of(spec, frame, batch_rows, time_column)
    arms = (("never update", never), ("every batch", always), ("this policy", by_policy))
    done = [
        replay(spec, batches, updater, partial(_tell, progress, say(name), len(batches)))
        for name, updater in arms
    ]
    return Backtest(
        batches=len(batches),
        rows_tested=sum(batch.height for batch in batches[1:]),
        metric=spec.metric,
        static=done[0],
        always=done[1],
        policy=done[2],
    )


def _tell(progress: Progress, name: Message, total: int, done: int) -> None:
    progress(name, done, total)


def batches_of(
    spec: ModelSpec, frame: pl.DataFrame, batch_rows: int, time_column: str | None = None
) -> list[pl.DataFrame]:
    """Cleaned, labelled rows in batches, in time. Raises DataError for fewer than two."""
    if time_column is not None and time_column not in frame.columns:
        raise DataError(
            "there is no column '{column}' to sort by",
            do="use one of {known}",
            column=time_column,
            known=frame.columns,
        )
    order = [time_column] if time_column else spec.time
    if order:
        frame = frame[time_of(frame, order).arg_sort().to_list()]
    parts = [frame[at : at + batch_rows] for at in range(0, frame.height, batch_rows)]
    first, cleaning = clean(parts[0], spec, spec.contract)  # by what was known when it began
    cleaned = [first, *(clean(part, spec, spec.contract, cleaning)[0] for part in parts[1:])]
    labelled = [part.drop_nulls(spec.target) for part in cleaned]
    kept = [part for part in labelled if part.height]
    if len(kept) < 2:
        raise DataError(
            "{rows} labelled rows make {batches} batch(es) of {size}; two are needed to test one",
            do="give more rows, or smaller batches with --batch-rows",
            rows=sum(part.height for part in kept),
            batches=len(kept),
            size=batch_rows,
        )
    return kept


def replay(
    spec: ModelSpec,
    batches: list[pl.DataFrame],
    updater: Updater,
    progress: Callable[[int], None] = lambda _done: None,
) -> Arm:
    """Every batch predicted first and learned after; the first one trains."""
    began, updates, updating = time.perf_counter(), 0, 0.0
    past = Past(spec, batches[:1], _fit_all(spec, batches[:1]))
    took = time.perf_counter() - began
    past.trainings.append(_evidence(past, Strategy.FULL, batches[0].height, took))
    predictor = past.champion.predictor()
    truths, answers = [], []
    for at, batch in enumerate(batches[1:], start=1):
        progress(at)
        truth, answer = target_of(batch, spec), predictor.predict(batch).values
        truths.append(truth)
        answers.append(answer)
        past.pending.append(batch)
        past.since += 1
        past.record.append(_stretch(spec, truth, answer))
        if at == len(batches) - 1:
            break  # nothing is left to test what would be learned now
        asked = time.perf_counter()
        champion = updater(past)
        updating += time.perf_counter() - asked
        if champion is not None:
            past.champion, updates = champion, updates + 1
            predictor = champion.predictor()
    progress(len(batches))
    score = METRICS[spec.metric.name][1](np.concatenate(truths), np.concatenate(answers))
    seconds = round(time.perf_counter() - began, 2)
    return Arm(
        score=score,
        updates=updates,
        seconds=seconds,
        updating=round(updating, 2),
        refused=past.refused,
    )


def _stretch(spec: ModelSpec, truth: Array, answer: Array) -> Stretch:
    assert spec.task is not None  # noqa: S101 - it is trained
    loss = losses(spec.task, truth, answer)
    return Stretch(rows=len(loss), mean_loss=float(loss.mean()), variance=float(loss.var()))


def _fit_all(spec: ModelSpec, snapshots: list[pl.DataFrame]) -> Fitted:
    """A full update on whole snapshots, nothing kept aside."""
    window = spec.policy.training.window_snapshots
    kept = snapshots if window is None else snapshots[-window:]
    plan = PlanEvidence(strategy=Strategy.FULL, requested="full", supported=[], why=[])
    return fit_candidate(spec, plan, stacked(kept), None, lambda _done, _total: None)[0]


def never(_past: Past) -> Fitted | None:
    """No update ever."""
    return None


def always(past: Past) -> Fitted | None:
    """A full update at every batch, on as many of the newest as policy's window holds."""
    past.snapshots += past.pending
    past.pending = []
    return _fit_all(past.spec, past.snapshots)


def by_policy(past: Past) -> Fitted | None:
    """An update where the trigger asks for one and every gate that judges offline passes.

    All batches since the last update make one snapshot, as they would be added. Batches that
    prepare refuses are set aside; those that a later gate refuses are tried again with more.
    """
    if due(past.spec.policy.trigger, past.record, _arrived(past)) is None:
        return None
    past.since, new = 0, stacked(past.pending)
    prepared = examine(
        past.spec, _snapshot(past, new), new, past.snapshots[-1],
        reference_id=_name(len(past.snapshots) - 1), now="1970-01-01T00:00:00+00:00",
    )  # fmt: skip
    if not gate(past.spec, prepared).passed:
        past.pending, past.refused = [], past.refused + 1
        return None
    candidate = _candidate(past, prepared, new)
    if candidate is None:
        past.refused += 1
    return candidate


def _arrived(past: Past) -> Arrived:
    beside = 0
    for one in past.trainings:
        beside += one.rows
        if one.strategy is Strategy.FULL:
            break
    rows = sum(batch.height for batch in past.pending)
    return Arrived(batches=past.since, rows=rows, beside=beside)


def _candidate(past: Past, prepared: PrepareEvidence, new: pl.DataFrame) -> Fitted | None:
    spec = past.spec
    earlier = [(_name(number), rows.height) for number, rows in enumerate(past.snapshots)]
    plan = make_plan(
        spec,
        prepared,
        requested="auto",
        parent=past.champion.state,
        parent_number=0,
        earlier=earlier,
        past=past.trainings,
    )
    parts = split_of(spec, new)
    seen, holdout = new[parts.train.tolist()], new[parts.holdout.tolist()]
    fitted, trained = _trained(past, plan, seen)
    predictor = fitted.predictor()
    validated = compare(
        spec, predictor, past.champion.predictor(), seen=seen, holdout=holdout
    ).model_copy(update={"champion_version": 0, "moves_on": trained.strategy is not Strategy.FULL})
    risk = assess(
        prepared, plan, trained, validated, champion=0, drift_grade=spec.policy.data.drift_grade
    )
    if not all(gate(spec, evidence).passed for evidence in (plan, trained, validated, risk)):
        return None
    past.snapshots, past.pending = [*past.snapshots, new], []
    past.trainings.insert(0, trained)
    truth = target_of(holdout, spec)
    past.record = [_stretch(spec, truth, predictor.predict(holdout).values)]
    return fitted


def _trained(past: Past, plan: PlanEvidence, seen: pl.DataFrame) -> tuple[Fitted, TrainEvidence]:
    spec, parent = past.spec, past.champion
    rows = gathered(spec, plan, seen, lambda name: past.snapshots[_number(name)])
    found = tried(spec, plan, rows, parent, HERE, lambda _done, _total: None)
    strategy, settings, window = chosen(found, plan)
    plan, used = plan.taking(strategy), rows.of(strategy, window)
    began = time.perf_counter()
    fitted, fit = fit_candidate(
        spec, plan, used, parent, lambda _done, _total: None,
        settings=settings, remembered=rows.remembered,
    )  # fmt: skip
    evidence = _evidence(past, strategy, used.height, time.perf_counter() - began)
    return fitted, evidence.model_copy(
        update={
            "settings": fit.settings,
            "window": window,
            "curve": fit.curve,
            "converged": fit.converged,
            "finite": not not_finite(fitted.state),
            "steps": steps_of(spec, plan, parent, fitted),
            "search": found,
        }
    )


def _evidence(past: Past, strategy: Strategy, rows: int, seconds: float) -> TrainEvidence:
    """On a version that is stored nowhere."""
    return TrainEvidence(
        version=len(past.snapshots),
        params="",
        strategy=strategy,
        rows=rows,
        seconds=seconds,
        fit_seconds=seconds,
    )


def _name(number: int) -> str:
    return f"snapshot-{number}"


def _number(name: str) -> int:
    return int(name.removeprefix("snapshot-"))


def _snapshot(past: Past, batch: pl.DataFrame) -> Snapshot:
    return Snapshot(
        id=_name(len(past.snapshots)),
        model=past.spec.model,
        digest="",
        object_digest="",
        rows=batch.height,
        labelled_rows=batch.height,
        size_bytes=0,
        columns=columns_of(batch),
        sources=[],
        added_at="",
        added_by="",
    )
