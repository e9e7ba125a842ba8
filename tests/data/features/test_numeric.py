import numpy as np
import polars as pl
import pytest

from tidegate.data.features.fit import fit_transform
from tidegate.domain.errors import WrongUsage
from tidegate.domain.model import ModelSpec
from tidegate.process.models import parse_model

FRAME = pl.DataFrame({"y": [0.0] * 6, "x": [1.0, 2.0, 4.0, None, 8.0, 100.0]})


def _of_x(frame=FRAME, *, keep_missing=False, **rule):
    spec = ModelSpec(model="m", adapter="a", task="regression", target="y", features={"x": rule})
    return fit_transform(frame, spec, keep_missing=keep_missing)


def test_scales():
    (standard,) = _of_x(scale="standard").numeric
    assert standard == _of_x().numeric[0]
    (robust,) = _of_x(scale="robust").numeric
    assert (robust.mean, robust.scale) == (4.0, 6.0)  # median; from 2 to 8
    (even,) = _of_x(scale="min_max").numeric
    assert (even.mean, even.scale) == (1.0, 99.0)
    plain = _of_x(scale="none").apply(FRAME)
    assert plain[:, 0].tolist() == [1, 2, 4, 4, 8, 100]


def test_a_scale_of_nothing_is_none():
    same = FRAME.with_columns(x=pl.lit(7.0))
    for scale in ("standard", "robust", "min_max"):
        assert _of_x(same, scale=scale).apply(same)[:, 0].tolist() == [0.0] * 6
    mostly = FRAME.with_columns(x=pl.Series([5.0, 5, 5, 5, 5, 65]))
    out = _of_x(mostly, scale="robust").apply(mostly)[:, 0]
    assert out[:5].tolist() == [0.0] * 5
    assert 2 < out[5] < 3, "by the standard deviation: the middle half is one value"
    ends = FRAME.with_columns(x=pl.Series([-1.7e308, 1.7e308, 0, 0, 0, 0]))
    assert np.isfinite(_of_x(ends, scale="min_max").apply(ends)).all()


def test_what_stands_for_a_missing_number():
    def filled(**rule):
        return _of_x(scale="none", **rule).apply(FRAME)[3].tolist()

    assert filled() == [4.0, 1.0]
    assert filled(missing="median") == [4.0, 1.0]
    assert filled(missing="mean") == [23.0, 1.0]
    assert filled(missing=-1) == [-1.0, 1.0]
    assert filled(missing=0, indicator=False) == [0.0]
    assert np.isnan(filled(missing="keep")).tolist() == [True]


def test_an_adapter_that_keeps_gaps_may_be_given_none():
    assert _of_x(keep_missing=True).names == ["x"]
    filled = _of_x(keep_missing=True, missing="median")
    assert filled.names == ["x", "x=(missing)"]
    assert np.isfinite(filled.apply(FRAME)).all()
    assert filled.format == 2


def test_an_indicator_where_nothing_was_missing_yet():
    whole = FRAME.drop_nulls()
    assert _of_x(whole).names == ["x"]
    told = _of_x(whole, indicator=True)
    assert told.apply(FRAME)[:, 1].tolist() == [0, 0, 0, 1, 0, 0]


def test_texts_of_digits_may_be_numbers():
    codes = FRAME.with_columns(x=pl.Series(["1", "2", " 3 ", "", "1e2", None]))
    out = _of_x(codes, **{"as": "number"}, scale="none", missing=0).apply(codes)
    assert out[:, 0].tolist() == [1, 2, 3, 0, 100, 0]


def test_gaps_are_kept_only_for_adapters_that_take_them():
    given = {"model": "m", "task": "regression", "target": "y"}
    features = {"x": {"missing": "keep"}}
    parse_model({**given, "adapter": "sklearn.hist_gradient_boosting", "features": features})
    with pytest.raises(WrongUsage, match="'x' keeps missing values, and adapter"):
        parse_model({**given, "adapter": "sklearn.ridge", "features": features})
