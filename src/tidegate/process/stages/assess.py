"""Assess: what could go wrong, how bad it would be, and what is in place against it."""

from tidegate.domain.evidence import PlanEvidence, PrepareEvidence, TrainEvidence, ValidateEvidence
from tidegate.domain.stage import Stage
from tidegate.governance.risk import assess
from tidegate.process.case import Case, Done


def run(case: Case) -> Done:
    """The risk register from the evidence of the stages before."""
    return Done(
        assess(
            case.earlier(Stage.PREPARE, PrepareEvidence),
            case.earlier(Stage.PLAN, PlanEvidence),
            case.earlier(Stage.TRAIN, TrainEvidence),
            case.earlier(Stage.VALIDATE, ValidateEvidence),
            champion=case.update.champion,
            drift_grade=case.update.spec.policy.data.drift_grade,
        )
    )
