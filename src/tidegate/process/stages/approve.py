"""Approve: waits for people, where policy asks for them, and files what they signed."""

from tidegate.domain.evidence import ApproveEvidence, AssessEvidence
from tidegate.domain.messages import Message, say
from tidegate.domain.people import missing_approvals
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.process.case import Case, Done, Waiting


def run(case: Case) -> Done | Waiting:
    """The approvals, once they suffice, or a refusal."""
    update = case.update
    tier = case.earlier(Stage.ASSESS, AssessEvidence).tier
    policy = update.spec.policy.approval
    evidence = ApproveEvidence(
        digest=update.case_digest,
        tier=tier,
        proposer=update.proposer,
        approvals=update.approvals,
        refused_by=update.refusal.person if update.refusal else None,
        refused_because=update.refusal.comment if update.refusal else None,
    )
    if update.refusal is not None or tier <= policy.free_tier:
        return Done(evidence)
    gaps = missing_approvals(
        update.approvals,
        proposer=update.proposer,
        digest=update.case_digest,
        approvers_needed=policy.approvers,
        distinct_teams=policy.distinct_teams,
    )
    if gaps:
        return Waiting(_asking(update, gaps[0]))
    return Done(evidence)


def _asking(update: Update, gap: Message) -> Message:
    """What is missing, how to see what is signed, and how to sign it."""
    if update.source is None:
        return say(
            "{gap}; approve with: tidegate approve {update} --as NAME", gap=gap, update=update.id
        )
    new = f"{update.model}@{update.number}"
    look = f"show {new}"
    if update.champion is not None:
        look = f"diff {update.model}@{update.champion} {new}"
    return say(
        "{gap}; see what it is with: tidegate params {look}; approve with: "
        "tidegate approve {update} --as NAME",
        gap=gap,
        look=look,
        update=update.id,
    )
