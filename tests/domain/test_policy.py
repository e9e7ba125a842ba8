"""Policies: presets laid under what is given, and every default explained."""

import pytest
from pydantic import BaseModel, ValidationError

from tidegate.domain.policy import PRESETS, Policy, Preset


def test_the_presets_differ_where_interface_md_says():
    fast, standard, strict = (Policy(preset=p) for p in ("fast", "standard", "strict"))
    assert (fast.approval.free_tier, standard.approval.free_tier) == (1, 0)
    assert (standard.approval.approvers, standard.approval.distinct_teams) == (1, False)
    assert (strict.approval.approvers, strict.approval.distinct_teams) == (2, True)
    assert strict.validation.undecided == "refuse"


def test_every_preset_is_a_policy():
    assert set(PRESETS) == {str(preset) for preset in Preset}
    for preset in PRESETS:
        again = Policy.model_validate(Policy(preset=preset).model_dump(mode="json"))
        assert again == Policy(preset=preset)


def test_what_is_given_wins_over_the_preset():
    policy = Policy.model_validate({"preset": "strict", "approval": {"approvers": 3}})
    assert policy.approval.approvers == 3
    assert policy.approval.distinct_teams is True


def test_every_default_is_explained():
    for name, section in Policy.model_fields.items():
        if isinstance(section.annotation, type) and issubclass(section.annotation, BaseModel):
            for key, field in section.annotation.model_fields.items():
                assert field.description, f"{name}.{key}"
                assert len(field.description) > 30, f"{name}.{key}"


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "loose"},
        {"validation": {"margin": -1}},
        {"approval": {"approvers": 99}},
        {"training": {"holdout_share": 1.0}},
        {"training": {"window_snapshots": 0}},
        {"nonsense": {}},
        {"data": 7},
    ],
)
def test_what_makes_no_sense_is_refused(given):
    with pytest.raises(ValidationError):
        Policy.model_validate(given)
