"""Training and serving see the same numbers, to the bit, whatever company a row is in."""

import json
import os
import subprocess
import sys
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.features.fit import fit_transform
from tidegate.data.features.transform import restored
from tidegate.data.read import read_files
from tidegate.domain.model import ModelSpec

FEATURES = {
    "robust": {"scale": "robust", "missing": "mean"},
    "range": {"scale": "min_max", "missing": -1},
    "flag": "one_hot",
    "shop": {"as": "target", "smooth": 2},
    "zip": {"as": "hash", "columns": 5},
    "born": {"as": "date", "parts": ["days", "weekday", "yearday", "hour"]},
    "note": {"as": "text", "columns": 9},
    "code": {"as": "text", "of": "characters", "columns": 7, "normalise": False},
    "vector": "embedding",
}
SCHEMA = {
    "plain": pl.Float64,
    "robust": pl.Float64,
    "range": pl.Int64,
    "flag": pl.Boolean,
    "shop": pl.String,
    "zip": pl.Int64,
    "born": pl.String,
    "note": pl.String,
    "code": pl.String,
    "vector": pl.List(pl.Float64),
    "when": pl.String,
}


def _maybe(values):
    return st.none() | values


NUMBERS = st.integers(-100, 100).map(float) | st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-100, 100) | st.integers(-(2**53), 2**53)
SHOPS = st.sampled_from(["a", "b", " a", "", "ü", "\x1c"]) | st.text(max_size=5)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(datetime.isoformat)
WORDS = st.lists(st.sampled_from(["Good", "bad", "ÜBER", "水", "12", "b-c", " "]), max_size=8)
NOTES = WORDS.map(" ".join) | st.text(max_size=20)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "plain": _maybe(NUMBERS),
            "robust": _maybe(NUMBERS),
            "range": _maybe(WHOLE),
            "flag": _maybe(st.booleans()),
            "shop": _maybe(SHOPS),
            "zip": _maybe(WHOLE),
            "born": _maybe(TIMES),
            "note": _maybe(NOTES),
            "code": _maybe(NOTES),
            "vector": _maybe(st.lists(_maybe(NUMBERS), min_size=3, max_size=3)),
            "when": _maybe(TIMES),
        }
    ),
    min_size=1,
    max_size=5,
)
#: One row with everything, so that no column is left out of the fit.
FULL = {
    "plain": 1.5, "robust": 2.5, "range": 3, "flag": True, "shop": "a", "zip": 1234,
    "born": "2001-02-03", "note": "Good bad", "code": "x1", "vector": [1.0, 2.0, 3.0],
    "when": "2020-01-01T05:00:00",
}  # fmt: skip
TASKS = {"regression": [1.5, -2.0, 4.0], "binary": ["no", "yes"], "multiclass": [3, 1, 2]}


def _fitted(rows, task, keep_missing):
    frame = pl.DataFrame([FULL, FULL, *rows], schema=SCHEMA)
    labels = TASKS[task]
    frame = frame.with_columns(y=pl.Series([labels[n % len(labels)] for n in range(frame.height)]))
    spec = ModelSpec(
        model="m", adapter="a", task=task, target="y", time=["when"], features=FEATURES
    )
    return fit_transform(frame, spec, keep_missing=keep_missing)


def _in_json(rows):
    """Rows as the gateway gets them: whole numbers without a point, some nulls left out."""
    plain = [
        {k: int(v) if isinstance(v, float) and v in WHOLE_FLOATS else v for k, v in row.items()}
        for row in rows
    ]
    said = [
        {k: v for k, v in row.items() if v is not None or all(other[k] is None for other in plain)}
        for row in plain
    ]
    return pl.DataFrame(json.loads(json.dumps(said)), infer_schema_length=None)


WHOLE_FLOATS = range(-100, 101)


def _kept(transform):
    arrays = {name: np.array(array) for name, array in transform.arrays().items()}
    return restored(json.loads(json.dumps(transform.stored())), arrays)


@given(ROWS, ROWS, st.sampled_from(sorted(TASKS)), st.booleans(), st.randoms())
@settings(max_examples=40, deadline=None)
def test_a_row_gets_the_same_bits_in_any_company(fitted, given, task, keep_missing, random):
    transform = _fitted(fitted, task, keep_missing)
    loaded = _kept(transform)
    assert loaded == transform
    frame = pl.DataFrame(given, schema=SCHEMA)
    whole = transform.apply(frame)
    assert whole.shape == (len(given), len(transform.names))
    order = random.sample(range(len(given)), len(given))
    mixed = loaded.apply(pl.concat([frame[order], pl.DataFrame([FULL], schema=SCHEMA)]))
    assert mixed[:-1].tobytes() == whole[order].tobytes()
    assert loaded.apply(_in_json(given)).tobytes() == whole.tobytes()
    for number, row in enumerate(given):
        assert transform.apply(frame[number : number + 1]).tobytes() == whole[number].tobytes()
        assert loaded.apply(_in_json([row])).tobytes() == whole[number].tobytes()
    assert np.abs(np.nan_to_num(whole)).max() <= 1e30
    if not keep_missing:
        assert np.isfinite(whole).all()


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_how_a_column_is_stored_does_not_matter(given):
    transform = _fitted([], "regression", False)
    frame = pl.DataFrame(given, schema=SCHEMA)
    as_array = frame.with_columns(pl.col("vector").list.to_array(3))
    as_text = frame.with_columns(pl.col("range", "zip", "flag").cast(pl.String))
    as_times = frame.with_columns(pl.col("born", "when").str.to_datetime(strict=False))
    whole = transform.apply(frame).tobytes()
    for other in (as_array, as_text, as_times):
        assert transform.apply(other).tobytes() == whole


@pytest.mark.parametrize("task", sorted(TASKS))
def test_another_process_gets_the_same_bits(task, tmp_path):
    rows = [
        {**FULL, "shop": shop, "note": note, "plain": number}
        for shop in ("a", "b", None)
        for note in ("Good 水", "ÜBER bad bad", None)
        for number in (0.1, 1e300, None)
    ]
    transform = _fitted(rows, task, False)
    np.savez(tmp_path / "arrays.npz", **transform.arrays())
    (tmp_path / "told.json").write_text(json.dumps([transform.stored(), rows]))
    script = (
        "import json, sys, numpy as np, polars as pl\n"
        "from tidegate.data.features.transform import restored\n"
        "told, rows = json.load(open('told.json'))\n"
        "transform = restored(told, dict(np.load('arrays.npz')))\n"
        "frame = pl.DataFrame(rows, infer_schema_length=None)\n"
        "sys.stdout.write(transform.apply(frame).tobytes().hex())\n"
    )
    # Another seed of Python's own hash: an order that hangs on it would show.
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": places},
    )
    whole = transform.apply(pl.DataFrame(rows, schema=SCHEMA))
    assert done.stdout == whole.tobytes().hex()


REAL = {
    "beijing_pm25.csv": ("pm2.5", ["year", "month", "day", "hour"]),
    "bike_sharing_hourly.csv": ("cnt", ["dteday", "hr"]),
    "electricity.csv": ("class", []),
}


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_served_as_they_were_learned(name, shared_data):
    target, time = REAL[name]
    frame = read_files([shared_data / name]).drop_nulls(target)
    frame = frame.gather_every(max(1, frame.height // 3000))
    task = "binary" if name == "electricity.csv" else "regression"
    spec = ModelSpec(model="m", adapter="a", task=task, target=target, time=time)
    transform = _kept(fit_transform(frame, spec))
    whole = transform.apply(frame)
    assert np.isfinite(whole).all()
    for number in range(0, frame.height, 151):
        row = json.loads(json.dumps(frame.row(number, named=True)))
        assert transform.apply(pl.DataFrame([row])).tobytes() == whole[number].tobytes()
