"""The eight gates: policy and evidence in, verdict out. Nothing else is read, so all replay."""

from collections.abc import Callable
from typing import Any

from tidegate.domain.evidence import Evidence
from tidegate.domain.gates.data import prepare_gate
from tidegate.domain.gates.live import observe_gate, release_gate
from tidegate.domain.gates.people import approve_gate, assess_gate
from tidegate.domain.gates.training import plan_gate, train_gate
from tidegate.domain.gates.validation import validate_gate
from tidegate.domain.model import ModelSpec
from tidegate.domain.stage import Stage
from tidegate.domain.update import Finding, Level, Verdict

_GATES: dict[Stage, Callable[[ModelSpec, Any], list[Finding]]] = {
    Stage.PREPARE: prepare_gate,
    Stage.PLAN: plan_gate,
    Stage.TRAIN: train_gate,
    Stage.VALIDATE: validate_gate,
    Stage.ASSESS: assess_gate,
    Stage.APPROVE: approve_gate,
    Stage.RELEASE: release_gate,
    Stage.OBSERVE: observe_gate,
}


def gate(spec: ModelSpec, evidence: Evidence) -> Verdict:
    """The verdict on one evidence document under the model's policy; pure."""
    findings = _GATES[evidence.stage](spec, evidence)
    passed = all(finding.level is not Level.REFUSE for finding in findings)
    return Verdict(stage=evidence.stage, passed=passed, findings=findings)
