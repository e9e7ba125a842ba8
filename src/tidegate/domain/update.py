"""An update: the case file, and the state machine that moves it from gate to gate."""

from enum import StrEnum

from tidegate.domain.canonical import digest
from tidegate.domain.errors import Conflict
from tidegate.domain.evidence import Evidence, ReleaseEvidence
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Approval
from tidegate.domain.stage import Stage


class Outcome(StrEnum):
    """How an update ends."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"


class Level(StrEnum):
    """How much a finding weighs."""

    NOTE = "note"
    WARN = "warn"
    REFUSE = "refuse"


class Finding(Frozen):
    """One thing a gate saw. ``code`` is stable and for machines, ``message`` for people."""

    code: str
    level: Level
    message: Message


class Verdict(Frozen):
    """A gate's answer: it passes unless a finding refuses."""

    stage: Stage
    passed: bool
    findings: list[Finding] = []


class Filed(Frozen):
    """A finished stage in the case file: the evidence's digest and the verdict on it."""

    stage: Stage
    evidence: str
    verdict: Verdict


class Update(Frozen):
    """A case file. ``spec`` is the model as declared when it was opened, policy included.

    ``number`` counts the model's case files and numbers the version this one makes: update
    ``credit-4`` makes ``credit@4``. ``stage`` is the one it stands before; ``waiting`` says for
    what, where it waits.
    """

    id: str
    model: str
    number: int
    spec: ModelSpec
    proposer: str
    reason: str
    requested: str
    snapshot: str | None = None
    source: str | None = None  # manifest id of imported parameters
    source_file: str | None = None  # name of the file that they came from
    opened_at: str
    changed_at: str
    stage: Stage = Stage.PREPARE
    outcome: Outcome | None = None
    filed: list[Filed] = []
    approvals: list[Approval] = []
    refusal: Approval | None = None
    champion: int | None = None  # the version in production when the case was opened
    waiting: Message | None = None
    withdrawn_because: str | None = None

    @property
    def case_digest(self) -> str:
        """What an approval signs: the model as declared, and every finished stage but approval.

        It stays the same while approvals come in, and changes with any byte of evidence.
        """
        before = [f for f in self.filed if f.stage not in _AFTER_APPROVAL]
        return digest(
            {
                "update": self.id,
                "spec": self.spec.model_dump(mode="json"),
                "reason": self.reason,
                "evidence": [[f.stage, f.evidence] for f in before],
            }
        )

    def evidence_digest(self, stage: Stage) -> str | None:
        """The digest of a finished stage's evidence, or None."""
        return next((f.evidence for f in self.filed if f.stage is stage), None)

    def open_or_refuse(self) -> None:
        """Raise Conflict where the update has ended."""
        if self.outcome is not None:
            raise Conflict(
                "update {update} has ended: {outcome}",
                do="start a new one with: tidegate update start {model}"
                if self.spec.trains
                else "bring new parameters in with: tidegate params import {model} FILE "
                "--reason TEXT",
                update=self.id,
                outcome=say(self.outcome),
                model=self.model,
            )


_AFTER_APPROVAL = (Stage.APPROVE, Stage.RELEASE, Stage.OBSERVE)


def advance(update: Update, evidence: Evidence, verdict: Verdict, now: str) -> Update:
    """The update after a stage: one stage further, or ended.

    A refused gate ends it as rejected; after the rollout has begun, as rolled back: not where the
    release gate refused it before anything was released. Raises Conflict where the evidence is
    not of the stage the update stands before.
    """
    update.open_or_refuse()
    if evidence.stage is not update.stage or verdict.stage is not update.stage:
        raise Conflict(
            "update {update} stands before {stage}, not {given}",
            do="resume it with: tidegate update resume {update}",
            update=update.id,
            stage=say(update.stage),
            given=say(evidence.stage),
        )
    outcome = None
    following = update.stage.following
    if not verdict.passed:
        begun = update.stage is Stage.OBSERVE or (
            isinstance(evidence, ReleaseEvidence) and evidence.begun
        )
        outcome = Outcome.ROLLED_BACK if begun else Outcome.REJECTED
    elif following is None:
        outcome = Outcome.COMPLETED
    filed = Filed(stage=update.stage, evidence=digest(evidence), verdict=verdict)
    return update.model_copy(
        update={
            "filed": [*update.filed, filed],
            "stage": update.stage if outcome else following,
            "outcome": outcome,
            "waiting": None,
            "changed_at": now,
        }
    )
