import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.profile.numbers import POINTS, Numbers

ROWS = 200_000


def _brief(values, size=1 << 16):
    stream = Numbers()
    for start in range(0, len(values), size):
        stream.add(values[start : start + size])
    return stream.brief()


def _off(summary, values):
    """How far the summary's shares are from the truth, at any point."""
    true = np.sort(values)
    ends = np.cumsum(summary.counts) / len(true)
    below = np.searchsorted(true, summary.values, side="right") / len(true)
    return float(np.max(np.abs(below - ends), initial=0.0))


def _columns():
    random = np.random.default_rng(0)
    normal = random.standard_normal(ROWS)
    return {
        "normal": normal,
        "far from zero": 1e9 + normal,
        "lognormal": random.lognormal(0, 1, ROWS),
        "very skewed": random.lognormal(0, 3, ROWS),
        "no variance": random.standard_t(1, ROWS),
        "many zeros": np.where(random.random(ROWS) < 0.3, 0.0, normal),
        "whole numbers": random.integers(0, 50, ROWS).astype(float),
        "a trend": np.arange(ROWS) + normal,
        "two places": np.concatenate([normal[: ROWS // 2], 5 + 1e-6 * normal[ROWS // 2 :]]),
        "huge": normal * 1e300,
        "tiny": normal * 1e-310,
        "both ends": np.where(normal > 0, 1.7e308, -1.7e308),
    }


@pytest.mark.parametrize("name", _columns())
def test_shares_are_as_exact_as_they_say(name):
    values = _columns()[name]
    found = _brief(values)
    assert found.summary.rows == ROWS
    assert len(found.summary.values) <= POINTS
    assert np.all(found.summary.values[1:] > found.summary.values[:-1])
    assert _off(found.summary, values) <= found.summary.error < 0.005
    few = len(np.unique(values)) <= POINTS
    assert (found.summary.error == 0) == few
    size = np.abs(values).max()
    assert found.moments.mean == pytest.approx(np.mean(values / size) * size, rel=1e-9)
    assert found.moments.sd == pytest.approx(np.std(values / size) * size, rel=1e-9)
    assert (found.moments.minimum, found.moments.maximum) == (values.min(), values.max())


def test_most_numbers_are_counted_without_sorting(monkeypatch):
    # An eighth of the first batch is, and of each what lies beyond the cells: a thousandth or so.
    sizes = []
    sort = np.sort

    def counted(values):
        sizes.append(len(values))
        return sort(values)

    monkeypatch.setattr(np, "sort", counted)
    _brief(_columns()["normal"])
    assert sizes[0] == 1 << 13
    assert sum(sizes[1:]) < 0.01 * ROWS


def test_whole_numbers_are_counted_one_by_one_until_others_come():
    random = np.random.default_rng(0)
    values = random.integers(-40_000, 40_000, ROWS).astype(float)
    small = values[np.abs(values) < 15_000]
    found = _brief(small)
    assert 0 < found.summary.error <= 2 / POINTS  # of thinning alone
    few = np.concatenate([random.integers(-9, 9, ROWS), [0.5]]).astype(float)
    found = _brief(few)
    known, counts = np.unique(few, return_counts=True)
    assert found.summary.error == 0
    assert found.summary.values.tolist() == known.tolist()
    assert found.summary.counts.tolist() == counts.tolist()


def test_missing_and_infinite_numbers_are_counted_apart():
    values = np.array([1.0, math.nan, math.inf, -math.inf, 2.0, math.nan, -0.0, 0.0])
    found = _brief(values, size=3)
    assert (found.missing, found.infinite) == (2, 2)
    assert found.summary.values.tolist() == [0.0, 1.0, 2.0]
    assert found.summary.counts.tolist() == [2, 1, 1]
    assert math.copysign(1, values[6]) < 0  # what was given stays as it was


@pytest.mark.parametrize(
    ("values", "rising"),
    [
        ([1, 2, 2, 3, 9], True),
        ([1, 2, 2, 3, 2], False),
        ([3, 1, 2], False),
        ([math.nan, 1, math.nan, 2], True),
        ([], True),
    ],
)
def test_counters_are_told_from_other_numbers(values, rising):
    for size in (1, 2, 9):
        assert _brief(np.array(values, float), size).rising == rising


_NUMBERS = st.lists(st.floats(width=16) | st.sampled_from([0.0, 1.0, 1e300]), max_size=60)


@given(_NUMBERS, _NUMBERS, st.integers(1, 20))
@settings(max_examples=150)
def test_two_streams_taken_together_are_one(a, b, size):
    a, b = np.array(a, float), np.array(b, float)
    apart, whole = _brief(a, size).plus(_brief(b, size)), _brief(np.concatenate([a, b]), 1000)
    assert apart.summary.values.tolist() == whole.summary.values.tolist()
    assert apart.summary.counts.tolist() == whole.summary.counts.tolist()
    assert (apart.missing, apart.infinite) == (whole.missing, whole.infinite)
    assert apart.rising == whole.rising
    ends = [
        None if end is not None and math.isnan(end) else end for end in (whole.first, whole.last)
    ]
    assert [apart.first, apart.last] == ends
    assert apart.moments.rows == whole.moments.rows
    assert apart.moments.mean == pytest.approx(whole.moments.mean, rel=1e-9, abs=1e-9)
    assert apart.moments.sd == pytest.approx(whole.moments.sd, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["normal", "very skewed", "a trend"])
def test_profiles_of_parts_stay_within_their_bound(name):
    values = _columns()[name]
    parts = [_brief(part) for part in np.array_split(values, 5)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.plus(part)
    assert whole.summary.rows == ROWS
    assert _off(whole.summary, values) <= whole.summary.error < 0.01
