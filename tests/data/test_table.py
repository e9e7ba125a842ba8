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


@pytest.mark.parametrize(
    ("dtype", "a_day"),
    [
        (pl.Date(), 1),
        (pl.Datetime("ms"), 86_400_000),
        (pl.Datetime("us"), 86_400_000_000),
        (pl.Datetime("us", "Europe/Berlin"), 86_400_000_000),
    ],
)
def test_times_outside_the_years_of_iso_text_are_told_by_row(dtype, a_day):
    first, last = -719_162 * a_day, 2_932_897 * a_day - 1
    whole = pl.Int32 if dtype == pl.Date else pl.Int64
    kept = canonical_column(pl.Series("t", [first, None, last], dtype=whole).cast(dtype))
    assert [text and text[:10] for text in kept] == ["0001-01-01", None, "9999-12-31"]
    largest = 2**31 - 1 if a_day == 1 else 2**63 - 1
    for bad in (first - 1, last + 1, largest):
        times = pl.Series("t", [0, None, bad], dtype=whole).cast(dtype)
        with pytest.raises(DataError, match=r"a\.x: column 't' .* years 1 to 9999 \(rows 12"):
            canonical_column(times, source="a.x", first_row=10)


def test_every_time_in_nanoseconds_has_its_text():
    times = pl.Series([-(2**63) + 1, 2**63 - 1]).cast(pl.Datetime("ns"))
    assert [text[:4] for text in canonical_column(times)] == ["1677", "2262"]


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
