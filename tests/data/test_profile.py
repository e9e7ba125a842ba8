import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.drift import drift_report
from tidegate.data.profile import (
    compare_profiles,
    load_profile,
    profile,
    profile_from_json,
    profile_to_json,
    save_profile,
)
from tidegate.domain.errors import DataError, NotFound


def _frame(seed, rows, *, shift=0.0, late=0):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": random.normal(shift, size=rows),
            "count": random.poisson(3 + 2 * shift, rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.lognormal(shift, 1, rows)),
            "city": random.choice(["Rome", "Oslo", "Bonn"], rows, p=[0.5 - shift / 3, 0.3 + shift / 3, 0.2]),  # noqa: E501
            "user": random.choice([f"u{n + late}" for n in range(600)], rows),
        }
    )  # fmt: skip


def test_what_a_profile_says():
    frame = pl.DataFrame({"x": [1, 2, 2, None], "c": ["b", "b", " a", " "], "none": [None] * 4})
    x, c, none = profile(frame, "week 1").columns
    assert (x.values, x.counts, x.missing, x.distinct) == ([1, 2], [1, 2], 1, 2)
    assert (x.minimum, x.maximum, x.mean) == (1, 2, pytest.approx(5 / 3))
    assert x.sd == pytest.approx(np.std([1, 2, 2]))
    assert (c.categories, c.counts, c.missing) == (["b", "a"], [2, 1], 1)
    assert (none.missing, none.mean, none.rows) == (4, None, 4)


def test_a_profile_stays_small():
    rows = pl.DataFrame({"x": np.arange(200_000.0), "c": [f"c{n}" for n in range(200_000)]})
    x, c = profile(rows, "big").columns
    assert len(x.values) == 500
    assert x.error == 1 / 500
    assert (len(c.categories), c.distinct, sum(c.groups)) == (200, 200_000, 200_000)


_COLUMN = st.one_of(
    st.lists(st.none() | st.floats(), min_size=5, max_size=5),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=5, max_size=5),
    st.lists(st.none() | st.text(), min_size=5, max_size=5),
)


@given(_COLUMN, _COLUMN)
@settings(max_examples=150)
def test_json_gives_back_every_profile(a, b):
    made = profile(pl.DataFrame({"a": a, "b": b}, strict=False), "any")
    assert profile_from_json(profile_to_json(made)) == made


def test_a_file_gives_back_the_profile(tmp_path):
    made, path = profile(_frame(0, 5000), "week 1"), tmp_path / "p.json"
    save_profile(made, path)
    save_profile(made, path)
    assert load_profile(path) == made
    assert [file.name for file in tmp_path.iterdir()] == ["p.json"]
    with pytest.raises(DataError, match="cannot be written"):
        save_profile(made, tmp_path / "gone" / "p.json")


@pytest.mark.parametrize(
    ("rows", "shift", "late"),
    [(200, 0.0, 0), (200, 1.0, 0), (10_000, 0.0, 0), (10_000, 0.2, 300), (10_000, 1.0, 0)],
)
def test_profiles_say_what_the_rows_say(rows, shift, late):
    a, b = _frame(1, rows), _frame(2, rows, shift=shift, late=late)
    raw = drift_report(a, b, a.columns)
    brief = compare_profiles(profile(a, "a"), profile(b, "b"))
    exact = {column.name: column for column in raw.columns}
    for column in brief.columns:
        if column.name == "user":
            continue
        assert column.effect == pytest.approx(exact[column.name].effect, rel=0.1, abs=0.02)
        assert column.drifted == exact[column.name].drifted
    # Half of many users are new: groups of them show it as clearly as their names do.
    user = next(column for column in brief.columns if column.name == "user")
    assert user.drifted == exact["user"].drifted == (late > 0)
    assert not brief.joint.drifted


def test_a_side_that_names_every_category_meets_one_that_does_not():
    names = [f"c{n}" for n in range(400)]
    many = profile(pl.DataFrame({"c": names * 50}), "many")
    few = profile(pl.DataFrame({"c": names[:100] * 200}), "few")
    [column] = compare_profiles(many, few).columns
    assert column.drifted
    [same] = compare_profiles(few, few).columns
    assert (same.effect, same.p_value) == (0, 1)
    numbers = profile(pl.DataFrame({"c": np.arange(1000.0)}), "numbers")
    [kind] = compare_profiles(many, numbers).columns
    assert kind.drifted


def test_too_little_and_nothing_in_common():
    big, small = profile(_frame(0, 500), "a"), profile(_frame(0, 49), "b")
    assert compare_profiles(big, small).verdict == "too_little_data"
    other = profile(pl.DataFrame({"z": np.arange(100.0)}), "c")
    assert compare_profiles(big, other).verdict == "too_little_data"


def _broken(**changed):
    made = profile(pl.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]}), "p")
    return made.model_copy(
        update={"columns": [made.columns[0].model_copy(update=changed), made.columns[1]]}
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"counts": [1, 2]},
        {"counts": [3, -1]},
        {"counts": [2]},
        {"values": [2.0, 1.0]},
        {"missing": 1},
        {"groups": [1, 1]},
    ],
    ids=str,
)
def test_a_profile_that_contradicts_itself(changed):
    with pytest.raises(DataError, match="'x' contradicts itself"):
        profile_from_json(profile_to_json(_broken(**changed)))


def test_what_is_no_profile(tmp_path):
    path = tmp_path / "p.json"
    with pytest.raises(NotFound, match=r"p\.json"):
        load_profile(path)
    for content, says in ((b"{", "not a profile"), (b"{}", "name"), (b"\xff", "byte 0")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=says):
            load_profile(path)
