"""What was stored reads as it was, whatever format it has; what lies is refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tidegate.data.features.fit import fit_transform
from tidegate.data.features.transform import restored
from tidegate.domain.errors import DataError, Incompatible
from tidegate.domain.model import ModelSpec

FORMAT_1 = json.loads((Path(__file__).parent / "format_1.json").read_text("utf-8"))


@pytest.mark.parametrize("kept", FORMAT_1, ids=["filled", "gaps"])
def test_a_transform_of_format_1_applies_as_it_did(kept):
    transform = restored(kept["transform"], {})
    rows = pl.DataFrame(kept["rows"], infer_schema_length=None)
    assert transform.apply(rows).astype("<f8").tobytes().hex() == kept["bits"]
    assert transform.stored() == kept["transform"], "its version would get another id"


FRAME = pl.DataFrame(
    {
        "y": [1.0, 2.0, 3.0, 4.0] * 10,
        "x": [1.0, None, 2.5, 7.0] * 10,
        "shop": [f"shop {n % 7}" for n in range(40)],
        "born": [f"19{50 + n}-03-05" for n in range(40)],
        "note": ["one two", "two", None, "水 three"] * 10,
        "vector": [[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]] * 10,
    }
)
SPEC = ModelSpec(
    model="m",
    adapter="a",
    task="regression",
    target="y",
    features={"shop": "target", "note": "text", "born": "date"},
)


@pytest.fixture(scope="module")
def fitted():
    return fit_transform(FRAME, SPEC)


def test_what_only_numbers_and_categories_need_is_format_1(fitted):
    plain = fit_transform(FRAME.select("y", "x"), SPEC.model_copy(update={"features": None}))
    assert plain.stored()["format"] == 1
    assert set(plain.stored()) == {
        "format", "keep_missing", "numeric", "categorical", "time", "cycles",
    }  # fmt: skip
    assert fitted.stored()["format"] == 2


def _changed(stored, path, value):
    stored = json.loads(json.dumps(stored))
    *way, last = path
    place = stored
    for step in way:
        place = place[step]
    place[last] = value
    return stored


LIES = {
    "format": (["format"], 3, "format"),
    "old format": (["format"], 1, "format 1 has no words"),
    "unknown kind": (["magic"], [{"name": "x"}], "magic"),
    "not finite": (["numeric", 0, "mean"], float("nan"), "numeric.0.mean"),
    "infinite": (["numeric", 0, "fill"], float("inf"), "numeric.0.fill"),
    "no scale": (["numeric", 0, "scale"], 0.0, "numeric.0.scale"),
    "text for a number": (["numeric", 0, "mean"], "one", "numeric.0.mean"),
    "wide text": (["text", 0, "columns"], 10**9, "text.0.columns"),
    "wide vector": (["embeddings", 0, "width"], 10**9, "embeddings.0.width"),
    "no n-grams": (["text", 0, "low"], 5, "shorter than the shortest"),
    "twice": (["embeddings", 0, "name"], "x", "'x' has two features"),
    "no such cycle": (["dates", 0, "cycles"], [{"part": "moon"}], "dates.0.cycles.0.part"),
    "no date": (["dates", 0, "since"], "yesterday", "dates.0.since"),
    "no outputs": (["target", 0, "outputs"], [], "target"),
    "no list": (["target"], {"name": "shop"}, "target"),
    "not there": (["target"], [], "target.0"),
    "more outputs": (["target", 0, "outputs"], [{"mean": 0, "scale": 1}] * 2, "of shape"),
    "negative smooth": (["target", 0, "smooth"], -10, "target.0.smooth"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_transform_that_lies_is_refused(fitted, lie):
    path, value, says = LIES[lie]
    with pytest.raises(Incompatible, match="cannot be used") as refused:
        restored(_changed(fitted.stored(), path, value), fitted.arrays())
    assert says in str(refused.value)


def test_many_features_are_refused_before_they_are_made():
    one = {"name": "t", "length": None, "words": None, "of": "words", "low": 1, "high": 1}
    number = {"name": "n", "mean": 0, "scale": 1, "fill": 0, "indicator": False}
    wide = {**one, "length": number, "words": number, "columns": 4096, "normalise": True}
    texts = [{**wide, "name": f"t{n}"} for n in range(200)]
    stored = {"format": 2, "keep_missing": False, "numeric": [], "categorical": [], "text": texts}
    with pytest.raises(Incompatible, match="are more than 655360"):
        restored(stored, {})


@pytest.mark.parametrize("stored", [None, {}, {"numeric": 3}])
def test_what_is_no_transform_is_refused(stored):
    with pytest.raises(Incompatible, match="cannot be used"):
        restored(stored, {})


def _broken(arrays):
    texts, ends, values = (arrays[f"target.0.{name}"] for name in ("texts", "ends", "values"))
    yield "short values", {"values": values[:-1]}
    yield "wide values", {"values": np.repeat(values, 2, axis=1)}
    yield "nan", {"values": np.where(values == values[0], np.nan, values)}
    yield "float32", {"values": values.astype(np.float32)}
    yield "beyond", {"ends": ends + 1}
    yield "backwards", {"ends": np.append(ends[:-1][::-1], ends[-1])}
    yield "negative", {"ends": np.append([-1], ends[1:])}
    yield "no utf-8", {"texts": np.full_like(texts, 0xFF)}
    yield "all alike", {"texts": np.full_like(texts, 65)}
    yield "no bytes", {"texts": texts.astype(np.int64)}
    yield "two-dimensional", {"texts": texts[:, None]}
    yield "absent", {"texts": None}


def test_a_table_that_lies_is_refused(fitted):
    told = fitted.arrays()
    for lie, changed in _broken(told):
        arrays = {**told, **{f"target.0.{name}": array for name, array in changed.items()}}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        with pytest.raises(Incompatible, match="cannot be used"):
            restored(fitted.stored(), arrays)
            pytest.fail(lie)
    for name in ("target.1.texts", "target.00.texts", "target.0.more", "coef", "target.x.texts"):
        with pytest.raises(Incompatible, match="cannot be used"):
            restored(fitted.stored(), {**told, name: told["target.0.values"]})


ROW = {"x": 1, "shop": "shop 1", "born": "1950-01-01", "note": "two", "vector": [1, 2]}
BAD = {
    "text for a number": ({"x": "many"}, "column 'x' must hold numbers, and holds 'many' (rows 0)"),
    "list for a number": ({"x": [1, 2]}, "column 'x' must hold numbers"),
    "no date": ({"born": "soon"}, "no times: soon"),
    "list for a category": ({"shop": [1]}, "column 'shop' must hold texts, and holds"),
    "list for a text": ({"note": ["a"]}, "column 'note' must hold texts, and holds"),
    "wide vector": ({"vector": [1, 2, 3]}, "vectors of 2 numbers, and holds one of 3 (row 0)"),
    "empty vector": ({"vector": []}, "holds one of 0"),
    "number for a vector": ({"vector": 3}, "column 'vector' must hold vectors, and holds 3"),
    "text for a vector": ({"vector": "[1, 2]"}, "column 'vector' must hold vectors"),
    "texts in a vector": ({"vector": ["a", "b"]}, "column 'vector' must hold vectors"),
    "truth in a vector": ({"vector": [True, False]}, "column 'vector' must hold vectors"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_row_that_cannot_be_read_is_told_of(fitted, what):
    changed, says = BAD[what]
    with pytest.raises(DataError) as refused:
        fitted.apply(pl.DataFrame([{**ROW, **changed}]))
    assert says in str(refused.value)


@pytest.mark.parametrize("name", ROW)
def test_a_column_that_is_missing_is_named(fitted, name):
    with pytest.raises(DataError, match=f"miss the columns {name}"):
        fitted.apply(pl.DataFrame([ROW]).drop(name))


def test_a_value_of_a_megabyte_is_a_value(fitted):
    huge = "x" * 2**20
    rows = pl.DataFrame([{**ROW, "shop": huge, "note": huge}, ROW])
    out = fitted.apply(rows)
    assert np.isfinite(out).all()
    assert out[0, fitted.names.index("shop~target")] == 0
    assert out[1].tobytes() == fitted.apply(rows[1:])[0].tobytes()
    with pytest.raises(DataError) as refused:
        fitted.apply(pl.DataFrame([{**ROW, "x": huge}]))
    assert len(str(refused.value)) < 300
