"""Train: a candidate version from the plan and the data, and proof of what moved."""

import time
from collections.abc import Callable

import polars as pl

from tidegate.data.cleaning.clean import clean
from tidegate.data.snapshot import load_snapshot
from tidegate.domain.errors import Conflict
from tidegate.domain.evidence import PlanEvidence, PrepareEvidence, Search, TrainEvidence
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Update
from tidegate.domain.version import GroupStep, Version
from tidegate.process.case import Case, Done, Write
from tidegate.process.checkpoints import FileCheckpoint
from tidegate.process.compute import Compute, opened
from tidegate.process.fitting import TrainingRows, fit_candidate, gathered
from tidegate.process.history import find_snapshot, find_version
from tidegate.process.imported import import_evidence
from tidegate.process.loading import Fitted, load_fitted
from tidegate.process.stages.prepare import contract_for, split_of
from tidegate.process.trials import chosen, tried
from tidegate.process.versions import near
from tidegate.training.adapter import adapter
from tidegate.training.environment import environment
from tidegate.training.steps import group_steps, not_finite

#: Seconds between looks at whether the update was withdrawn.
_LOOKS_EVERY = 1.0


def run(case: Case) -> Done:
    """The candidate, stored, and the evidence on how it came to be."""
    update = case.update
    plan = case.earlier(Stage.PLAN, PlanEvidence)
    if plan.strategy is Strategy.IMPORT:
        return _done(case, import_evidence(case, _parent_params(case, plan.parent)))
    parent = load_fitted(case.home, update.model, plan.parent)
    began = time.monotonic()
    rows = training_rows(case, plan)
    with opened(update.spec.policy.training.compute) as compute:
        found = tried(update.spec, plan, rows, parent, compute, case.progress("trying settings"))
        evidence = _fitted(case, plan, rows, parent, found, compute, began)
    return _done(case, evidence)


def _fitted(
    case: Case,
    plan: PlanEvidence,
    rows: TrainingRows,
    parent: Fitted | None,
    found: Search | None,
    compute: Compute,
    began: float,
) -> TrainEvidence:
    """The candidate, trained and stored, with the settings that won."""
    update = case.update
    strategy, settings, window = chosen(found, plan)
    plan, used = plan.taking(strategy), rows.of(strategy, window)
    # What a checkpoint belongs to: another plan, or other settings, begin at the beginning.
    job = [update.evidence_digest(Stage.PLAN), str(strategy), settings, used.height]
    checkpoint = FileCheckpoint(case.home.folder, update.id, job)
    fitting = time.monotonic()
    fitted, fit = fit_candidate(
        update.spec, plan, used, parent, _stopped_when_ended(case), settings=settings,
        remembered=rows.remembered, checkpoint=checkpoint, compute=compute,
    )  # fmt: skip
    took = time.monotonic() - fitting
    manifest = fitted.commit(case.home.objects, near(case.home, update.model))
    checkpoint.done()
    return TrainEvidence(
        version=update.number,
        params=manifest.id,
        parent_params=_parent_params(case, plan.parent),
        strategy=strategy,
        rows=used.height,
        seed=update.spec.policy.training.seed,
        settings=fit.settings,
        window=window,
        curve=fit.curve,
        converged=fit.converged,
        finite=not not_finite(fitted.state),
        deterministic=adapter(update.spec.adapter).deterministic,
        steps=steps_of(update.spec, plan, parent, fitted),
        notes=fit.notes,
        search=found,
        environment=environment(),
        seconds=round(time.monotonic() - began, 3),
        fit_seconds=round(took, 3),
    )


def _stopped_when_ended(case: Case) -> Callable[[int, int], None]:
    """Progress that ends training where the update was withdrawn meanwhile."""
    told, looked = case.progress("training"), [time.monotonic()]

    def progress(done: int, total: int) -> None:
        told(done, total)
        if time.monotonic() - looked[0] < _LOOKS_EVERY:
            return
        looked[0] = time.monotonic()
        with case.home.journal.read() as reader:
            now = reader.get(Update, case.update.id)
        if now is not None and now.outcome is not None:
            raise Conflict(
                "update {update} ended while it trained: {outcome}",
                do="open another one",
                update=case.update.id,
                outcome=say(now.outcome),
            )

    return progress


def training_rows(case: Case, plan: PlanEvidence) -> TrainingRows:
    """Cleaned, labelled rows to train on: all but the hold-out of the newest snapshot."""
    spec, contract = case.update.spec, _contract(case)
    newest = newest_frame(case)
    cleaning = case.earlier(Stage.PREPARE, PrepareEvidence).cleaning

    def learned(name: str) -> pl.DataFrame:
        with case.home.journal.read() as reader:
            snapshot = find_snapshot(reader, name)
        frame = load_snapshot(case.home.objects, snapshot)
        # By the contract of the newest, or a column of codes would be text here and numbers there.
        return clean(frame, spec, contract, cleaning)[0].drop_nulls(spec.target)

    return gathered(spec, plan, newest[split_of(spec, newest).train.tolist()], learned)


def steps_of(
    spec: ModelSpec, plan: PlanEvidence, parent: Fitted | None, child: Fitted
) -> list[GroupStep]:
    """How far each group moved; the step budget speaks of values that go on from the parent's."""
    held = [g for g in adapter(spec.adapter).blended(child.state) if g not in plan.key_groups]
    before = parent.state if parent else None
    return group_steps(before, child.state, set(plan.frozen_groups), held)


def newest_frame(case: Case) -> pl.DataFrame:
    """The update's own snapshot, cleaned as in prepare, unlabelled rows included."""
    prepared = case.earlier(Stage.PREPARE, PrepareEvidence)
    assert prepared.snapshot is not None  # noqa: S101 - only imports have none
    with case.home.journal.read() as reader:
        snapshot = find_snapshot(reader, prepared.snapshot)
    frame = load_snapshot(case.home.objects, snapshot)
    return clean(frame, case.update.spec, _contract(case), prepared.cleaning)[0]


def _contract(case: Case) -> Contract | None:
    """The contract that prepare checked the newest snapshot against."""
    prepared = case.earlier(Stage.PREPARE, PrepareEvidence)
    with case.home.journal.read() as reader:
        before = find_snapshot(reader, prepared.reference) if prepared.reference else None
    reference = load_snapshot(case.home.objects, before) if before else None
    return contract_for(case.update.spec, reference)


def _parent_params(case: Case, number: int | None) -> str | None:
    if number is None:
        return None
    with case.home.journal.read() as reader:
        return find_version(reader, case.update.model, number).params


def _done(case: Case, evidence: TrainEvidence) -> Done:
    update = case.update
    version = Version(
        model=update.model,
        number=update.number,
        params=evidence.params,
        parent=update.champion,
        update=update.id,
        reason=update.reason,
        created_at=update.changed_at,
        created_by=update.proposer,
    )
    return Done(evidence, [Write(version, "version.created")])
