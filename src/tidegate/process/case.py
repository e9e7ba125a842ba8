"""What a stage is given, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tidegate.domain.evidence import (
    ApproveEvidence,
    AssessEvidence,
    Evidence,
    PlanEvidence,
    PrepareEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.process.home import Home

E = TypeVar(
    "E",
    PrepareEvidence,
    PlanEvidence,
    TrainEvidence,
    ValidateEvidence,
    AssessEvidence,
    ApproveEvidence,
)


@dataclass(frozen=True)
class Case:
    """An open case file at the stage that runs now."""

    home: Home
    update: Update

    def earlier(self, stage: Stage, type_: type[E]) -> E:
        """The evidence of a stage that is finished."""
        digest = self.update.evidence_digest(stage)
        assert digest is not None, stage  # noqa: S101 - the state machine orders stages
        with self.home.journal.read() as reader:
            evidence = reader.evidence(digest)
        assert isinstance(evidence, type_)  # noqa: S101
        return evidence

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A callback for one long piece of work."""
        message = say(what)
        return lambda done, total: self.home.progress(message, done, total)


@dataclass(frozen=True)
class Write:
    """A document to write beside the stage's evidence: ``was`` guards against a lost update."""

    document: Frozen
    event: str
    was: Frozen | None = None


@dataclass(frozen=True)
class Done:
    """The stage is finished: its evidence, and what is written in the same transaction."""

    evidence: Evidence
    writes: list[Write] = field(default_factory=list)


@dataclass(frozen=True)
class Waiting:
    """The stage cannot finish yet, and why."""

    why: Message


@dataclass(frozen=True)
class First:
    """The stage goes on when another update, which only needs to be run, has got on."""

    update: str
