"""Canonical JSON: one value, one byte string."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.canonical import canonical_json, digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_reading_it_back_gives_the_value(value):
    assert json.loads(canonical_json(value)) == value


@given(VALUES)
def test_it_is_its_own_canonical_form(value):
    once = canonical_json(value)
    assert canonical_json(json.loads(once)) == once


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(values):
    assert digest(values) == digest(dict(reversed(values.items())))


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {"a": math.nan}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)
