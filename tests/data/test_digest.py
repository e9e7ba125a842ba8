import itertools

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.digest import RowsDigest, rows_digest


def _frame(rows):
    return pl.DataFrame(
        rows,
        schema={"i": pl.Int64, "f": pl.Float64, "s": pl.String, "v": pl.Array(pl.Float64, 2)},
        orient="row",
    )


_ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.text(st.characters(codec="utf-8")),
    st.none() | st.lists(st.floats(), min_size=2, max_size=2),
)


@given(st.lists(_ROW, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_how_rows_are_cut_does_not_matter(rows, cuts):
    frame = _frame(rows)
    ends = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    digest = RowsDigest()
    for start, stop in itertools.pairwise(ends):
        digest.add(frame[start:stop])
    assert digest.rows == len(rows)
    assert digest.hexdigest() == rows_digest(frame)


def test_vectors_count_by_value():
    base = _frame([(1, 1.0, "a", [1.0, np.nan]), (1, 1.0, "a", None)])
    other_nan = base["v"].to_list()[0]
    other_nan[1] = np.array([0x7FF8000000000001]).view(np.float64)[0]
    same = pl.Series([other_nan, None], dtype=base["v"].dtype)
    assert rows_digest(base.with_columns(v=same)) == rows_digest(base)
    for changed in ([[1.0, 2.0], None], [[1.0, np.nan], [0.0, 0.0]], [None, [1.0, np.nan]]):
        moved = base.with_columns(v=pl.Series(changed, dtype=base["v"].dtype))
        assert rows_digest(moved) != rows_digest(base)


def test_text_does_not_run_into_its_neighbour():
    def digest(values):
        return rows_digest(pl.DataFrame({"a": values}))

    assert len({digest(["ab", "c"]), digest(["a", "bc"]), digest(["abc", ""])}) == 3
