"""The assess and approve gates: is the risk acceptable, and who has agreed?"""

from tidegate.domain.evidence import ApproveEvidence, AssessEvidence
from tidegate.domain.gates.findings import note, refuse
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import missing_approvals
from tidegate.domain.update import Finding, Level


def assess_gate(spec: ModelSpec, e: AssessEvidence) -> list[Finding]:
    """Is the risk tier acceptable?"""
    worst = max(e.risks, key=lambda risk: risk.likelihood * risk.impact)
    limit = spec.policy.approval.max_tier
    values = {"tier": e.tier, "score": e.score, "why": worst.why, "limit": limit}
    if e.tier > limit:
        return [
            refuse(
                "tier",
                "risk tier {tier} (score {score}): {why}; policy allows tier {limit}",
                **values,
            )
        ]
    return [note("tier", "risk tier {tier} (score {score}): {why}", **values)]


def approve_gate(spec: ModelSpec, e: ApproveEvidence) -> list[Finding]:
    """Enough approvals, by the right people, of exactly this case file?"""
    if e.refused_by is not None:
        return [
            refuse(
                "refused",
                "{person} refused: {reason}",
                person=e.refused_by,
                reason=e.refused_because,
            )
        ]
    policy = spec.policy.approval
    if e.tier <= policy.free_tier:
        return [note("free", "tier {tier} passes without a person under this policy", tier=e.tier)]
    gaps = missing_approvals(
        e.approvals,
        proposer=e.proposer,
        digest=e.digest,
        approvers_needed=policy.approvers,
        distinct_teams=policy.distinct_teams,
    )
    if gaps:
        return [Finding(code="approvals", level=Level.REFUSE, message=gap) for gap in gaps]
    people = [approval.person for approval in e.approvals]
    return [note("approved", "approved by {people}", people=people)]
