"""Gates: pure, replayable, and refusing exactly what policy says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.evidence import (
    ApproveEvidence,
    AssessEvidence,
    Leak,
    ObserveEvidence,
    PlanEvidence,
    PrepareEvidence,
    ReleaseEvidence,
    Risk,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.gates import gate
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Approval
from tidegate.domain.rollout import Step, Tally
from tidegate.domain.schema import Breach
from tidegate.domain.strategy import Strategy
from tidegate.domain.validation import Interval, SegmentScore
from tidegate.domain.version import GroupStep


def spec(**policy):
    return ModelSpec.model_validate(
        {"model": "m", "adapter": "sklearn.mlp", "task": "binary", "target": "y", "policy": policy}
    )


STANDARD = spec()


def codes(verdict):
    return {finding.code for finding in verdict.findings if finding.level == "refuse"}


def prepared(**changed):
    facts = {
        "snapshot": "s-1",
        "source_digest": "a",
        "rows": 500,
        "labelled_rows": 500,
        "classes": 2,
    }
    return PrepareEvidence(**(facts | changed))


def breach(rule, severity="refuse", share=0.1):
    return Breach(column="a", rule=rule, severity=severity, count=5, share=share, rows=[0],
                  examples=[1], message=say("broken"))  # fmt: skip


LEAK = Leak(kind="repeats", share=0.1, rows=[3], message=say("seen before"))


@pytest.mark.parametrize(
    ("evidence", "policy", "refused"),
    [
        (prepared(), {}, set()),
        (prepared(labelled_rows=29), {}, {"too_few_rows"}),
        (prepared(classes=1), {}, {"one_class"}),
        (prepared(breaches=[breach("range")]), {}, {"contract.range"}),
        (prepared(breaches=[breach("range", "warn")]), {}, set()),
        (prepared(breaches=[breach("range")]), {"data": {"max_breach_share": 0.2}}, set()),
        (prepared(breaches=[breach("kind")]), {"data": {"max_breach_share": 0.2}},
         {"contract.kind"}),
        *[
            (prepared(breaches=[breach(rule, share=0.1)]), {"data": {"max_breach_share": 0.2}},
             {f"contract.{rule}"})
            for rule in ("freshness", "coverage", "unchecked", "extra_column", "missing_column")
        ],
        (prepared(breaches=[breach("freshness", "warn")]), {}, set()),
        (prepared(breaches=[breach("unique")]), {"data": {"max_breach_share": 0.2}}, set()),
        (prepared(age_days=9.0), {"data": {"max_age_days": 7}}, {"stale"}),
        (prepared(age_days=None), {"data": {"max_age_days": 7}}, {"no_time"}),
        (prepared(age_days=5.0), {"data": {"max_age_days": 7}}, set()),
        (prepared(leaks=[LEAK]), {}, set()),
        (prepared(leaks=[LEAK]), {"data": {"on_leak": "refuse"}}, {"leak.repeats"}),
        (PrepareEvidence(snapshot=None, source_digest="x"), {}, set()),
    ],
)  # fmt: skip
def test_prepare(evidence, policy, refused):
    verdict = gate(spec(**policy), evidence)
    assert codes(verdict) == refused
    assert verdict.passed is (not refused)


def test_plan():
    facts = {"requested": "hybrid", "supported": ["full"], "why": [say("asked")]}
    assert gate(STANDARD, PlanEvidence(strategy=Strategy.FULL, **facts)).passed
    assert codes(gate(STANDARD, PlanEvidence(strategy=Strategy.HYBRID, **facts))) == {"unsupported"}


def trained(**changed):
    facts = {"version": 2, "params": "p", "strategy": Strategy.INCREMENTAL, "rows": 100}
    return TrainEvidence(**(facts | changed))


def step(**changed):
    facts = {
        "group": "g",
        "frozen": False,
        "tensors": 1,
        "changed_tensors": 1,
        "relative_norm": 0.1,
    }
    return GroupStep(**(facts | changed))


@pytest.mark.parametrize(
    ("evidence", "refused"),
    [
        (trained(), set()),
        (trained(finite=False), {"not_finite"}),
        (trained(steps=[step(frozen=True)]), {"frozen_moved"}),
        (trained(steps=[step(frozen=True, changed_tensors=0, added_tensors=1)]), {"frozen_moved"}),
        (trained(steps=[step(frozen=True, changed_tensors=0)]), set()),
        (trained(steps=[step(relative_norm=0.2)]), {"step_too_large"}),
        (trained(steps=[step(relative_norm=0.2)], strategy=Strategy.FULL), set()),
        (trained(steps=[step(relative_norm=0.1)]), set()),
        (trained(converged=False), set()),
    ],
)
def test_train(evidence, refused):
    bounded = spec(training={"max_relative_step": 0.15})
    assert codes(gate(bounded, evidence)) == refused


def test_a_limit_that_cannot_be_applied_is_told():
    bounded = spec(training={"max_relative_step": 0.15})
    for changed, warns in ((1, True), (0, False)):
        unknown = step(relative_norm=None, changed_tensors=changed)
        findings = gate(bounded, trained(steps=[unknown])).findings
        assert ("step_unknown" in {finding.code for finding in findings}) is warns


def validated(value=0.0, low=-0.01, high=0.01, **changed):
    score = Interval(value=0.9, low=0.88, high=0.92)
    facts = {
        "judged": True, "metric": "accuracy", "greater_is_better": True, "rows": 400,
        "candidate": {"accuracy": score}, "champion": {"accuracy": score}, "champion_version": 1,
        "difference": Interval(value=value, low=low, high=high), "negative_flips": 0.01,
    }  # fmt: skip
    return ValidateEvidence(**(facts | changed))


@pytest.mark.parametrize(
    ("evidence", "policy", "refused"),
    [
        (validated(), {}, set()),
        (validated(-0.03, -0.04, 0.0), {}, {"worse"}),
        (validated(-0.01, -0.09, 0.05), {}, set()),  # too few rows to tell: people decide
        (validated(-0.01, -0.09, 0.05), {"undecided": "refuse"}, {"undecided"}),
        (validated(0.1, 0.05, 0.2), {"undecided": "refuse"}, set()),
        (validated(negative_flips=0.2), {}, {"negative_flips"}),
        (validated(0.1, -0.1, 0.2, champion_version=None, champion={}), {},
         {"no_better_than_baseline"}),
        (validated(0.1, -0.1, 0.2, champion_version=None, champion={}),
         {"must_beat_baseline": False}, set()),
        (validated(segments=[SegmentScore(segment="s=1", rows=80, champion=0.9, candidate=0.7,
                                          difference=-0.2)]), {}, {"segment_worse"}),
        (validated(segments=[SegmentScore(segment="s=1", rows=20, champion=0.9, candidate=0.7,
                                          difference=-0.2)]), {}, set()),
        (ValidateEvidence(judged=False), {}, set()),
    ],
)  # fmt: skip
def test_validate(evidence, policy, refused):
    assert codes(gate(spec(validation=policy), evidence)) == refused


def test_a_difference_within_the_margin_is_not_said_to_lie_inside_it():
    """The margin bounds how much worse it may be; a gain has no bound."""
    (note,) = gate(STANDARD, validated(0.2, 0.11, 0.26)).findings
    assert note.message.text().endswith("lies in [+0.110, +0.260], above -0.02, the margin")


@given(st.floats(-1, 1), st.floats(0, 0.5))
def test_a_better_candidate_passes_wherever_a_worse_one_does(value, gain):
    def at(value):
        return gate(STANDARD, validated(value, value - 0.05, value + 0.05)).passed

    assert at(min(1.0, value + gain)) >= at(value)


def test_assess():
    risk = Risk(name="r", likelihood=4, impact=5, why=say("x"), measure=say("y"))
    facts = {"risks": [risk], "score": 20, "contingency": say("go back")}
    assert gate(STANDARD, AssessEvidence(tier=4, **facts)).passed
    refused = gate(spec(approval={"max_tier": 3}), AssessEvidence(tier=4, **facts))
    assert not refused.passed


def approved(*people, **changed):
    facts = {"digest": "d", "tier": 2, "proposer": "ada"}
    signed = [Approval(person=p, team="business", digest="d", at="t") for p in people]
    return ApproveEvidence(**(facts | {"approvals": signed} | changed))


@pytest.mark.parametrize(
    ("evidence", "policy", "passes"),
    [
        (approved("wei"), {}, True),
        (approved(), {}, False),
        (approved("ada"), {}, False),
        (approved("wei", refused_by="kim", refused_because="no"), {}, False),
        (approved(tier=1), {"preset": "fast"}, True),
        (approved(tier=2), {"preset": "fast"}, False),
        (approved(tier=1), {}, False),
    ],
)
def test_approve(evidence, policy, passes):
    assert gate(spec(**policy), evidence).passed is passes


def released(**changed):
    facts = {
        "candidate": 2, "champion": 1, "validated_against": 1, "approved_digest": "d",
        "digest": "d",
        "steps": [Step(share=0.5, min_labels=10)],
        "tallies": [Tally(share=0.5, champion_labels=6, candidate_labels=6)],
    }  # fmt: skip
    return ReleaseEvidence(**(facts | changed))


@pytest.mark.parametrize(
    ("evidence", "refused"),
    [
        (released(), set()),
        (released(digest="e"), {"digest"}),
        (released(champion=3), {"champion_changed"}),
        (released(harm=100.0), {"harm"}),
        (released(harm=99.0), set()),
        (released(stopped_by="oli", reason=say("x")), {"stopped"}),
        (released(tallies=[Tally(share=0.5, champion_labels=3)]), {"steps"}),
        (released(tallies=[]), {"steps"}),
        (released(tallies=[], promoted_by="oli"), set()),
        (released(tallies=[Tally(share=0.5, champion_labels=20, candidate_failures=6)]),
         {"failures"}),
        (released(tallies=[], steps=[], champion=None, validated_against=None), set()),
    ],
)  # fmt: skip
def test_release(evidence, refused):
    assert codes(gate(STANDARD, evidence)) == refused


@pytest.mark.parametrize(
    ("evidence", "rollout", "codes_"),
    [
        (released(harm=100.0, alpha=0.005), {}, set()),
        (released(harm=200.0, alpha=0.005), {}, {"harm"}),
        (released(as_good=99.0), {}, set()),
        (released(as_good=99.0), {"margin": 0.25}, {"not_shown"}),
        (released(as_good=100.0), {"margin": 0.25}, set()),
        (released(), {"margin": 0.25}, {"not_shown"}),
        (released(promoted_by="oli"), {"margin": 0.25}, set()),
        (released(tallies=[], steps=[], champion=None, validated_against=None), {"margin": 0.25},
         set()),
        (released(tallies=[Tally(share=0.5, champion_labels=20, candidate_bad=11)]),
         {"max_harm": 10}, {"max_harm"}),
        (released(tallies=[Tally(share=0.5, champion_labels=20, champion_bad=1, candidate_bad=11)]),
         {"max_harm": 10}, set()),
    ],
)  # fmt: skip
def test_release_by_what_policy_asks(evidence, rollout, codes_):
    assert codes(gate(spec(rollout=rollout), evidence)) == codes_


def observed(low, high, **changed):
    live = Interval(value=(low + high) / 2, low=low, high=high)
    return ObserveEvidence(labels=200, metric="accuracy", live=live, expected=0.9, **changed)


@pytest.mark.parametrize(
    ("evidence", "passes"),
    [
        (observed(0.86, 0.92), True),
        (observed(0.75, 0.84), False),
        (observed(0.80, 0.86), True),  # within chance of the margin of 0.05
        (ObserveEvidence(), True),
        (ObserveEvidence(stopped_by="oli", reason=say("x")), False),
        (ObserveEvidence(labels=200, metric="mae", live=Interval(value=12, low=11, high=13),
                         expected=10.0, greater_is_better=False), False),
        (ObserveEvidence(labels=200, metric="mae", live=Interval(value=10.4, low=10, high=11),
                         expected=10.0, greater_is_better=False), True),
        (observed(0.86, 0.92, nulls=10), True),  # no more than the margin
        (observed(0.86, 0.92, nulls=11), False),
        (ObserveEvidence(nulls=1), False),
        (ObserveEvidence(nulls=1, closed_by="oli"), False),
    ],
)  # fmt: skip
def test_observe(evidence, passes):
    assert gate(STANDARD, evidence).passed is passes


def test_answers_that_are_no_number_are_bad_whatever_the_margin_is():
    loose = spec(observe={"margin": 3.0})  # of a regression's error
    assert codes(gate(loose, ObserveEvidence(nulls=40))) == {"no_number"}
    assert codes(gate(loose, observed(0.86, 0.92, nulls=40))) == set()
