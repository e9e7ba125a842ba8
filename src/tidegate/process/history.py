"""What versions learned from, and how, found again from the record."""

from collections.abc import Iterator

from tidegate.domain.errors import NotFound
from tidegate.domain.evidence import PlanEvidence, TrainEvidence
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.domain.version import Version
from tidegate.ledger.journal import Reader


def find_snapshot(reader: Reader, snapshot_id: str) -> Snapshot:
    """The snapshot of that id; raises NotFound."""
    snapshot = reader.get(Snapshot, snapshot_id)
    if snapshot is None:
        raise NotFound(
            "there is no snapshot '{snapshot}'",
            do="add the data with: tidegate data add MODEL FILE",
            snapshot=snapshot_id,
        )
    return snapshot


def find_version(reader: Reader, model: str, number: int) -> Version:
    """Version ``number`` of a model; raises NotFound naming those there are."""
    version = reader.get(Version, f"{model}@{number}")
    if version is None:
        known = [version.number for version in reader.all(Version, model)]
        raise NotFound(
            "there is no version {model}@{number}",
            do="these are there: {known}",
            model=model,
            number=number,
            known=known or ["-"],
        )
    return version


def learned_from(reader: Reader, model: str, number: int | None) -> list[Snapshot]:
    """All snapshots a version has learned from, oldest first; none for an imported version."""
    if number is None:
        return []
    update = reader.get(Update, find_version(reader, model, number).update)
    assert update is not None, number  # noqa: S101 - both are written in one transaction
    plan_digest = update.evidence_digest(Stage.PLAN)
    assert plan_digest is not None  # noqa: S101 - a version comes after its plan
    plan = reader.evidence(plan_digest)
    assert isinstance(plan, PlanEvidence)  # noqa: S101
    return [find_snapshot(reader, snapshot) for snapshot in plan.learned]


def trainings(reader: Reader, model: str, number: int | None) -> Iterator[TrainEvidence]:
    """How a version and those before it were trained, the newest first, up to an import."""
    while number is not None:
        version = find_version(reader, model, number)
        update = reader.get(Update, version.update)
        digest = update.evidence_digest(Stage.TRAIN) if update else None
        evidence = reader.evidence(digest) if digest else None
        if not isinstance(evidence, TrainEvidence) or evidence.imported is not None:
            return
        yield evidence
        number = version.parent
