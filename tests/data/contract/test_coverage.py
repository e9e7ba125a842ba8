import polars as pl
import pytest

from tidegate.data.contract.contract import check_contract
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract

SPEC = ModelSpec(model="m", adapter="tensors", time=["day"])
DAYS = pl.DataFrame(
    {"day": ["2011-01-09", "2011-01-01", None, "2011-01-02", "2011-01-04", "2011-01-09"]}
)


def _found(rules, frame=DAYS, spec=SPEC, now="2011-01-11T00:00:00+00:00"):
    contract = Contract.model_validate({"columns": [], **rules})
    return check_contract(frame, contract, spec, now=now)


def test_the_newest_row_is_too_old():
    assert _found({"freshness": {"max_age_days": 2}}) == []
    [breach] = _found({"freshness": {"max_age_days": 1.5}})
    assert (breach.column, breach.rule, breach.severity) == ("day", "freshness", "refuse")
    assert (breach.rows, breach.share) == ([0], 1.0)
    assert "2.0 days old" in breach.message.text()


def test_without_a_time_freshness_cannot_be_kept():
    plain = ModelSpec(model="m", adapter="tensors")
    [breach] = _found({"freshness": {"max_age_days": 9}}, spec=plain)
    assert "no row has a time" in breach.message.text()
    assert _found({"freshness": {"max_age_days": 9}, "time": "day"}, spec=plain) == []
    [absent] = _found({"freshness": {"max_age_days": 9}, "time": "when"})[:1]
    assert (absent.rule, absent.column) == ("missing_column", "when")


def test_times_of_several_columns_and_what_is_no_time():
    frame = pl.DataFrame({"year": [2011, 2011, 2011], "month": [1, 13, None], "day": [10, 1, 1]})
    spec = ModelSpec(model="m", adapter="tensors", time=["year", "month", "day"])
    [unread] = _found({"freshness": {"max_age_days": 1}}, frame, spec)
    assert (unread.rule, unread.rows, unread.examples) == ("unreadable", [1], ["2011 13 1"])


def test_gaps_in_time_whatever_the_order_of_the_rows():
    [breach] = _found({"coverage": {"max_gap_days": 1.5, "severity": "refuse"}})
    assert (breach.rule, breach.severity, breach.count) == ("coverage", "refuse", 2)
    assert breach.examples == [
        "2011-01-02T00:00:00 / 2011-01-04T00:00:00",
        "2011-01-04T00:00:00 / 2011-01-09T00:00:00",
    ]
    assert breach.rows == [4, 0]
    assert "the longest 5.0 days" in breach.message.text()
    assert _found({"coverage": {"max_gap_days": 5}}) == []


def test_the_share_of_days_with_a_row():
    [breach] = _found({"coverage": {"min_days_share": 0.5}})
    assert (breach.count, breach.share) == (5, 5 / 9)
    assert breach.examples[0] == "2011-01-03"
    assert _found({"coverage": {"min_days_share": 4 / 9}}) == []


def test_enough_rows():
    [breach] = _found({"coverage": {"min_rows": 8}})
    assert (breach.count, breach.share) == (2, 0.25)
    assert "6 rows" in breach.message.text()


@pytest.mark.parametrize(
    ("rule", "short"),
    [
        ({"values": ["Rome", "Oslo"]}, []),
        ({"values": ["Rome", "Oslo", "Bonn"]}, ["Bonn: 0"]),
        ({"values": ["Rome", "Oslo"], "min_rows": 2}, ["Oslo: 1"]),
        ({"values": ["Rome", "Oslo"], "min_share": 0.5}, ["Oslo: 1"]),
    ],
)
def test_values_of_which_there_must_be_rows(rule, short):
    frame = pl.DataFrame({"city": ["Rome", " Rome", "Oslo", None]})
    found = _found({"coverage": {"present": [{"column": "city", **rule}]}}, frame)
    assert [breach.examples for breach in found] == ([short] if short else [])
    codes = pl.DataFrame({"city": [1.0, 2.0]})
    assert _found({"coverage": {"present": [{"column": "city", "values": ["1"]}]}}, codes) == []
