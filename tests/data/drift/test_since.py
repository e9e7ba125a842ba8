from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated, since
from tidegate.data.profile.categories import group_of
from tidegate.data.profile.hashing import text_hashes
from tidegate.data.profile.profile import profile_of
from tidegate.domain.schema import Kind


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


def test_a_jump_of_many_times_is_found_to_the_row():
    random = np.random.default_rng(0)
    seconds = random.integers(0, 10**8, 20_000) + 10**9 * (np.arange(20_000) >= 17_000)
    times = np.datetime64("2001-01-01", "us") + seconds.astype("m8[s]")
    table = pl.DataFrame({"when": times})
    table = table.with_columns(pl.col("when").dt.strftime(" %Y-%m-%d %H:%M:%S"))
    found = _report(table[:10_000], table[10_000:])["when"]
    assert (found.kind, _place(found)) == (Kind.DATE, ("current", 7000))


def _ids(draw, rows):
    numbers = np.concatenate(draw)
    gone = np.arange(rows) % 97 == 0
    return pl.DataFrame(
        {"id": [None if no else f" u{n}" for n, no in zip(numbers, gone, strict=True)]}
    )


def test_names_that_are_too_many_to_name_are_asked_those_that_moved_or_their_groups():
    random = np.random.default_rng(0)
    fewer = [random.integers(0, 30_000, 37_000), random.integers(0, 3000, 23_000)]
    others = [random.integers(0, 10**9, 37_000), random.integers(0, 20, 23_000) + 10**9]
    scattered = [random.integers(0, 20, 37_000), random.integers(0, 10**9, 23_000)]
    for draw in (fewer, others, scattered):
        table = _ids(draw, 60_000)
        side, row = _place(_report(table[:30_000], table[30_000:])["id"])
        assert side == "current"
        assert abs(row - 7000) < 30


def test_where_no_name_moved_for_sure_its_group_is_asked():
    random = np.random.default_rng(0)
    ids = random.integers(0, 10**9, 60_000)
    names = pl.Series([f"u{n}" for n in ids])
    low = group_of(text_hashes(names)) < 128
    kept = np.concatenate([np.arange(37_000), 37_000 + np.flatnonzero(low[37_000:])])
    table = pl.DataFrame({"id": names[kept]})
    side, row = _place(_report(table[:30_000], table[30_000:])["id"])
    assert (side, row) == ("current", pytest.approx(7000, abs=30))


_ANSWERS = st.lists(st.booleans(), min_size=1, max_size=60)


@given(_ANSWERS, _ANSWERS, st.integers(1, 17), st.sampled_from([8, 16, 1024]))
def test_it_is_the_place_that_a_search_of_all_would_find(a, b, size, block):
    both = np.array(a + b, float)
    total = len(both)
    apart = [
        abs(both[:k].mean() - both[k:].mean()) * np.sqrt(k * (total - k)) for k in range(1, total)
    ]
    tables = [pl.DataFrame({"x": side}) for side in (a, b)]
    with mock.patch("tidegate.data.drift.since._BLOCK", block):
        found = since(
            *(table.iter_slices(size) for table in tables), {"x": lambda series: series.to_numpy()}
        )["x"]
    k = found.row + (len(a) if found.side == "current" else 0)
    assert apart[k - 1] == pytest.approx(max(apart))
