import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tidegate.data.features.fit import fit_transform
from tidegate.domain.model import ModelSpec

BORN = [(date(1950, 1, 1) + timedelta(days=40 * n)).isoformat() for n in range(40)]
FRAME = pl.DataFrame({"y": range(41), "born": [*BORN, None]})


def _fit(frame=FRAME, *, keep_missing=False, **rule):
    spec = ModelSpec(model="m", adapter="a", task="regression", target="y", features={"born": rule})
    return fit_transform(frame, spec, keep_missing=keep_missing)


def test_a_date_becomes_days_and_cycles():
    transform = _fit()
    assert transform.names == [
        "born.days", "born.days=(missing)",
        "born.weekday", "born.weekday.sine", "born.weekday.cosine",
        "born.yearday", "born.yearday.sine", "born.yearday.cosine",
    ]  # fmt: skip
    (feature,) = transform.dates
    assert feature.since == date(1950, 1, 1)
    out = transform.apply(FRAME)
    days = out[:40, 0] * feature.days.scale + feature.days.mean
    assert np.allclose(days, 40 * np.arange(40), atol=1e-3)
    assert out[0, 2] == 6 / 7  # a Sunday
    assert out[0, 5:].tolist() == [0, 0, 1]


def test_without_a_date_the_cycles_stand_still():
    transform = _fit()
    out = transform.apply(pl.DataFrame({"born": [None, " ", "1950-01-01 12:00"]}))
    assert out[0, 1:].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert out[1].tobytes() == out[0].tobytes()
    assert np.isnan(_fit(keep_missing=True).apply(FRAME)[40]).all()
    filled = _fit(keep_missing=True, missing=0)
    assert np.isfinite(filled.apply(FRAME)).all()


def test_parts_and_the_day_to_count_from():
    transform = _fit(parts=["days"], since="1900-01-01", scale="none", indicator=False)
    rows = pl.DataFrame({"born": ["1900-01-02 06:00", "1899-12-31", "2100-01-01"]})
    assert transform.names == ["born.days"]
    assert transform.apply(rows)[:, 0].tolist() == [1.25, -1, 73049]
    assert _fit(parts=["yearday"]).names == [f"born.yearday{p}" for p in ("", ".sine", ".cosine")]


def test_however_a_date_is_written():
    transform = _fit()
    seconds = pl.DataFrame({"born": [946684800]})  # 2000-01-01
    texts = ["2000-01-01", "1/1/2000", "2000-01-01T00:00:00Z", "2000/01/01", " 2000-01-01 "]
    known = transform.apply(seconds)[0].tobytes()
    assert [transform.apply(pl.DataFrame({"born": [t]}))[0].tobytes() for t in texts] == [known] * 5
    typed = pl.DataFrame({"born": pl.Series([date(2000, 1, 1)])})
    assert transform.apply(typed)[0].tobytes() == known
    zoned = pl.DataFrame({"born": ["2000-01-01T02:00:00+02:00"]})
    assert transform.apply(zoned)[0].tobytes() == known


@pytest.mark.parametrize("step", range(0, 366, 61))
def test_the_end_of_a_cycle_lies_beside_its_beginning(step):
    transform = _fit(parts=["yearday"])
    day = date(2012, 1, 1) + timedelta(days=step)
    near = (day + timedelta(days=1)).isoformat()
    a, b = transform.apply(pl.DataFrame({"born": [day.isoformat(), near]}))[:, 1:]
    assert math.dist(a, b) < 0.02
