"""Parameter groups by pattern: every tensor in exactly one, the first that fits."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.groups import ALL, OTHERS, members

NAMES = st.lists(st.from_regex(r"[ab]{1,3}(\.[01])?", fullmatch=True), unique=True)
PATTERNS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["*", "a*", "?", "*.[0]"]))


@given(PATTERNS, NAMES)
def test_every_tensor_is_in_exactly_one_group(patterns, names):
    found = members(patterns, names)
    assert sorted(name for group in found.values() for name in group) == sorted(names)
    assert found.keys() - patterns.keys() <= {OTHERS if patterns else ALL}


def test_the_first_pattern_takes_it_and_case_counts():
    found = members({"first": "a*", "second": "*"}, ["a", "A", "ab.0"])
    assert found == {"first": ["a", "ab.0"], "second": ["A"]}
