"""Prepare: is the new data fit to learn from, and how does it differ from what came before?"""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from tidegate.data.cleaning.clean import as_read, clean
from tidegate.data.contract.contract import check_contract, require_columns
from tidegate.data.contract.infer import infer_contract
from tidegate.data.drift.concept import concept_drift
from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated
from tidegate.data.leakage import leaks
from tidegate.data.profile.json_file import kept
from tidegate.data.profile.profile import Profile, profile_of
from tidegate.data.snapshot import load_snapshot
from tidegate.data.split import Split, split
from tidegate.data.table import taken
from tidegate.data.time import time_of
from tidegate.domain.drift import ColumnDrift, ConceptDrift, Consistency
from tidegate.domain.errors import DataError
from tidegate.domain.evidence import PrepareEvidence, ValidateEvidence
from tidegate.domain.metrics import Task, losses
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.process.case import Case, Done
from tidegate.process.history import find_snapshot, find_version, learned_from
from tidegate.process.home import Home, Progress, silent
from tidegate.process.loading import load_fitted


def run(case: Case) -> Done:
    """Evidence on the snapshot this update names, against the champion's own data."""
    update = case.update
    if update.snapshot is None:
        return Done(PrepareEvidence(snapshot=None, source_digest=update.source or ""))
    with case.home.journal.read() as reader:
        snapshot = find_snapshot(reader, update.snapshot)
        history = learned_from(reader, update.model, update.champion)
    frame = load_snapshot(case.home.objects, snapshot)
    # The newest snapshot before this one is the reference: it is what production last learned.
    earlier = [past for past in history if past.id != snapshot.id]
    reference = load_snapshot(case.home.objects, earlier[-1]) if earlier else None
    evidence = examine(
        update.spec,
        snapshot,
        frame,
        reference,
        reference_id=earlier[-1].id if earlier else None,
        now=update.opened_at,
        known=known_profile(case.home, earlier[-1]) if earlier else None,
        progress=case.home.progress,
    )
    if evidence.consistency is not None:
        contract = contract_for(update.spec, reference)
        concept = _concept(case, clean(frame, update.spec, contract, evidence.cleaning)[0])
        seen = evidence.consistency.with_concept(concept)
        evidence = evidence.model_copy(update={"consistency": seen})
    return Done(evidence)


def _concept(case: Case, frame: pl.DataFrame) -> ConceptDrift | None:
    """How the champion errs on the new rows, against how it did on its own hold-out."""
    update, spec = case.update, case.update.spec
    assert spec.task is not None and spec.target is not None  # noqa: S101, PT018
    champion = load_fitted(case.home, update.model, update.champion)
    judged = _validation(case) if champion is not None else None
    labelled = frame.drop_nulls(spec.target)
    if champion is None or judged is None or not labelled.height:
        return None
    name = "mae" if spec.task is Task.REGRESSION else "accuracy"
    try:
        answers = champion.predictor().predict(labelled).values
    except DataError:
        return None  # the model file has left out a column since; it is no longer comparable
    policy = spec.policy
    return concept_drift(
        spec.task,
        judged.candidate[name],
        judged.rows,
        policy.validation.confidence,
        losses(spec.task, np.asarray(labelled[spec.target].to_numpy()), answers),
        policy.data,
    )


def _validation(case: Case) -> ValidateEvidence | None:
    """What the champion was found to do on its hold-out; None of one that was imported."""
    number = case.update.champion
    assert number is not None  # noqa: S101 - there is a champion
    with case.home.journal.read() as reader:
        update = reader.get(Update, find_version(reader, case.update.model, number).update)
        digest = update.evidence_digest(Stage.VALIDATE) if update is not None else None
        found = reader.evidence(digest) if digest is not None else None
    return found if isinstance(found, ValidateEvidence) and found.judged else None


def known_profile(home: Home, snapshot: Snapshot) -> Profile | None:
    """The profile that is kept of a snapshot; None of one from before profiles were kept."""
    return None if snapshot.profile is None else kept(home.objects, snapshot.profile)


def examine(
    spec: ModelSpec,
    snapshot: Snapshot,
    frame: pl.DataFrame,
    reference: pl.DataFrame | None,
    *,
    reference_id: str | None,
    now: str,
    known: Profile | None = None,
    progress: Progress = silent,
) -> PrepareEvidence:
    """What prepare finds out about a frame: quality, consistency, and how it will be split.

    ``now`` (ISO 8601) is what the age of the data counts from; ``known`` the reference's profile,
    where it is kept.
    """
    require_columns(frame, spec, snapshot.id)
    contract = contract_for(spec, reference)
    read = as_read(frame, spec)
    breaches = check_contract(read, contract, spec, now=now) if contract is not None else []
    if any(breach.rule in ("missing_column", "kind") for breach in breaches):
        # Nothing beyond can be computed on columns that are not what they were.
        return _evidence(spec, snapshot, frame, None, now=now, breaches=breaches)
    cleaned, cleaning = clean(frame, spec, contract)
    if reference is not None and spec.cleaning is not None:
        # What is kept is the profile of the rows as they came.
        reference, known = clean(reference, spec, contract, cleaning)[0], None
    parts = split_of(spec, cleaned)
    return _evidence(
        spec,
        snapshot,
        cleaned,
        parts,
        now=now,
        breaches=breaches,
        cleaning=cleaning,
        leaks=leaks(cleaned, parts, spec),
        consistency=_consistency(spec, reference, known, cleaned),
        reference=reference_id,
    )


def contract_for(spec: ModelSpec, reference: pl.DataFrame | None) -> Contract | None:
    """The contract in force: the model file's own, else one inferred from the reference."""
    if spec.contract is not None:
        return spec.contract
    return infer_contract(as_read(reference, spec), spec) if reference is not None else None


def split_of(spec: ModelSpec, frame: pl.DataFrame) -> Split:
    """Which labelled rows are trained on and which are kept for validation."""
    policy = spec.policy.training
    return split(frame, spec, policy.holdout_share, policy.seed, gap_days=policy.gap_days)


def _consistency(
    spec: ModelSpec,
    reference: pl.DataFrame | None,
    known: Profile | None,
    frame: pl.DataFrame,
) -> Consistency | None:
    if reference is None:
        return None
    before, now = known or profile_of(reference, "reference"), profile_of(frame, "current")
    # Time moves on by nature, and an entity key is new by nature: neither says drift.
    aside = spec.not_features | set(spec.time)
    columns = [name for name in frame.columns if name not in aside and name in reference.columns]
    found = drift(before, now, columns, target=spec.target, policy=spec.policy.data)
    rows = {"reference": reference, "current": frame}
    found = dated(
        found,
        before,
        now,
        (lambda names: [taken(reference, names)], lambda names: [taken(frame, names)]),
    )
    return found.model_copy(update={"columns": _timed(found.columns, spec, rows)})


def _timed(
    columns: list[ColumnDrift], spec: ModelSpec, rows: dict[str, pl.DataFrame]
) -> list[ColumnDrift]:
    """The same with the time of the row since which each has drifted, where rows have one."""
    if not spec.time:
        return columns
    told: dict[tuple[str, int], datetime] = {}
    for side, frame in rows.items():
        places = sorted({one.since.row for one in columns if one.since and one.since.side == side})
        if places:
            times = time_of(frame[places], spec.time)
            told |= {(side, row): time for row, time in zip(places, times, strict=True) if time}
    return [_told(column, told) for column in columns]


def _told(column: ColumnDrift, times: dict[tuple[str, int], datetime]) -> ColumnDrift:
    if column.since is None:
        return column
    time = times.get((column.since.side, column.since.row))
    since = column.since.model_copy(update={"time": time.isoformat() if time else None})
    return column.model_copy(update={"since": since})


def _evidence(
    spec: ModelSpec, snapshot: Snapshot, frame: pl.DataFrame, parts: Split | None, *,
    now: str, **found: object,
) -> PrepareEvidence:  # fmt: skip
    labelled = frame.drop_nulls(spec.target) if spec.target else frame
    classes = None
    if spec.task is not Task.REGRESSION and spec.target is not None:
        classes = labelled[spec.target].n_unique()
    return PrepareEvidence.model_validate(
        {
            "snapshot": snapshot.id,
            "source_digest": snapshot.digest,
            "rows": frame.height,
            "labelled_rows": labelled.height,
            "train_rows": len(parts.train) if parts else 0,
            "holdout_rows": len(parts.holdout) if parts else 0,
            "split": parts.how if parts else "none",
            "classes": classes,
            "age_days": _age_days(snapshot, now),
            **found,
        }
    )


def _age_days(snapshot: Snapshot, now: str) -> float | None:
    if snapshot.time_to is None:
        return None
    newest, then = datetime.fromisoformat(snapshot.time_to), datetime.fromisoformat(now)
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    return (then - newest).total_seconds() / 86400
