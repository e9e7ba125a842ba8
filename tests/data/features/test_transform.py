import math
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.features.categorical import MAX_CATEGORIES
from tidegate.data.features.fit import fit_transform
from tidegate.data.features.transform import Transform
from tidegate.domain.errors import DataError
from tidegate.domain.model import ModelSpec


def _spec(**given):
    return ModelSpec(model="m", adapter="ridge", task="regression", target="y", **given)


FRAME = pl.DataFrame(
    {
        "y": [1.0, 2.0, 3.0, 4.0, 5.0],
        "age": [1.0, 2.0, 3.0, None, 6.0],
        "city": ["Rome", "Rome", "Oslo", "Oslo", "Bonn"],
        "empty": [None] * 5,
    }
)
NAMES = ["age", "age=(missing)", "city=Oslo", "city=Rome", "city=(other)"]


def test_numbers_and_categories_become_columns():
    transform = fit_transform(FRAME, _spec())
    assert transform.names == NAMES
    assert transform.columns == ["age", "city"]
    out = transform.apply(FRAME)
    ages = np.array([1, 2, 3, 2, 6.0])  # the lower median, 2, stands for the missing one
    seen = ages[[0, 1, 2, 4]]
    assert np.allclose(out[:, 0], (ages - seen.mean()) / seen.std(), atol=1e-5)
    assert out[:, 1].tolist() == [0, 0, 0, 1, 0]
    assert out[:, 2:].tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_missing_numbers_may_stay_missing():
    transform = fit_transform(FRAME, _spec(), keep_missing=True)
    assert transform.names == [name for name in NAMES if name != "age=(missing)"]
    assert np.isnan(transform.apply(FRAME)[:, 0]).tolist() == [False, False, False, True, False]


def test_what_was_never_seen_is_other():
    transform = fit_transform(FRAME, _spec())
    rows = pl.DataFrame({"age": [2, 2, 2], "city": ["Paris", None, " Rome "]})
    assert transform.apply(rows)[:, 2:].tolist() == [[0, 0, 1], [0, 0, 1], [0, 1, 0]]
    gaps = fit_transform(FRAME.with_columns(city=pl.Series(["a", "a", None, None, "b"])), _spec())
    assert gaps.names[2:] == ["city=a", "city=(other)", "city=(missing)"]
    rows = rows.with_columns(city=pl.Series(["z", None, ""]))
    assert gaps.apply(rows)[:, 2:].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_a_text_column_in_which_nothing_repeats():
    names = pl.DataFrame({"y": [1, 2], "name": ["a", "b"]})
    transform = fit_transform(names, _spec())
    assert transform.names == ["name=(other)"]
    assert transform.apply(names).tolist() == [[1.0], [1.0]]


def test_the_most_frequent_categories_get_columns():
    rows = [f"c{n:02d}" for n in range(60) for _ in range(2 + n)]
    frame = pl.DataFrame({"y": range(len(rows)), "c": rows})
    kept = [f"c=c{n:02d}" for n in range(60 - MAX_CATEGORIES, 60)]
    spec = _spec(features={"default": {"many": "one_hot"}})
    assert fit_transform(frame, spec).names == [*kept, "c=(other)"]


def test_target_key_and_excluded_columns_are_never_features():
    frame = pl.DataFrame({"y": [1, 2], "id": [3, 4], "leak": [5, 6], "x": [7, 8]})
    assert fit_transform(frame, _spec(key="id", exclude=["leak"])).names == ["x"]


def test_how_a_value_is_stored_does_not_matter():
    frame = pl.DataFrame({"y": [1, 2, 3, 4], "x": [1, 2, 3, 4], "c": [True, False, True, False]})
    transform = fit_transform(frame, _spec())
    plain = transform.apply(frame)
    for x in (pl.Float32, pl.Int8, pl.String, pl.Decimal(10, 2)):
        other = frame.with_columns(pl.col("x").cast(x), pl.col("c").cast(pl.String))
        assert transform.apply(other).tobytes() == plain.tobytes()
    codes = pl.DataFrame({"y": [1, 2], "c": ["1", "1"]})
    one = fit_transform(codes, _spec())
    assert one.apply(pl.DataFrame({"c": [1, 1.0]}, strict=False)).tolist() == [[1, 0], [1, 0]]


def test_what_cannot_be_applied_is_named():
    transform = fit_transform(FRAME, _spec())
    with pytest.raises(DataError, match="miss the columns age"):
        transform.apply(FRAME.drop("age"))
    with pytest.raises(DataError, match=r"'age' must hold numbers, and holds 'old' \(rows 1\)"):
        transform.apply(pl.DataFrame({"age": ["1", "old"], "city": ["Rome"] * 2}))
    with pytest.raises(DataError, match="'age' must hold numbers"):
        transform.apply(pl.DataFrame({"age": [True], "city": ["Rome"]}))


_FLOATS = st.none() | st.floats() | st.integers(-5, 5).map(float)
_ROWS = st.lists(
    st.tuples(_FLOATS, st.none() | st.sampled_from(["a", "b", " a", "", "ü"]) | st.text()),
    min_size=1,
    max_size=12,
)


@given(_ROWS, _ROWS, st.booleans())
@settings(max_examples=150)
def test_a_row_gets_the_same_bits_in_any_company(fitted, given, keep_missing):
    schema = {"x": pl.Float64, "c": pl.String}
    frame = pl.DataFrame(fitted, schema=schema, orient="row").with_columns(y=pl.lit(1))
    transform = fit_transform(frame, _spec(), keep_missing=keep_missing)
    loaded = Transform.model_validate_json(transform.model_dump_json())
    assert loaded == transform
    rows = pl.DataFrame(given, schema=schema, orient="row")
    whole = transform.apply(rows)
    assert whole.shape == (len(given), len(transform.names))
    for number in range(len(given)):
        assert loaded.apply(rows[number : number + 1]).tobytes() == whole[number].tobytes()
    if not keep_missing:
        assert np.isfinite(whole).all()


def _hours(rows):
    times = [datetime(2011, 1, 1) + timedelta(hours=5 * n) for n in range(rows)]
    return pl.DataFrame({"y": range(rows), "when": [time.isoformat() for time in times]})


def test_times_become_the_cycles_they_go_through():
    spec = _spec(time=["when"])
    parts = [("hour", 24), ("weekday", 168), ("yearday", 24 * 365)]
    for number, (_, hours) in enumerate(parts, start=1):
        transform = fit_transform(_hours(hours // 5 + 6), spec)
        assert [cycle.part for cycle in transform.cycles] == [part for part, _ in parts[:number]]
    assert transform.columns == ["when"]
    out = transform.apply(pl.DataFrame({"when": ["2012-02-06 06:00"]}))[0]
    assert out[:3].tolist() == [0.25, 1.0, 0.0]
    assert out[3:6].tolist() == [0.0, 0.0, 1.0]  # a Monday
    assert out[6] == 36 / 366
    assert math.isclose(out[7] ** 2 + out[8] ** 2, 1, abs_tol=1e-11)
    missing = transform.apply(pl.DataFrame({"when": [None, "2012-02-06 06:00"]}))
    assert missing[0].tolist() == [0.0] * 9
    assert missing[1].tobytes() == out.tobytes()
    alone = transform.apply(pl.DataFrame({"when": [None]}))
    assert alone.tobytes() == missing[0].tobytes()


def test_a_date_that_is_missing_in_every_row_leaves_the_hour_alone():
    frame = pl.DataFrame(
        {"y": [1, 2, 3], "date": ["2011-01-01", "2011-01-02", None], "hr": [0, 5, 0]}
    )
    transform = fit_transform(frame, _spec(time=["date", "hr"]))
    assert transform.apply(frame[2:]).tobytes() == transform.apply(frame)[2:].tobytes()


def test_columns_far_from_zero_or_of_one_value():
    frame = pl.DataFrame(
        {"y": [1, 2], "big": [1e308, -1e308], "same": [0.1, 0.1], "far": [1e15, 1e15 + 1]}
    )
    out = fit_transform(frame, _spec()).apply(frame)
    assert out[:, 0].tolist() == pytest.approx([1, -1], rel=1e-5)
    assert out[:, 1].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert out[:, 2].tolist() == pytest.approx([-1, 1], rel=1e-5)


def test_all_columns_in_one_are_refused_with_what_they_are():
    transform = fit_transform(FRAME, _spec())
    rows = pl.DataFrame({"rows": pl.Series([[1.0, 2.0, 3.0]], dtype=pl.Array(pl.Float64, 3))})
    with pytest.raises(DataError, match="'rows' is none of the columns") as error:
        transform.apply(rows)
    assert "The columns are: age, city" in error.value.text()
