import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.distribution import distribution, quantile, thinned
from tidegate.domain.schema import Kind

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80)


def _share_up_to(given, point):
    return given.counts[given.values <= point].sum() / given.held


def test_what_counts_as_missing():
    held = distribution(pl.Series("x", [2.0, 1.0, 2.0, float("nan"), float("inf"), None]))
    assert (held.values.tolist(), held.counts.tolist(), held.missing) == ([1, 2], [1, 2], 3)
    assert (held.rows, held.held, held.kind) == (6, 3, Kind.NUMERIC)
    texts = distribution(pl.Series("x", ["b", " b", "", "  ", None, "a"]))
    assert (texts.values.tolist(), texts.counts.tolist(), texts.missing) == (["a", "b"], [1, 2], 3)
    assert distribution(pl.Series("x", [None, None])).rows == 2


def test_numbers_as_categories():
    held = distribution(pl.Series("x", [10.0, 9.0, 2.5, 10.0, None])).as_categories()
    assert dict(zip(held.values, held.counts, strict=True)) == {"10": 2, "9": 1, "2.5": 1}
    assert held.values.tolist() == sorted(held.values)
    assert held.missing == 1


@given(NUMBERS, st.integers(1, 20))
@settings(max_examples=150)
def test_thinning_keeps_every_share_within_its_error(numbers, points):
    whole = distribution(pl.Series("x", numbers))
    few = thinned(whole, points)
    assert len(few.values) <= max(points, 1)
    assert few.held == whole.held
    for value in whole.values:
        apart = _share_up_to(whole, value) - _share_up_to(few, value)
        assert -1e-12 <= apart <= few.error + 1e-12
    for value in few.values:
        assert abs(_share_up_to(whole, value) - _share_up_to(few, value)) < 1e-12
    assert few.values[-1] == whole.values[-1]


@given(NUMBERS, st.floats(0.001, 1))
@settings(max_examples=100)
def test_a_quantile_is_the_first_value_that_reaches_the_share(numbers, share):
    whole = distribution(pl.Series("x", numbers))
    value = quantile(whole, share)
    assert _share_up_to(whole, value) >= share - 1e-9
    below = whole.values[whole.values < value]
    assert len(below) == 0 or _share_up_to(whole, below[-1]) < share
    assert quantile(whole, 0.5) == np.sort(numbers)[(len(numbers) + 1) // 2 - 1]
