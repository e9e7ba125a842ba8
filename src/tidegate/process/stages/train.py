"""Train: a candidate version from the plan and the data, and proof of what moved."""

import time
from collections.abc import Callable

import numpy as np
import polars as pl

from tidegate.data.cleaning.clean import clean
from tidegate.data.features.fit import fit_transform, training_features
from tidegate.data.snapshot import load_snapshot
from tidegate.data.table import stacked
from tidegate.domain.evidence import PlanEvidence, PrepareEvidence, TrainEvidence
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.version import Version
from tidegate.process.case import Case, Done, Write
from tidegate.process.history import find_snapshot, find_version
from tidegate.process.imported import import_evidence
from tidegate.process.loading import Fitted, load_fitted
from tidegate.process.stages.prepare import contract_for, split_of
from tidegate.process.versions import near
from tidegate.training.adapter import Fitted as Fit
from tidegate.training.adapter import Job, adapter, train
from tidegate.training.environment import environment
from tidegate.training.steps import group_steps, not_finite


def run(case: Case) -> Done:
    """The candidate, stored, and the evidence on how it came to be."""
    update = case.update
    plan = case.earlier(Stage.PLAN, PlanEvidence)
    if plan.strategy is Strategy.IMPORT:
        return _done(case, import_evidence(case, _parent_params(case, plan.parent)))
    parent = load_fitted(case.home, update.model, plan.parent)
    began = time.monotonic()
    rows = training_rows(case, plan)
    fitted, fit = fit_candidate(update.spec, plan, rows, parent, case.progress("training"))
    manifest = fitted.commit(case.home.objects, near(case.home, update.model))
    evidence = TrainEvidence(
        version=update.number,
        params=manifest.id,
        parent_params=_parent_params(case, plan.parent),
        strategy=plan.strategy,
        rows=rows.height,
        seed=update.spec.policy.training.seed,
        settings=fit.settings,
        curve=fit.curve,
        converged=fit.converged,
        finite=not not_finite(fitted.state),
        steps=group_steps(parent.state if parent else None, fitted.state, set(plan.frozen_groups)),
        environment=environment(),
        seconds=round(time.monotonic() - began, 3),
    )
    return _done(case, evidence)


def training_rows(case: Case, plan: PlanEvidence) -> pl.DataFrame:
    """Cleaned, labelled rows to train on: all but the hold-out of the newest snapshot."""
    spec, contract = case.update.spec, _contract(case)
    newest = newest_frame(case)
    frames = [newest[split_of(spec, newest).train.tolist()]]
    cleaning = case.earlier(Stage.PREPARE, PrepareEvidence).cleaning
    with case.home.journal.read() as reader:
        earlier = [find_snapshot(reader, past) for past in plan.snapshots[:-1]]
    for past in reversed(earlier):
        frame = load_snapshot(case.home.objects, past)
        # By the contract of the newest, or a column of codes would be text here and numbers there.
        frames.insert(0, clean(frame, spec, contract, cleaning)[0].drop_nulls(spec.target))
    return stacked(frames)


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


def fit_candidate(
    spec: ModelSpec,
    plan: PlanEvidence,
    rows: pl.DataFrame,
    parent: Fitted | None,
    progress: Callable[[int, int], None],
) -> tuple[Fitted, Fit]:
    """Parameters trained as planned on labelled rows; pure but for the CPU it burns.

    A full update fits the feature transform anew; the others keep the parent's, since their
    parameters continue behind it.
    """
    assert spec.task is not None and spec.target is not None  # noqa: S101, PT018
    how = adapter(spec.adapter)
    if plan.strategy is Strategy.FULL or parent is None:
        transform = fit_transform(rows, spec, keep_missing=how.keeps_missing)
        x = training_features(transform, rows, spec)
    else:
        transform = parent.transform
        x = transform.apply(rows)
    job = Job(
        task=spec.task,
        strategy=plan.strategy,
        parent=parent.state if parent else None,
        trainable_groups=plan.trainable_groups,
        key_groups=plan.key_groups,
        settings=spec.policy.training.settings,
        seed=spec.policy.training.seed,
        progress=progress,
    )
    fit = train(how, x, np.asarray(rows[spec.target].to_numpy()), job)
    return Fitted(spec.adapter, fit.state, transform), fit


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
