from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.time import readable_time_of, span, time_of
from tidegate.domain.errors import DataError


def _times(**columns):
    return time_of(pl.DataFrame(columns), list(columns)).to_list()


MOMENT = datetime(2011, 2, 3, 4, 0)


@pytest.mark.parametrize(
    "columns",
    [
        {"t": ["2011-02-03 04:00:00"]},
        {"t": ["2011-02-03T04:00:00.000"]},
        {"t": [" 2011-02-03T06:00:00+02:00 "]},
        {"t": ["2011-02-03T04:00:00Z"]},
        {"t": ["2/3/2011 4:00"]},
        {"t": [MOMENT]},
        {"t": [MOMENT.replace(tzinfo=UTC).timestamp()]},
        {"t": [int(MOMENT.replace(tzinfo=UTC).timestamp() * 1000)]},
        {"dteday": ["2/3/2011"], "hr": [4]},
        {"date": ["2011-02-03"], "time": ["04:00:00"]},
        {"year": [2011], "month": [2], "day": [3], "hour": [4]},
        {"hour": [4.0], "day": [3], "month": [2], "year": [2011]},
        {"y": [2011], "m": [2], "d": [3], "h": [4]},
    ],
    ids=str,
)
def test_one_moment_in_many_forms(columns):
    assert _times(**columns) == [MOMENT]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"t": ["2011-01-01", "soon"]}, ["'t'", "soon", "rows 1"]),
        ({"t": ["13/1/2011"]}, ["13/1/2011", "12/31/2011"]),
        ({"t": [17]}, ["'t'", "17"]),
        ({"d": ["2011-01-01"], "hr": [24]}, ["'hr'", "hour", "24", "0 to 23"]),
        ({"year": [2011], "month": [2], "day": [30]}, ["2011-02-30"]),
        ({"year": [0], "month": [2]}, ["year", "1 to 9999"]),
        ({"d": ["2011-01-01"], "a": [1], "b": [1], "c": [1], "e": [1]}, ["do not form a time"]),
    ],
)
def test_what_is_no_time_is_named(columns, says):
    with pytest.raises(DataError) as caught:
        _times(**columns)
    for part in says:
        assert part in str(caught.value)


def test_what_is_no_time_may_be_passed_over():
    frame = pl.DataFrame({"a": ["2011-02-03 04:00", "soon", None], "n": [1.3e9, 5.0, 1.3e12]})
    assert readable_time_of(frame, ["a"]).to_list() == [MOMENT, None, None]
    assert readable_time_of(frame, ["n"]).is_null().to_list() == [False, True, False]
    parts = pl.DataFrame({"year": [2011, 2011, 2011], "month": [2, 13, 2], "day": [3, 1, 30]})
    found = readable_time_of(parts, ["year", "month", "day"]).to_list()
    assert found == [datetime(2011, 2, 3), None, None]


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="'when' is missing"):
        time_of(pl.DataFrame({"a": [1]}), ["when"])


def test_a_row_that_misses_a_part_has_no_time():
    assert _times(d=["2011-02-03", None, "2011-02-03"], hr=[4, 1, None]) == [MOMENT, None, None]
    assert _times(year=[2011, None], month=[2, 2]) == [datetime(2011, 2, 1), None]


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)), min_size=1, max_size=10))
@settings(deadline=None, max_examples=50)
def test_iso_text_comes_back(moments):
    assert _times(t=[moment.isoformat() for moment in moments]) == moments
    first, last = span(pl.Series([None, *moments]))
    assert (first, last) == (min(moments).isoformat(), max(moments).isoformat())


def test_no_time_has_no_span():
    assert span(pl.Series([None], dtype=pl.Datetime("us"))) == (None, None)
