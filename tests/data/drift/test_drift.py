import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.drift.drift import drift, holm
from tidegate.data.drift.joint import auc, separation
from tidegate.data.drift.measures import measure
from tidegate.data.profile.profile import profile_of
from tidegate.domain.drift import Grade
from tidegate.domain.errors import DataError
from tidegate.domain.policy import DataPolicy


def _compare(a, b, columns=None, **options):
    sides = [
        profile_of(side if isinstance(side, pl.DataFrame) else pl.DataFrame({"x": side}), name)
        for name, side in (("a", a), ("b", b))
    ]
    return drift(*sides, columns, **options)


def _measured(a, b):
    return measure(
        *(profile_of(pl.DataFrame({"x": side}, strict=False), "t").columns[0] for side in (a, b))
    )


def _normal(seed, rows, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=rows)


@pytest.mark.parametrize(
    ("shift", "grade"),
    [(0.06, Grade.SMALL), (0.15, Grade.SMALL), (0.25, Grade.MEDIUM), (0.45, Grade.MEDIUM),
     (0.6, Grade.LARGE), (3.0, Grade.LARGE)],
)  # fmt: skip
def test_a_shift_is_graded_by_its_size(shift, grade):
    found = _compare(_normal(1, 200_000), _normal(2, 200_000, shift))
    assert (found.verdict, found.grade, found.columns[0].grade) == ("drifted", grade, grade)
    # Two normal distributions d apart differ by 2 Phi(d / 2) - 1 at the most.
    theory = float(np.vectorize(lambda d: 2 * _phi(d / 2) - 1)(shift))
    assert found.columns[0].effect == pytest.approx(theory, abs=0.006)
    assert found.columns[0].measures["wasserstein"] == pytest.approx(shift, rel=0.1)


def _phi(x):
    from scipy.special import ndtr

    return ndtr(x)


def test_grades_are_in_order():
    assert Grade.LARGE.reaches(Grade.SMALL)
    assert Grade.SMALL.reaches(Grade.SMALL)
    assert not Grade.SMALL.reaches(Grade.MEDIUM)


def test_a_report_names_what_moved():
    random = np.random.default_rng(0)
    a, b = (
        pl.DataFrame(
            {
                "still": random.normal(size=1000),
                "moved": random.normal(shift, size=1000),
                "city": random.choice(["Rome", "Oslo"], 1000, p=[share, 1 - share]),
                "gaps": np.where(random.random(1000) < gone, np.nan, random.normal(size=1000)),
                "class": random.choice([0, 1], 1000, p=[share, 1 - share]),
            },
            nan_to_null=True,
        )
        for shift, share, gone in ((0, 0.5, 0.0), (1, 0.9, 0.4))
    )
    found = _compare(a, b, ["still", "moved", "city", "gaps"], target="class")
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
    assert (found.label.name, found.label.drifted) == ("class", True)
    assert "class" not in found.joint.columns


def test_vanished_and_new_categories_are_named():
    a = ["Rome"] * 100 + ["Oslo"] * 100 + ["Bonn"] * 100
    gone, new = ["Rome"] * 150 + ["Oslo"] * 150, [*a, *["Paris"] * 150]
    [column] = _compare(a, gone).columns
    assert (column.appeared, column.vanished) == ([], ["Bonn"])
    assert "'Bonn': 33.3% before, 0.0% now" in column.detail.text()
    [column] = _compare(a, new).columns
    assert (column.appeared, column.vanished) == (["Paris"], [])
    # What cannot be named for certain is not: there are more categories than are kept.
    many = [[f"{side}{n}" for n in range(20_000)] * 2 for side in "ab"]
    [column] = _compare(*many).columns
    assert (column.appeared, column.vanished) == ([], [])


def test_a_new_category_that_is_rare_is_no_drift():
    assert _compare(["a", "b"] * 500, ["a", "b"] * 500 + ["z"] * 5).verdict == "consistent"


def test_a_constant_that_begins_to_vary():
    # Inside of where it then lies, the distance alone would see half of it.
    [column] = _compare(np.full(5000, 0.4), _normal(0, 5000)).columns
    assert column.effect == 1
    assert column.detail.text() == "0.4: 100.0% of rows before, 0.0% now"


def test_columns_that_moved_only_together():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 2000))
    a = pl.DataFrame({"x": x, "y": 0.95 * x + 0.3 * y})
    b = pl.DataFrame({"x": x, "y": -0.95 * x + 0.3 * y})
    found = _compare(a, b)
    assert not any(column.drifted for column in found.columns)
    assert (found.joint.drifted, found.joint.grade) == (True, Grade.LARGE)
    assert set(found.joint.columns) == {"x", "y"}
    assert (found.verdict, found.grade) == ("drifted", Grade.LARGE)


def test_clocks_and_counters_are_not_judged():
    rows = np.arange(2000.0)
    days = np.datetime_as_string(np.datetime64("2024-01-01") + np.arange(2000)).tolist()
    table = pl.DataFrame({"row": rows, "day": days, "x": _normal(0, 2000)})
    found = _compare(table[:1000], table[1000:])
    assert found.verdict == "consistent"
    judged = {column.name: column.judged for column in found.columns}
    assert judged == {"x": True, "row": False, "day": False}
    # One that begins anew, or goes back, is a column like others.
    back = _compare(table[1000:], table[:1000])
    assert {column.name for column in back.columns if column.drifted} == {"row", "day"}


def test_vectors_and_prose():
    random = np.random.default_rng(0)

    def table(shift, words, rows=1500):
        said = [
            f"it is {words[n % len(words)]} and stays so for the {n}th time" for n in range(rows)
        ]
        vectors = random.normal(size=(rows, 16)) + shift
        return pl.DataFrame({"v": pl.Series(vectors, dtype=pl.Array(pl.Float64, 16)), "said": said})

    calm = table(0.0, ["good", "fine"])
    still = _compare(calm, table(0.0, ["good", "fine"]))
    assert still.verdict == "consistent"
    moved = _compare(calm, table(0.3, ["awful", "fine"]))
    assert {column.name for column in moved.columns if column.drifted} == {"v", "said"}
    said = next(column for column in moved.columns if column.name == "said")
    assert said.measures["words"] == pytest.approx(0.5, abs=0.05)
    rest = "的情况就是这样的没有什么别的可以说了吧你觉得怎么样呢"
    chinese = [[f"{word}在第{n}天{rest}" for n in range(1500)] for word in ("天气很好", "天气很坏")]
    assert _compare(*chinese).columns[0].drifted


@pytest.mark.parametrize(("a", "b"), [(49, 500), (500, 49)])
def test_too_few_rows_are_not_judged(a, b):
    rows = pl.DataFrame({"x": _normal(0, 500)})
    found = _compare(rows[:a], rows[:b] + 1000)
    assert (found.verdict, found.columns, found.grade) == ("too_little_data", [], None)
    assert (found.rows_reference, found.rows_current) == (a, b)
    other = _compare(rows, rows.rename({"x": "y"}))
    assert other.verdict == "too_little_data"


def test_a_column_on_one_side_only():
    rows = pl.DataFrame({"x": _normal(0, 60)})
    with pytest.raises(DataError, match="'y' is not on both sides"):
        _compare(rows, rows.with_columns(y=1.0), ["x", "y"])


@pytest.mark.parametrize(
    ("a", "b", "drifted"),
    [
        ([None] * 60, [1.0] * 60, True),
        ([None] * 60, [None] * 60, False),
        (["a"] * 60, [None] * 60, True),
        ([1.0] * 60, ["x"] * 60, True),
        ([7.0] * 60, [7.0] * 60, False),
        ([float("inf")] * 60, [1e308, -1e308] * 30, True),
        ([1.0, 2.0] * 30, ["1", "2"] * 30, False),
        (_normal(0, 5000).tolist(), ["x"] * 60, True),
        ([[1.0, 2.0]] * 60, [1.0] * 60, True),
        (["a"] * 60, [[1.0, 2.0]] * 60, True),
    ],
    ids=[
        "came",
        "never",
        "went",
        "kind",
        "constant",
        "extreme",
        "codes",
        "texts",
        "vectors",
        "into vectors",
    ],
)
def test_columns_of_nothing_or_of_another_kind(a, b, drifted):
    types = {str: pl.String, list: pl.Array(pl.Float64, 2)}
    dtypes = [types.get(type(side[0]), pl.Float64) for side in (a, b)]
    found = _compare(*(pl.DataFrame({"x": pl.Series(side, dtype=dtype)})
                       for side, dtype in zip((a, b), dtypes, strict=True)))  # fmt: skip
    assert (found.verdict == "drifted") == drifted
    assert all(np.isfinite([column.effect, column.p_value]).all() for column in found.columns)


def test_policy_says_what_is_drift():
    a, b = _normal(1, 50_000), _normal(2, 50_000, 0.15)
    assert _compare(a, b).verdict == "drifted"
    assert _compare(a, b, policy=DataPolicy(drift_effect=0.1)).verdict == "consistent"
    few = _compare(a[:300], b[:300], policy=DataPolicy(significance=0.9))
    assert few.verdict == "drifted"
    assert _compare(a[:300], b[:300]).verdict == "consistent"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_is_no_smaller_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    for p, c in zip(p_values, corrected, strict=True):
        assert p <= c <= 1
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)
    assert corrected[order[0]] == min(1, p_values[order[0]] * len(p_values))


_VALUES = st.one_of(
    st.lists(st.none() | st.floats(width=16, allow_nan=False), min_size=5, max_size=40),
    st.lists(st.none() | st.sampled_from("abcd"), min_size=5, max_size=40),
)


@given(_VALUES, _VALUES)
@settings(max_examples=100)
def test_sides_may_be_exchanged_and_rows_shuffled(a, b):
    there, back = _measured(a, b), _measured(b, a)
    assert 0 <= there.effect <= 1
    assert 0 <= there.p_value <= 1
    assert there.effect == pytest.approx(back.effect)
    assert there.p_value == pytest.approx(back.p_value)
    assert _measured(a[::-1], b).effect == pytest.approx(there.effect)
    same = _measured(a, a)
    assert (same.effect, same.p_value) == (0, pytest.approx(1))


def test_the_distance_is_that_of_the_textbook():
    from scipy.stats import ks_2samp

    random = np.random.default_rng(4)
    for a, b in (
        (random.normal(size=300), random.normal(0.3, size=500)),
        (random.integers(0, 5, 400).astype(float), random.integers(0, 6, 300).astype(float)),
    ):
        known, found = ks_2samp(a, b, method="asymp"), _measured(a, b)
        assert found.others["kolmogorov_smirnov"] == pytest.approx(known.statistic)
        assert found.looks[0].p_value == pytest.approx(known.pvalue, rel=0.3)


def test_a_column_whose_only_value_falls_into_one_half():
    once = pl.Series("x", [1.0] + [None] * 99)
    a = pl.DataFrame({"x": once, "y": _normal(1, 100)})
    b = pl.DataFrame({"x": once.clear(100), "y": _normal(2, 100)})
    assert _compare(a, b).verdict == "consistent"


def test_the_auc_is_a_chance():
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75
    assert auc(np.ones(4), np.array([0, 0, 1, 1])) == 0.5
    a, b = (pl.DataFrame({"x": _normal(seed, 4000, shift)}) for seed, shift in ((1, 0), (2, 0.5)))
    found = separation(a, b, ["x"])
    # One normal column shifted by half a standard deviation: the effect is the column's own.
    assert found.effect == pytest.approx(2 * _phi(0.25) - 1, abs=0.03)


def test_a_seed_makes_the_joint_test_the_same():
    a, b = (pl.DataFrame({"x": _normal(seed, 300), "c": ["a", "b", None] * 100}) for seed in (1, 2))
    assert separation(a, b, ["x", "c"], seed=4) == separation(a, b, ["x", "c"], seed=4)


def test_columns_on_one_side_are_named_in_the_order_of_the_table():
    a = pl.DataFrame({"k": [1.0, 2.0] * 50, "temp": [1.0] * 100, "cnt": [2.0] * 100})
    found = _compare(a, a.rename({"temp": "tmp", "cnt": "count"}))
    assert (found.gone, found.new) == (["temp", "cnt"], ["tmp", "count"])
    few = _compare(a, a[:5].rename({"temp": "tmp"}))
    assert (few.verdict, few.gone, few.new) == ("too_little_data", ["temp"], ["tmp"])


def test_missing_values_are_told_where_they_are_what_moved():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=20_000)
    before = pl.Series("x", numbers).to_frame().with_columns(
        pl.when(pl.Series(rng.random(20_000) < 0.08)).then(None).otherwise(pl.col("x")).alias("x")
    )  # fmt: skip
    found = _compare(before, pl.DataFrame({"x": rng.normal(size=20_000)})).columns[0]
    assert found.drifted
    assert found.detail.text().startswith("missing: ")


def test_numbers_that_became_texts_are_told_as_such():
    numbers = pl.DataFrame({"x": np.round(_normal(1, 5_000), 1)})
    texts = numbers.select(pl.col("x").cast(pl.String).str.replace(".", ",", literal=True))
    found = _compare(numbers, texts).columns[0]
    assert found.detail.text() == "it held numeric, and now categorical"
