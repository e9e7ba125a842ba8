"""The risk register: read off the evidence, monotone in what went wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.evidence import (
    Interval,
    PlanEvidence,
    PrepareEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.strategy import Strategy
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
