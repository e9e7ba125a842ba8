import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.drift.drift import drift
from tidegate.data.profile import json_file
from tidegate.data.profile.correlation import strongest
from tidegate.data.profile.json_file import from_json, is_profile, load, save, to_json
from tidegate.data.profile.profile import profile_of
from tidegate.domain.errors import DataError, NotFound

_COLUMN = st.one_of(
    st.lists(st.none() | st.floats(), min_size=5, max_size=5),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=5, max_size=5),
    st.lists(st.none() | st.text(), min_size=5, max_size=5),
)


def _canonical(values):
    dtype = next(
        (kind for t, kind in ((str, pl.String), (float, pl.Float64), (int, pl.Int64))
         if any(isinstance(value, t) for value in values)), pl.Float64
    )  # fmt: skip
    return pl.Series(values, dtype=dtype).fill_nan(None) if dtype == pl.Float64 else pl.Series(
        values, dtype=dtype
    )  # fmt: skip


@given(_COLUMN, _COLUMN)
@settings(max_examples=150)
def test_json_gives_back_every_profile(a, b):
    made = profile_of(pl.DataFrame({"a": _canonical(a), "b": _canonical(b)}), "any")
    text = to_json(made)
    assert to_json(from_json(text)) == text
    json.loads(text, parse_constant=pytest.fail)  # no NaN, which is no JSON


def test_a_column_of_vectors_that_are_all_missing_comes_back():
    vectors = pl.Series([None] * 3, dtype=pl.Array(pl.Float64, 4))
    text = to_json(profile_of(pl.DataFrame({"v": vectors}), "any"))
    assert from_json(text).sample["v"].dtype == vectors.dtype
    with pytest.raises(DataError, match="sample does not hold column 'v'"):
        from_json(text.replace("shape=(4,)", "shape=(999999999,)"))


def test_names_that_look_like_patterns_are_names():
    frame = pl.DataFrame({"^.*$": [1.0, 2.0, float("inf")], "x": [3.0, 1.0, 2.0], "*": [1, 2, 3]})
    found = from_json(to_json(profile_of(frame, "any")))
    assert found.sample["^.*$"].to_list() == [1.0, 2.0, None]
    kinds = {column.name: column.kind for column in found.columns}
    pairs = {(a, b): value for a, b, value in strongest(found.sample, kinds)}
    assert pairs["^.*$", "x"] == pytest.approx(-1)  # the missing one has the middle rank


def test_huge_numbers_and_vectors_come_back():
    huge = np.repeat([1.7e308, -1.7e308], 70_000)
    text = to_json(profile_of(pl.DataFrame({"x": huge}), "any"))
    moments = from_json(text).columns[0].value.moments
    assert (moments.sd, abs(moments.mean)) == (pytest.approx(1.7e308), pytest.approx(0, abs=1e295))
    vectors = pl.Series([[1.0, 2.0], [1e200, 1.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2))
    [column] = from_json(to_json(profile_of(pl.DataFrame({"v": vectors}), "any"))).columns
    assert (column.missing, column.numbers["length"].moments.maximum) == (1, 5.0)


def _big(seed, shift=0.0):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": random.normal(shift, size=40_000),
            "user": [f"u{n}" for n in random.integers(0, 10**6, 40_000)],
            "v": pl.Series(random.normal(shift, size=(40_000, 3)), dtype=pl.Array(pl.Float64, 3)),
        }
    )


def test_a_kept_profile_compares_as_the_rows_do(tmp_path):
    a, b = profile_of(_big(0), "a"), profile_of(_big(1, 0.2), "b")
    save(a, tmp_path / "a.json")
    save(a, tmp_path / "a.json")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert is_profile(tmp_path / "a.json")
    raw, kept = drift(a, b), drift(load(tmp_path / "a.json"), b)
    assert kept.model_copy(update={"seconds": 0}) == raw.model_copy(update={"seconds": 0})
    assert raw.verdict == "drifted"
    with pytest.raises(DataError, match="cannot be written"):
        save(a, tmp_path / "gone" / "p.json")


def _changed(path, value):
    made = profile_of(
        pl.DataFrame(
            {
                "x": [1.0, 2.0, None],
                "c": ["a", "b", "b"],
                "day": ["2024-01-01", "2024-01-02", "2024-01-03"],
            }
        ),
        "p",
    )
    document = json.loads(to_json(made))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("columns", 0, "numbers", "value", "counts"), [1, 2], "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "counts"), [3, -1], "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "counts"), [2], "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "values"), [2.0, 1.0], "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "minimum"), None, "'x' contradicts itself"),
        (("columns", 0, "missing"), 0, "'x' contradicts itself"),
        (("columns", 0, "missing"), -1, "'x' contradicts itself"),
        (("columns", 0, "numbers"), {}, "'x' contradicts itself"),
        (("columns", 1, "texts", "names"), ["a", "a"], "'c' contradicts itself"),
        (("columns", 1, "texts", "groups"), [3], "'c' contradicts itself"),
        (("columns", 1, "texts", "counts"), [1, 1], "'c' contradicts itself"),
        (("columns", 0, "numbers", "value", "sd"), -1.0, "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "sd"), float("nan"), "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "minimum"), float("nan"), "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "minimum"), 2.5, "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "error_rows"), float("inf"), "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "counts"), [2**70, 1], "'x' contradicts itself"),
        (("columns", 0, "numbers", "value", "missing"), 2, "'x' contradicts itself"),
        (("columns", 0, "kind"), "embedding", "'x' contradicts itself"),
        (("columns", 0, "kind"), "date", "'x' contradicts itself"),
        (("columns", 0, "dtype"), "String", "'x' contradicts itself"),
        (("columns", 0, "dtype"), "Int64", "sample does not hold column 'x'"),
        (("columns", 0, "rows"), 4, "'x' contradicts itself"),
        (("columns", 0, "name"), "c", "the profile contradicts itself"),
        (("rows",), -3, "the profile contradicts itself"),
        (("rows",), 2**70, "the profile contradicts itself"),
        (("columns", 1, "kind"), "numeric", "'c' contradicts itself"),
        (("columns", 1, "kind"), "date", "'c' contradicts itself"),
        (("columns", 1, "kind"), "boolean", "'c' contradicts itself"),
        (("columns", 1, "texts"), None, "'c' contradicts itself"),
        (("columns", 1, "texts", "lost"), 2**70, "'c' contradicts itself"),
        (("columns", 2, "numbers"), {}, "'day' contradicts itself"),
        (("columns", 2, "numbers", "value", "values"), [0, 1, 1e300], "'day' contradicts itself"),
        (("sample",), {"x": [], "c": [], "day": []}, "sample does not hold column 'x'"),
        (("sample",), {"x": [1.0], "c": ["a"], "day": [None]}, "sample does not hold column 'x'"),
        (("sample", "x"), ["one", 2.0, 3.0], "sample does not hold column 'x'"),
        (("sample",), {}, "sample does not hold column 'x'"),
        (("sample", "c"), ["a"], "sample does not hold column"),
        (("types", "x"), "Object", "sample does not hold column 'x'"),
        (("format",), "tidegate/profile/1", "not a profile: format"),
        (("columns", 0, "kind"), "colour", "not a profile: columns.0.kind"),
        (("more",), 1, "not a profile: more"),
    ],
    ids=str,
)
def test_a_profile_that_lies_is_refused(path, value, says):
    with pytest.raises(DataError, match=says):
        from_json(_changed(path, value))


def test_a_key_that_is_named_twice_is_refused():
    text = _changed(("rows",), 3)
    assert from_json(text).rows == 3
    with pytest.raises(DataError, match=r"rows \(named twice\)"):
        from_json(text.replace('"rows": 3', '"rows": 3, "rows": 3', 1))


def test_a_profile_with_its_keys_in_order_is_one(tmp_path):
    path = tmp_path / "p.json"
    document = json.loads(to_json(profile_of(_big(0), "p")))
    path.write_text(json.dumps(document, sort_keys=True, indent=1), encoding="utf-8")
    assert is_profile(path)
    assert load(path).rows == 40_000
    path.write_text('{"name": "tidegate/profile/2"}\n{"name": "b"}\n', encoding="utf-8")
    assert not is_profile(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    made, path = profile_of(pl.DataFrame({"x": [1.0]}), "p"), tmp_path / "p.json"
    size = len(to_json(made).encode())
    monkeypatch.setattr(json_file, "MOST_BYTES", size)
    save(made, path)
    assert load(path).rows == 1
    monkeypatch.setattr(json_file, "MOST_BYTES", size - 1)
    for told in (lambda: load(path), lambda: save(made, path)):
        with pytest.raises(DataError, match=rf"a profile of {size} bytes, more than"):
            told()


def test_what_is_no_profile(tmp_path):
    path = tmp_path / "p.json"
    with pytest.raises(NotFound, match=r"p\.json"):
        load(path)
    assert not is_profile(path)
    for content in (b"{", b"{}", b"\xff", b"[]", b'"x"', b"[" * 9999, b"9" * 9999):
        path.write_bytes(content)
        assert not is_profile(path)
        with pytest.raises(DataError, match="not a profile"):
            load(path)
