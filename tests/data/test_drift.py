import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.distribution import distribution
from tidegate.data.drift import EFFECT, auc_at, drift_report, effect_size, holm, p_value
from tidegate.data.joint import auc, separation
from tidegate.domain.errors import DataError


def _pair(a, b):
    return distribution(pl.Series("x", a)), distribution(pl.Series("x", b))


def _normal(seed, rows, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=rows)


@pytest.mark.parametrize(("rows", "shift"), [(20_000, 0.5), (5_000, 0.5), (200, 0.8), (50, 1.5)])
def test_a_shift_is_found(rows, shift):
    # Half a standard deviation has an index of 0.238. Few rows leave it uncertain: at 200 its
    # standard deviation is 0.1, so that a shift must be larger to be found nine times in ten.
    found = 0
    for seed in range(20):
        pair = _pair(_normal(seed, rows), _normal(1000 + seed, rows, shift))
        found += effect_size(*pair) >= EFFECT and p_value(*pair) < 0.01
    assert found >= 18


def test_the_index_of_a_shift_is_what_it_is_in_theory():
    # The exact index of a shift by d on ever finer bins is d squared; ten bins lose some of it.
    for shift in (0.2, 0.5, 1.0):
        size = effect_size(*_pair(_normal(1, 100_000), _normal(2, 100_000, shift)))
        assert 0.92 * shift**2 < size < 1.02 * shift**2


def test_a_report_names_what_moved():
    random = np.random.default_rng(0)
    a, b = (
        pl.DataFrame(
            {
                "still": random.normal(size=400),
                "moved": random.normal(shift, size=400),
                "city": random.choice(["Rome", "Oslo"], 400, p=[share, 1 - share]),
                "gaps": np.where(random.random(400) < gone, np.nan, random.normal(size=400)),
            }
        )
        for shift, share, gone in ((0, 0.5, 0.0), (1, 0.9, 0.4))
    )
    heard = []
    found = drift_report(a, b, a.columns, progress=lambda done, total: heard.append((done, total)))
    assert found.verdict == "drifted"
    assert {column.name for column in found.columns if column.drifted} == {"moved", "city", "gaps"}
    assert [column.effect for column in found.columns] == sorted(
        (column.effect for column in found.columns), reverse=True
    )
    details = {column.name: column.detail for column in found.columns}
    assert details["still"] is None
    assert details["moved"].text().startswith("median: ")
    assert "before" in details["city"].text()
    assert "missing: 0.0% before" in details["gaps"].text()
    assert found.joint.drifted
    assert "still" not in found.joint.columns[:3]
    assert heard == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_vanished_and_new_categories():
    a = ["Rome"] * 100 + ["Oslo"] * 100 + ["Bonn"] * 100
    gone, new = ["Rome"] * 150 + ["Oslo"] * 150, [*a, *["Paris"] * 150]
    for other, named in ((gone, "'Bonn': 33.3% before, 0.0% now"), (new, "'Paris': 0.0% before")):
        found = drift_report(pl.DataFrame({"c": a}), pl.DataFrame({"c": other}), ["c"])
        assert found.columns[0].drifted
        assert named in found.columns[0].detail.text()


def test_a_new_category_that_is_rare_is_no_drift():
    a, b = pl.DataFrame({"c": ["a", "b"] * 500}), pl.DataFrame({"c": ["a", "b"] * 500 + ["z"] * 5})
    assert drift_report(a, b, ["c"]).verdict == "consistent"


def test_columns_that_moved_only_together():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 2000))
    a = pl.DataFrame({"x": x, "y": 0.95 * x + 0.3 * y})
    b = pl.DataFrame({"x": x, "y": -0.95 * x + 0.3 * y})
    found = drift_report(a, b, ["x", "y"])
    assert not any(column.drifted for column in found.columns)
    assert found.joint.drifted
    assert set(found.joint.columns) == {"x", "y"}
    assert found.verdict == "drifted"


@pytest.mark.parametrize(("a", "b"), [(49, 500), (500, 49), (0, 500)])
def test_too_few_rows_are_not_judged(a, b):
    rows = pl.DataFrame({"x": np.arange(500.0)})
    found = drift_report(rows[:a], rows[:b] + 1000, ["x"])
    assert (found.verdict, found.columns) == ("too_little_data", [])
    assert (found.rows_reference, found.rows_current) == (a, b)


def test_a_column_on_one_side_only():
    rows = pl.DataFrame({"x": np.arange(60.0)})
    with pytest.raises(DataError, match="'y' is not on both sides"):
        drift_report(rows, rows.with_columns(y=1), ["x", "y"])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([None] * 60, [1.0] * 60),
        ([None] * 60, [None] * 60),
        (["a"] * 60, [None] * 60),
        ([1.0] * 60, ["x"] * 60),
        ([7] * 60, [7] * 60),
        ([float("inf")] * 60, [1e308, -1e308] * 30),
        ([1, 2] * 30, ["1", "2"] * 30),
    ],
    ids=["came", "never", "went", "kind", "constant", "extreme", "codes"],
)
def test_columns_of_nothing_or_of_another_kind(a, b):
    a, b = pl.DataFrame({"x": a}), pl.DataFrame({"x": b})
    found = drift_report(a, b, ["x"])
    same = distribution(a["x"]).as_categories().values.tolist() == (
        distribution(b["x"]).as_categories().values.tolist()
    )
    assert found.verdict == ("consistent" if same else "drifted")
    assert all(np.isfinite([column.effect, column.p_value]).all() for column in found.columns)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_is_no_smaller_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    for p, c in zip(p_values, corrected, strict=True):
        assert p <= c <= 1
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)
    assert corrected[order[0]] == min(1, p_values[order[0]] * len(p_values))


_VALUES = st.lists(st.none() | st.floats(width=16), min_size=5, max_size=40)


@given(_VALUES, _VALUES)
@settings(max_examples=50)
def test_sides_may_be_exchanged_and_rows_shuffled(a, b):
    there, back = _pair(a, b), _pair(b, a)
    assert effect_size(*there) == pytest.approx(effect_size(*back))
    assert p_value(*there) == pytest.approx(p_value(*back))
    assert effect_size(*_pair(a[::-1], b)) == effect_size(*there)
    assert effect_size(*_pair(a, a)) == 0
    assert p_value(*_pair(a, a)) == pytest.approx(1)


def test_a_column_whose_only_value_falls_into_one_half():
    once = pl.Series("x", [1.0] + [None] * 99)
    a = pl.DataFrame({"x": once, "y": _normal(1, 100)})
    b = pl.DataFrame({"x": once.clear(100), "y": _normal(2, 100)})
    assert drift_report(a, b, ["x", "y"]).verdict == "consistent"


def test_the_auc_is_a_chance():
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75
    assert auc(np.ones(4), np.array([0, 0, 1, 1])) == 0.5
    assert auc_at(0) == 0.5
    a, b = (pl.DataFrame({"x": _normal(seed, 4000, shift)}) for seed, shift in ((1, 0), (2, 0.5)))
    assert separation(a, b, ["x"]).score == pytest.approx(auc_at(0.25), abs=0.03)


def test_a_seed_makes_the_joint_test_the_same():
    a, b = (pl.DataFrame({"x": _normal(seed, 300), "c": ["a", "b", None] * 100}) for seed in (1, 2))
    assert separation(a, b, ["x", "c"], seed=4) == separation(a, b, ["x", "c"], seed=4)
