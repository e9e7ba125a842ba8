import numpy as np
import polars as pl
import pytest

from tidegate.data.features.fit import fit_transform
from tidegate.domain.errors import DataError
from tidegate.domain.model import ModelSpec

ROWS = [[1.0, 2.0, 3.0], None, [4.0, None, 6.0], [7.0, float("inf"), float("nan")]]
FRAME = pl.DataFrame({"y": range(4), "v": pl.Series(ROWS, dtype=pl.Array(pl.Float64, 3))})


def _fit(frame=FRAME, *, keep_missing=False, features=None):
    spec = ModelSpec(model="m", adapter="a", task="regression", target="y", features=features)
    return fit_transform(frame, spec, keep_missing=keep_missing)


def test_vectors_pass_through():
    transform = _fit()
    assert transform.names == ["v.0", "v.1", "v.2", "v=(missing)"]
    assert transform.apply(FRAME).tolist() == [
        [1, 2, 3, 0],
        [0, 0, 0, 1],
        [4, 0, 6, 1],
        [7, 0, 0, 1],
    ]


def test_gaps_may_stay():
    out = _fit(keep_missing=True).apply(FRAME)
    assert np.isnan(out).tolist() == [
        [False] * 3, [True] * 3, [False, True, False], [False, True, True],
    ]  # fmt: skip
    filled = _fit(keep_missing=True, features={"v": {"missing": 0, "indicator": False}})
    assert filled.names == ["v.0", "v.1", "v.2"]
    assert np.isfinite(filled.apply(FRAME)).all()


@pytest.mark.parametrize(
    "dtype",
    [pl.List(pl.Float64), pl.List(pl.Float32), pl.Array(pl.Float32, 3), pl.List(pl.Int64)],
    ids=str,
)
def test_however_vectors_are_stored(dtype):
    transform = _fit()
    plain = pl.DataFrame({"v": pl.Series([[1, 2, 3], None], dtype=pl.List(pl.Int64))})
    other = plain.select(pl.col("v").cast(pl.List(pl.Float64)).cast(dtype))
    assert transform.apply(other).tobytes() == transform.apply(plain).tobytes()
    assert transform.apply(pl.DataFrame({"v": [None]}))[0].tolist() == [0, 0, 0, 1]


def test_vectors_of_several_widths_are_told_of():
    frame = pl.DataFrame({"y": [1, 2], "v": [[1.0, 2.0], [1.0]]})
    with pytest.raises(DataError, match=r"vectors of 2 numbers, and holds one of 1 \(row 1\)"):
        _fit(frame)
    with pytest.raises(DataError, match="'v' holds vectors of 0 numbers"):
        _fit(
            pl.DataFrame(
                {"y": [1, 2], "v": [[], []]}, schema={"y": pl.Int64, "v": pl.List(pl.Float64)}
            )
        )
    with pytest.raises(DataError, match="must hold vectors, and holds"):
        _fit(pl.DataFrame({"y": [1, 2], "v": [["a"], ["b"]]}))
