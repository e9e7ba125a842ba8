from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from tidegate.data.table import as_text, canonical, canonical_column, columns_of, stacked
from tidegate.domain.errors import DataError
from tidegate.domain.schema import Kind


@pytest.mark.parametrize(
    ("given", "dtype", "held"),
    [
        (pl.Series([1, None], dtype=pl.Int8), pl.Int64, [1, None]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), pl.Float64, [float(2**64 - 1)]),
        (pl.Series([7], dtype=pl.UInt64), pl.Int64, [7]),
        (pl.Series([0.5, float("nan")], dtype=pl.Float32), pl.Float64, [0.5, None]),
        (pl.Series([Decimal("1.25")]), pl.Float64, [1.25]),
        (pl.Series([True, None]), pl.String, ["true", None]),
        (pl.Series(["x"], dtype=pl.Categorical), pl.String, ["x"]),
        (pl.Series([None]), pl.Float64, [None]),
        (pl.Series([date(2011, 1, 2)]), pl.String, ["2011-01-02"]),
        (pl.Series([datetime(2011, 1, 2, 3, 4, 5)]), pl.String, ["2011-01-02 03:04:05"]),
        (pl.Series([datetime(2011, 1, 2, tzinfo=UTC)]), pl.String, ["2011-01-02T00:00:00Z"]),
    ],
)
def test_every_plain_type_has_one_form(given, dtype, held):
    column = canonical_column(given)
    assert column.dtype == dtype
    assert column.to_list() == held
    assert canonical_column(column).equals(column)


def test_a_column_of_lists_is_refused():
    with pytest.raises(DataError, match="'odd'"):
        canonical(pl.DataFrame({"odd": [[1], [2]]}))


def test_numbers_as_categories():
    assert as_text(pl.Series([1.0, 2.5, None, 1e300])).to_list() == ["1", "2.5", None, "1e+300"]
    assert as_text(pl.Series([1, None])).to_list() == ["1", None]


def test_columns_tell_kind_and_missing():
    a, b = columns_of(pl.DataFrame({"a": [1, None], "b": ["x", "y"]}))
    assert (a.kind, a.missing, b.kind, b.missing) == (Kind.NUMERIC, 1, Kind.CATEGORICAL, 0)


def test_codes_stack_as_text_where_one_file_has_letters():
    letters = pl.DataFrame({"c": ["a", "7"], "n": [1, 2]})
    digits = pl.DataFrame({"n": [3.5, 4.0], "c": [7, 8]})
    rows = stacked([letters, digits])
    assert rows["c"].to_list() == ["a", "7", "7", "8"]
    assert rows["n"].to_list() == [1.0, 2.0, 3.5, 4.0]
