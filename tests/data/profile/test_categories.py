import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.profile import categories
from tidegate.data.profile.categories import GROUPS, KEPT, NAMED, Categories


def _tally(texts, size=1000):
    stream = Categories()
    series = pl.Series("c", texts, dtype=pl.String)
    for start in range(0, len(series), size):
        stream.add(series[start : start + size])
    return stream.tally()


def _same(a, b):
    assert a.names == b.names
    assert a.counts.tolist() == b.counts.tolist()
    assert (a.missing, a.lost, a.held, a.distinct) == (b.missing, b.lost, b.held, b.distinct)
    assert (a.more is None) == (b.more is None)
    for part in ("groups", "lengths", "hashes"):
        assert getattr(a.beyond, part).tolist() == getattr(b.beyond, part).tolist()


def test_few_categories_are_counted_by_name():
    found = _tally(["b", "a", " b ", None, "", "  ", "a", "c\n"])
    assert (found.names, found.counts.tolist(), found.missing) == (["a", "b", "c"], [2, 2, 1], 3)
    assert (found.distinct, found.held, found.more) == (3, 5, None)


_TEXTS = st.lists(st.none() | st.text(max_size=12) | st.sampled_from("abc"), max_size=40)


@given(_TEXTS, _TEXTS, st.integers(1, 9))
@settings(max_examples=100)
def test_two_streams_taken_together_are_one(a, b, size):
    _same(_tally(a, size).plus(_tally(b, size)), _tally(a + b))


@pytest.mark.parametrize("cut", [0, 1, 5_000, 30_000, 59_999])
def test_many_categories_are_counted_exactly_in_groups(cut):
    # 40,000 names, the first hundred of them far more often.
    numbers = np.concatenate([np.arange(40_000), np.arange(20_000) % 100])
    numbers = np.random.default_rng(0).permutation(numbers)
    texts = [f"n{number}" for number in numbers]
    whole = _tally(texts, 7000)
    assert (whole.held, len(whole.names)) == (60_000, KEPT)
    assert whole.more.groups.shape == (GROUPS,)
    assert whole.distinct == pytest.approx(40_000, rel=0.1)
    assert set(whole.names) >= {f"n{number}" for number in range(100)}
    lengths = np.bincount([len(text) for text in texts])
    assert whole.more.lengths.tolist() == lengths.tolist()
    both = _tally(texts[:cut]).plus(_tally(texts[cut:]))
    for part in ("groups", "lengths", "hashes"):
        assert getattr(both.more, part).tolist() == getattr(whole.more, part).tolist()
    # A named count is too low by what was lost, at most, and never too high.
    for found in (whole, both):
        true = dict(zip(*np.unique(texts, return_counts=True), strict=True))
        for name, count in zip(found.names, found.counts, strict=True):
            assert true[name] - found.lost <= count <= true[name]


def test_memory_does_not_grow_with_categories():
    stream = Categories()
    for turn in range(30):
        stream.add(pl.Series([f"{turn}-{n}" for n in range(20_000)]))
        held = sum(table.height for table in stream._waiting)
        assert held <= categories._PENDING + 20_000
    assert len(stream.tally().names) <= NAMED
    assert stream.tally().held == 600_000
