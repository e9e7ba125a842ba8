"""The state machine: eight stages in order, one way, and an end that stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import Conflict
from tidegate.domain.evidence import (
    ApproveEvidence,
    AssessEvidence,
    ObserveEvidence,
    PlanEvidence,
    PrepareEvidence,
    ReleaseEvidence,
    Risk,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Approval, missing_approvals
from tidegate.domain.rollout import Step
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Outcome, Update, Verdict, advance

RISK = Risk(name="r", likelihood=1, impact=1, why=say("x"), measure=say("y"))

EVIDENCE = {
    Stage.PREPARE: PrepareEvidence(snapshot=None, source_digest="a"),
    Stage.PLAN: PlanEvidence(strategy=Strategy.FULL, requested="full", supported=[], why=[]),
    Stage.TRAIN: TrainEvidence(version=1, params="p", strategy=Strategy.FULL),
    Stage.VALIDATE: ValidateEvidence(judged=False),
    Stage.ASSESS: AssessEvidence(risks=[RISK], score=1, tier=1, contingency=say("back")),
    Stage.APPROVE: ApproveEvidence(digest="d", tier=1, proposer="ada"),
    Stage.RELEASE: ReleaseEvidence(candidate=1, approved_digest="d", digest="d"),
    Stage.OBSERVE: ObserveEvidence(),
}


def opened(**changed):
    facts = {
        "id": "m-1", "model": "m", "number": 1, "spec": ModelSpec(model="m", adapter="tensors"),
        "proposer": "ada", "reason": "r", "requested": "auto", "opened_at": "t", "changed_at": "t",
    }  # fmt: skip
    return Update(**(facts | changed))


def passed(update, **refusing):
    stage = update.stage
    verdict = Verdict(stage=stage, passed=stage not in refusing.get("at", ()))
    return advance(update, EVIDENCE[stage], verdict, "later")


def test_eight_passed_gates_complete_it():
    update = opened()
    for stage in Stage:
        assert update.stage is stage
        update = passed(update)
    assert update.outcome is Outcome.COMPLETED
    assert [filed.stage for filed in update.filed] == list(Stage)


@given(st.sampled_from(list(Stage)))
def test_a_refusal_ends_it_there_and_for_good(refusing):
    update = opened()
    while update.outcome is None:
        update = passed(update, at=[refusing])
    on_traffic = refusing is Stage.OBSERVE  # the release below had not begun
    assert update.outcome is (Outcome.ROLLED_BACK if on_traffic else Outcome.REJECTED)
    assert update.stage is refusing
    with pytest.raises(Conflict, match="has ended"):
        passed(update)


@pytest.mark.parametrize("begun", [True, False])
def test_what_was_never_released_is_not_rolled_back(begun):
    steps = [Step(share=0.5, min_labels=10)] if begun else []
    evidence = EVIDENCE[Stage.RELEASE].model_copy(update={"steps": steps})
    refused = Verdict(stage=Stage.RELEASE, passed=False)
    ended = advance(opened(stage=Stage.RELEASE), evidence, refused, "later")
    assert ended.outcome is (Outcome.ROLLED_BACK if begun else Outcome.REJECTED)


@given(st.sampled_from(list(Stage)), st.sampled_from(list(Stage)))
def test_no_stage_is_skipped_or_done_twice(standing, given_stage):
    update = opened(stage=standing)
    if given_stage is standing:
        return
    with pytest.raises(Conflict, match="stands before"):
        advance(update, EVIDENCE[given_stage], Verdict(stage=given_stage, passed=True), "later")


def test_what_an_approval_signs_changes_with_every_byte_of_evidence():
    update = opened()
    seen = {update.case_digest}
    for _ in range(5):
        update = passed(update)
        assert update.case_digest not in seen
        seen.add(update.case_digest)
    changed = update.model_copy(update={"reason": "another"})
    assert changed.case_digest not in seen
    signed = update.model_copy(
        update={"approvals": [Approval(person="wei", team="business", digest="d", at="t")]}
    )
    assert signed.case_digest == update.case_digest
    assert passed(update).case_digest == update.case_digest  # filing the approval changes nothing


def approvals(*people):
    return [Approval(person=p, team=t, digest=d, at="t") for p, t, d in people]


@pytest.mark.parametrize(
    ("given_approvals", "needed", "distinct", "enough"),
    [
        ([], 0, False, True),
        ([], 1, False, False),
        ([("wei", "business", "d")], 1, False, True),
        ([("ada", "business", "d")], 1, False, False),
        ([("wei", "business", "other")], 1, False, False),
        ([("wei", "business", "d")] * 2, 2, False, False),
        ([("wei", "business", "d"), ("kim", "business", "d")], 2, False, True),
        ([("wei", "business", "d"), ("kim", "business", "d")], 2, True, False),
        ([("wei", "business", "d"), ("mei", "data", "d")], 2, True, True),
    ],
)
def test_who_must_agree(given_approvals, needed, distinct, enough):
    gaps = missing_approvals(
        approvals(*given_approvals),
        proposer="ada",
        digest="d",
        approvers_needed=needed,
        distinct_teams=distinct,
    )
    assert (gaps == []) is enough
