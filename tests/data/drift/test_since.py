import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated, since
from tidegate.data.profile.profile import profile_of


def _report(a, b):
    before, now = profile_of(a, "a"), profile_of(b, "b")
    found = dated(
        drift(before, now),
        before,
        now,
        (lambda _: a.iter_slices(700), lambda _: b.iter_slices(900)),
    )
    return {column.name: column for column in found.columns}


def _place(column):
    return (column.since.side, column.since.row)


@pytest.mark.parametrize("change", [1, 1500, 2999, 3000, 3001, 4200])
def test_the_row_is_found_whatever_changes_there(change):
    random, late = np.random.default_rng(0), np.arange(6000) >= change
    normal = random.normal(size=6000)
    table = pl.DataFrame(
        {
            "still": normal,
            "wakes": np.where(late, normal, 0.25),
            "moves": np.where(late, normal + 100, normal),
            "goes": np.where(late, None, "here"),
            "comes": np.where(late, random.choice(["x", "y"], 6000), "z"),
        },
        schema_overrides={"goes": pl.String},
    )
    found = _report(table[:3000], table[3000:])
    place = ("reference", change) if change < 3000 else ("current", change - 3000)
    assert found["still"].since is None
    for name in ("wakes", "moves", "goes", "comes"):
        if found[name].drifted:
            assert _place(found[name]) == place, name
    assert change > 4000 or change < 2 or all(found[name].drifted for name in ("wakes", "moves"))


def test_a_change_amid_noise_is_found_nearly():
    random = np.random.default_rng(1)
    x = random.normal(size=40_000) + 0.5 * (np.arange(40_000) >= 13_000)
    table = pl.DataFrame({"x": x})
    side, row = _place(_report(table[:20_000], table[20_000:])["x"])
    assert side == "reference"
    assert abs(row - 13_000) < 200


_ANSWERS = st.lists(st.booleans(), min_size=1, max_size=60)


@given(_ANSWERS, _ANSWERS, st.integers(1, 17))
def test_it_is_the_place_that_a_search_of_all_would_find(a, b, size):
    both = np.array(a + b, float)
    total = len(both)
    apart = [
        abs(both[:k].mean() - both[k:].mean()) * np.sqrt(k * (total - k)) for k in range(1, total)
    ]
    tables = [pl.DataFrame({"x": side}) for side in (a, b)]
    found = since(
        *(table.iter_slices(size) for table in tables), {"x": lambda series: series.to_numpy()}
    )["x"]
    k = found.row + (len(a) if found.side == "current" else 0)
    assert apart[k - 1] == pytest.approx(max(apart))
