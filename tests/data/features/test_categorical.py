import numpy as np
import polars as pl
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.features.categorical import HashedFeature
from tidegate.data.features.fit import fit_transform
from tidegate.data.features.values import categories, texts
from tidegate.domain.model import ModelSpec


def _spec(**features):
    return ModelSpec(model="m", adapter="a", task="regression", target="y", features=features)


def test_so_many_columns_as_are_declared():
    frame = pl.DataFrame({"y": range(12), "c": list("aaaabbbccdde")})
    assert fit_transform(frame, _spec(c={"max_categories": 2})).target, "four are too many"
    spec = _spec(c={"as": "one_hot", "max_categories": 2})
    assert fit_transform(frame, spec).names == ["c=a", "c=b", "c=(other)"]


def test_numbers_may_be_categories():
    frame = pl.DataFrame({"y": range(6), "code": [1, 1, 2, 2, None, 7]})
    transform = fit_transform(frame, _spec(code="one_hot"))
    assert transform.names == ["code=1", "code=2", "code=(other)", "code=(missing)"]
    rows = pl.DataFrame({"code": ["1", "2.0", None]})
    assert transform.apply(rows).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def _place(text, columns):
    """As the docstring defines it."""
    bits = int.from_bytes(blake3(text.encode()).digest()[:8], "little")
    return bits % columns, -1.0 if bits >= 2**63 else 1.0


@given(st.lists(st.none() | st.text(max_size=30), max_size=20), st.integers(1, 50))
def test_the_hash_is_what_it_is_said_to_be(given, columns):
    out = np.empty((len(given), columns))
    series = pl.Series("c", given, dtype=pl.String)
    HashedFeature(name="c", columns=columns).put(out, series, keep_missing=False)
    for row, text in zip(out, texts(series).to_list(), strict=True):
        expected = np.zeros(columns)
        if text is not None:
            at, sign = _place(text, columns)
            expected[at] = sign
        assert row.tolist() == expected.tolist()


def test_the_hash_never_changes():
    assert [_place(text, 64) for text in ("", "shop 1", "水")] == KNOWN
    out = np.empty((2, 64))
    series = pl.Series("c", ["shop 1", "水"])
    HashedFeature(name="c", columns=64).put(out, series, keep_missing=False)
    assert [(int(np.flatnonzero(row)[0]), row.sum()) for row in out] == KNOWN[1:]


KNOWN = [(47, -1.0), (19, 1.0), (54, 1.0)]


def test_hashed_categories_spread_over_columns_and_signs():
    out = np.empty((6400, 64))
    series = pl.Series("c", [f"customer {n}" for n in range(6400)])
    HashedFeature(name="c", columns=64).put(out, series, keep_missing=False)
    counts = np.abs(out).sum(axis=0)
    assert np.sum((counts - 100) ** 2 / 100) < 116  # chi-square, 63 degrees, 1 in 20,000
    assert abs(out.sum()) < 4 * np.sqrt(6400)


@given(st.lists(st.none() | st.text(max_size=8), max_size=8))
def test_a_list_of_categories_reads_as_the_column_does(given):
    for column in (pl.Series(given, dtype=pl.String), pl.Series(range(len(given)))):
        assert categories(column) == texts(column).to_list()
    spaces = pl.Series([chr(c) + "a" + chr(c) for c in range(0x3100)])
    assert categories(spaces) == texts(spaces).to_list()
