"""Whether the record lets a version answer: made by its update, and approved as it stands."""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.domain.errors import IntegrityError, Refused
from tidegate.domain.evidence import (
    ApproveEvidence,
    Cleaning,
    PrepareEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.gates import gate
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome, Update
from tidegate.domain.validation import GoldenRequests
from tidegate.domain.version import Version
from tidegate.ledger.journal import Reader
from tidegate.process.history import find_version


class Cleared(NamedTuple):
    """A version that may answer, the model as its update declares it, and what its stages left."""

    version: Version
    spec: ModelSpec
    cleaning: Sequence[Cleaning]
    golden: GoldenRequests | None


def clear(reader: Reader, model: str, number: int) -> Cleared:
    """What the record says of version ``number``, read anew whoever asks for it.

    Its parameters are those that its update's training left, and that update passed the approval
    gate, which is asked again, for the case file as it stands: approvals sign a digest that every
    stage's evidence, and so the parameters' id, goes into. Raises Refused where it did not, or has
    ended otherwise than completed, IntegrityError where version and update contradict each other.
    """
    version = find_version(reader, model, number)
    update = reader.get(Update, version.update)
    trained = _evidence(reader, update, Stage.TRAIN)
    if (
        update is None
        or update.model != model
        or not isinstance(trained, TrainEvidence)
        or (trained.version, trained.params) != (number, version.params)
    ):
        raise IntegrityError(
            "version {version} does not hold the parameters that its update made",
            do="see what else is hurt with: tidegate audit verify; then restore a backup",
            version=version.name,
        )
    _check_approved(reader, version, update)
    prepared = _evidence(reader, update, Stage.PREPARE)
    validated = _evidence(reader, update, Stage.VALIDATE)
    return Cleared(
        version,
        update.spec,
        prepared.cleaning if isinstance(prepared, PrepareEvidence) else [],
        validated.golden if isinstance(validated, ValidateEvidence) else None,
    )


def _check_approved(reader: Reader, version: Version, update: Update) -> None:
    if update.outcome not in (None, Outcome.COMPLETED):
        raise Refused(
            "version {version} may not answer: update {update} has ended: {outcome}",
            do="route a version that was approved; see them with: tidegate params log {model}",
            version=version.name,
            update=update.id,
            outcome=say(update.outcome).model_dump(),
            model=update.model,
        )
    approved = _evidence(reader, update, Stage.APPROVE)
    if (
        not isinstance(approved, ApproveEvidence)
        or approved.digest != update.case_digest
        or not gate(update.spec, approved).passed
    ):
        raise Refused(
            "version {version} may not answer: update {update} is not approved as it stands",
            do="have it approved with: tidegate approve {update} --as NAME",
            version=version.name,
            update=update.id,
        )


def _evidence(reader: Reader, update: Update | None, stage: Stage) -> object:
    digest = update.evidence_digest(stage) if update is not None else None
    return None if digest is None else reader.evidence(digest)
