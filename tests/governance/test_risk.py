"""The risk register: read off the evidence, monotone in what went wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.evidence import (
    Imported,
    PlanEvidence,
    PrepareEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.strategy import Strategy
from tidegate.domain.validation import Interval
from tidegate.governance.risk import TIER_LIMITS, assess, tier_of

PREPARED = PrepareEvidence(snapshot="s", source_digest="")
PLAN = PlanEvidence(strategy=Strategy.INCREMENTAL, requested="auto", supported=[], why=[])
TRAINED = TrainEvidence(version=2, params="p", strategy=Strategy.INCREMENTAL)


def validated(low, value, high, flips=0.0):
    difference = Interval(value=value, low=low, high=high)
    return ValidateEvidence(judged=True, difference=difference, negative_flips=flips)


def assessed(validated, champion=1, trained=TRAINED):
    return assess(PREPARED, PLAN, trained, validated, champion=champion)


@pytest.mark.parametrize(
    ("score", "tier"), [(1, 1), (4, 1), (5, 2), (9, 2), (10, 3), (16, 4), (25, 4)]
)
def test_tiers(score, tier):
    assert tier_of(score) == tier
    assert TIER_LIMITS == (4, 9, 15)


def test_the_score_is_the_worst_risk():
    evidence = assessed(validated(-0.2, -0.1, 0.0, flips=0.2))
    assert evidence.score == max(r.likelihood * r.impact for r in evidence.risks) == 12
    assert evidence.tier == 3


def test_a_surely_better_candidate_is_low_risk():
    assert assessed(validated(0.01, 0.05, 0.1)).tier == 1


def test_parameters_from_elsewhere_are_riskier():
    foreign = TRAINED.model_copy(update={"strategy": Strategy.IMPORT})
    risks = {r.name: r.likelihood for r in assessed(validated(0, 0, 0), trained=foreign).risks}
    assert risks["security"] == 2


def test_a_first_version_has_nothing_to_go_back_to():
    evidence = assessed(validated(0.1, 0.2, 0.3), champion=None)
    assert evidence.rollback_to is None
    assert "no earlier version" in evidence.contingency.text()


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.2))
def test_a_better_difference_is_never_a_higher_score(value, gain, flips):
    better = assessed(validated(value + gain - 0.1, value + gain, value + gain + 0.1, flips))
    assert better.score <= assessed(validated(value - 0.1, value, value + 0.1, flips)).score


def imported(**facts):
    told = Imported(tensors=15, size_bytes=100, **facts)
    changes = {"strategy": Strategy.IMPORT, "imported": told}
    return assessed(ValidateEvidence(judged=False), trained=TRAINED.model_copy(update=changes))


def test_what_is_not_served_here_is_promised_no_canary():
    evidence = imported(parent=1, changed=3, changed_share=0.43)
    told = {risk.name: (risk.why.text(), risk.measure.text()) for risk in evidence.risks}
    assert "no canary" in told["performance"][1]
    assert "is not known here" in told["data"][0]
    assert told["reach"][0].startswith("3 of 15 tensors, 43.0% of all values")
    assert "nothing does so by itself" in evidence.contingency.text()


def test_the_less_changed_the_less_is_reached():
    reach = [next(r.likelihood for r in imported(parent=1, changed=n).risks if r.name == "reach")
             for n in (0, 1)]  # fmt: skip
    assert reach == [1, 2]
