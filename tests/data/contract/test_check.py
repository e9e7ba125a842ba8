"""The contract's rules on batches: what each finds, and that the cut changes nothing."""

import itertools
import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.contract.contract import check, check_contract
from tidegate.data.contract.infer import infer, infer_contract
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import ColumnRule, Contract, RowRule, UniqueRule

SPEC = ModelSpec(model="m", adapter="tensors")


def _found(frame, **contract):
    given = {"columns": [], **contract}
    return check_contract(pl.DataFrame(frame), Contract.model_validate(given), SPEC)


def _column(values, **rule):
    return _found({"a": values}, columns=[{"name": "a", **rule}])


def _seen(found):
    return [(breach.rule, breach.count, breach.rows) for breach in found]


def test_dates_are_read_and_kept_within_a_range():
    days = ["2011-02-28", " 12/31/2011", "2011-02-29", None, "2012-01-01T00:00:00Z", "soon"]
    rule = {"kind": "date", "earliest": "2011-03-01", "latest": "2011-12-31"}
    unread, outside = _column(days, **rule)
    assert (unread.rule, unread.severity, unread.rows) == ("unreadable", "warn", [2, 5])
    assert unread.examples == ["2011-02-29", "soon"]
    assert (outside.rule, outside.rows) == ("range", [0, 4])
    assert "2011-03-01 to 2011-12-31" in outside.message.text()
    assert _column(["2011-02-28", None], kind="date") == []
    assert _column([1.3e9, 1.3e12], kind="date") == []  # seconds and milliseconds


def test_a_column_of_no_dates_is_of_another_kind():
    [breach] = _column(["soon", "late", None], kind="date")
    assert (breach.rule, breach.severity, breach.count) == ("kind", "refuse", 2)
    [numbers] = _column([1, 2], kind="date")
    assert numbers.rule == "kind"
    assert "was a time and is now numeric" in numbers.message.text()


def test_booleans_in_their_several_spellings():
    assert _column([True, False, None], kind="boolean") == []
    assert _column(["TRUE", "false"], kind="boolean") == []
    assert _column([1, 0], kind="boolean") == []
    assert _seen(_column([1, 0, 2], kind="boolean")) == [("unreadable", 1, [2])]
    assert _seen(_column(["true", "maybe"], kind="boolean", severity="refuse")) == [
        ("unreadable", 1, [1])
    ]
    assert _seen(_column(["maybe", "no"], kind="boolean")) == [("kind", 2, [0, 1])]


def test_a_pattern_is_matched_by_the_whole_value():
    codes = ["AB-12", "xAB-12", "AB-12\n", "AB-12x", None, " AB-34 "]
    [breach] = _column(codes, kind="text", pattern="[A-Z]{2}-[0-9]+|x")
    assert (breach.rule, breach.rows) == ("pattern", [1, 3])
    # A bare number is a text where the pattern fits every one.
    assert _column([12, 34], kind="text", pattern="[0-9]+") == []
    assert _seen(_column([12, -3], kind="text", pattern="[0-9]+")) == [("kind", 1, [1])]
    assert _seen(_column([12, -3], kind="text")) == [("kind", 2, [0, 1])]


def test_a_hostile_pattern_takes_time_in_proportion_to_the_text():
    began = time.process_time()
    [breach] = _column(["a" * 100_000 + "b"], kind="text", pattern="(a+)+c|(a|a)*d")
    assert breach.count == 1
    assert len(breach.examples[0]) == 101  # cut, and an ellipsis
    assert time.process_time() - began < 30  # with backtracking: until the sun burns out


def test_lengths_are_in_characters():
    [breach] = _column(["", "北京", "北京市", "éé", None], kind="text", min_length=2, max_length=2)
    assert (breach.rule, breach.rows) == ("length", [2])  # a text of nothing is missing
    assert "2 to 2 characters" in breach.message.text()


def test_never_null():
    [breach] = _column([1, None, 3, None], kind="numeric", max_missing_share=0, severity="refuse")
    assert (breach.rule, breach.severity, breach.rows) == ("missing_share", "refuse", [1, 3])
    assert (breach.count, breach.share, breach.examples) == (2, 0.5, [None, None])


def test_embeddings_have_a_width():
    frame = pl.DataFrame({"a": [[1.0, 2.0], None]}, schema={"a": pl.Array(pl.Float64, 2)})
    texts = pl.DataFrame({"a": ["x"]})

    def found(rows, **rule):
        contract = Contract(columns=[ColumnRule(name="a", **rule)])
        return _seen(check([rows], contract, SPEC))

    assert found(frame, kind="embedding", width=2) == []
    assert found(frame, kind="embedding") == []
    assert found(frame, kind="embedding", width=3) == [("kind", 1, [0])]
    assert found(frame, kind="embedding", max_missing_share=0) == [("missing_share", 1, [1])]
    assert found(texts, kind="embedding") == [("kind", 1, [0])]
    assert found(frame, kind="numeric") == [("kind", 1, [0])]
    contract = Contract(columns=[], rules=[RowRule(rule="a is not null")])
    [breach] = check([frame], contract, SPEC)
    assert (breach.rows, breach.examples) == ([1], ["a=-"])
    assert infer([frame], SPEC).columns[0].width == 2


def test_unique_in_one_column_and_in_several():
    rows = {"a": [1, 2, 1, 1, None, None], "b": ["x", "x", "y", " x", "x", "x"]}
    [one] = _found(rows, columns=[{"name": "a", "kind": "numeric", "unique": True}])
    assert (one.column, one.rule, one.count, one.rows) == ("a", "unique", 2, [2, 3])
    [both] = _found(rows, unique=[["a", "b"]])
    assert (both.column, both.severity, both.rows) == ("a, b", "warn", [3])
    assert both.examples == ["1, x"]
    strict = UniqueRule(columns=["b"], severity="refuse")
    [texts] = _found(rows, unique=[strict])
    assert (texts.severity, texts.count, texts.share) == ("refuse", 4, 4 / 6)


def test_extra_columns():
    rows = {"age": [1], "^a.*$": [1], "b": [2]}
    rules = [{"name": "age", "kind": "numeric"}]
    assert _found(rows, columns=rules) == []
    found = _found(rows, columns=rules, extra_columns="refuse")
    assert [(b.column, b.rule, b.severity, b.share) for b in found] == [
        ("^a.*$", "extra_column", "refuse", 1.0),
        ("b", "extra_column", "refuse", 1.0),
    ]


def test_names_that_mean_something_to_polars_are_names():
    rows = {"^.*$": [1, 9], "*": [1, 1]}
    rules = [{"name": "^.*$", "kind": "numeric", "maximum": 5}, {"name": "*", "kind": "numeric"}]
    found = _found(rows, columns=rules, rules=["`^.*$` == `*`"], unique=[["*"], ["^.*$"]])
    assert _seen(found) == [("range", 1, [1]), ("unique", 1, [1]), ("rule", 1, [1])]


ROWS = {
    "start": ["2011-01-01", "2011-01-31", "2/1/2011", None],
    "end": ["2011-01-02", "2011-01-30", "2011-02-01", "2011-01-01"],
    "a": [0.1, 1.0, 2.0, None],
    "b": [0.2, 2.0, 0.0, 1.0],
    "total": [0.3, 4.0, 2.0, 1.0],
    "n": [2**60, 3, 0, 0],
    "m": [2**60 + 1, 3, 0, 1],
    "status": ["closed", "open", "closed", "Closed"],
    "ok": ["true", "FALSE", "true", None],
}
KINDS = [
    {"name": "start", "kind": "date"},
    {"name": "end", "kind": "date"},
    {"name": "ok", "kind": "boolean"},
]


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("start <= end", [1]),
        ("end - start <= 0.5", [0]),
        ("start < '2011-01-31T12:00:00'", [2]),
        ("start in ('2011-01-01', '2011-01-31')", [2]),
        ("total == a + b", [1]),  # 0.1 + 0.2 is 0.3 here
        ("total > a + b", [0, 2]),
        ("total >= a + b", []),
        ("total != a + b", [0, 2]),
        ("n == m", [0, 3]),  # whole numbers are compared to the last digit
        ("a / b < 1.5", [2]),  # 2 / 0 is infinite
        ("b / b == 1", []),  # 0 / 0 is no number: nothing is said
        ("n % 2 == 0 or n in (3, 4)", []),
        ("abs(-a) * 2 < 3", [2]),
        ("if status == 'closed' then start is not null and b > 0", [2]),
        ("if lower(status) == 'closed' then a is not null", [3]),
        ("len(status) != 4", [1]),
        ("status not in ('open', 'closed')", [0, 1, 2]),
        ("status in ('open')", [0, 2, 3]),
        ("not ok", [0, 2]),
        ("ok == true", [1]),
        ("if ok then a < 1", [2]),
        ("a is null", [0, 1, 2]),
    ],
)
def test_rules_between_columns(rule, rows):
    found = _found(ROWS, columns=KINDS, rules=[rule])
    assert [breach.rows for breach in found] == ([rows] if rows else [])
    for breach in found:
        assert (breach.rule, breach.severity) == ("rule", "warn")
        assert rule in breach.message.text()


def test_a_broken_rule_shows_its_columns():
    [breach] = _found(ROWS, rules=[RowRule(rule="total == a + b", severity="refuse")])
    assert breach.column == "total, a, b"
    assert breach.examples == ["total=4.0, a=1.0, b=2.0"]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("a < gone", "at character 5: there is no column 'gone'"),
        ("a < status", "at character 5: this is a text, and a number is needed"),
        ("status + 1 > 2", "at character 1: this is a text"),
        ("start < 'soon'", "at character 9: this is a text, and a time is needed"),
        ("start > '0001-01-01T00:00:00+14:00'", "at character 9: this is a text, and a time"),
        ("a and b > 1", "at character 1: this is a number, and true or false"),
        ("len(a) > 1", "a number, and a text is needed"),
        ("ok < true", "true or false, and a number is needed"),
        ("a in ('x', 'y')", "a text, and a number is needed"),
    ],
)
def test_a_rule_that_these_columns_do_not_allow_is_never_passed_over(rule, says):
    [breach] = _found(ROWS, columns=KINDS, rules=[rule])
    assert (breach.rule, breach.count, breach.share) == ("unchecked", 4, 1.0)
    assert says in breach.message.text()


_VALUES = {
    "n": st.none() | st.integers(-3, 3),
    "x": st.none() | st.sampled_from([0.0, -0.0, 0.5, 1e300]),
    "s": st.none() | st.sampled_from(["a", "b", " a", "", "2011-01-01", "北京"]),
    "t": st.none() | st.sampled_from(["2011-01-01", "2011-01-03", "1/2/2011", "no", "2012-05-05"]),
    "ok": st.none() | st.sampled_from(["true", "false", "no"]),
}
_SCHEMA = {"n": pl.Int64, "x": pl.Float64, "s": pl.String, "t": pl.String, "ok": pl.String}
_ALL = Contract.model_validate(
    {
        "columns": [
            {"name": "n", "kind": "numeric", "maximum": 1, "allowed": ["0", "2"]},
            {"name": "x", "kind": "numeric", "minimum": 0.1, "unique": True},
            {"name": "s", "kind": "categorical", "pattern": "[a-z]", "max_missing_share": 0.1},
            {"name": "t", "kind": "date", "latest": "2011-12-31"},
            {"name": "ok", "kind": "boolean"},
            {"name": "gone", "kind": "numeric"},
        ],
        "unique": [["n", "s"], ["t"]],
        "rules": ["n < x", "if ok then t < '2011-01-02'", "len(s) == n", "s < n"],
        "time": "t",
        "freshness": {"max_age_days": 1},
        "coverage": {
            "min_rows": 5,
            "max_gap_days": 1,
            "min_days_share": 0.5,
            "present": [{"column": "s", "values": ["a", "c"], "min_rows": 2}],
        },
    }
)


@given(
    st.lists(st.fixed_dictionaries(_VALUES), max_size=14),
    st.lists(st.integers(0, 14), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_how_rows_are_cut_into_batches_changes_nothing(rows, cuts):
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    edges = sorted({0, frame.height, *(cut for cut in cuts if cut <= frame.height)})
    parts = [frame[a:b] for a, b in itertools.pairwise(edges)] or [frame]
    now = "2012-01-01T00:00:00+00:00"
    whole = check([frame], _ALL, SPEC, now=now)
    assert check(iter(parts), _ALL, SPEC, now=now) == whole
    spec = ModelSpec(model="m", adapter="tensors", key="n", time=["t"])
    assert infer(iter(parts), spec) == infer([frame], spec)


def test_what_is_inferred_of_the_new_kinds():
    texts = [f"this is remark {n} of many" for n in range(400)]
    frame = pl.DataFrame(
        {
            "id": [f"c{n}" for n in range(400)],
            "at": [f"2011-{1 + n % 12:02}-{1 + n // 12 % 28:02}" for n in range(400)],
            "ok": [True, False] * 200,
            "note": texts,
            "code": [f"z{n}" for n in range(400)],
        }
    )
    spec = ModelSpec(model="m", adapter="tensors", key="id", time=["at"])
    contract = infer_contract(frame, spec)
    kinds = {rule.name: rule.kind.value for rule in contract.columns}
    assert kinds == {
        "id": "categorical", "at": "date", "ok": "boolean", "note": "text", "code": "categorical",
    }  # fmt: skip
    assert contract.rule("note").max_length == 2 * max(map(len, texts))
    assert contract.rule("ok").allowed is None
    assert contract.unique == [UniqueRule(columns=["id", "at"])]
    assert check_contract(frame, contract, spec) == []
    twice = pl.concat([frame, frame[:1]])
    assert infer_contract(twice, spec).unique == []
    [breach] = check_contract(twice, contract, spec)
    assert (breach.rule, breach.rows) == ("unique", [400])


def test_no_rows_and_no_batches_at_all():
    contract = Contract.model_validate({**_ALL.model_dump(), "columns": _ALL.columns[:5]})
    none = check([], contract, SPEC, now="2012-01-01")
    assert {b.column for b in none if b.rule == "missing_column"} == {"n", "x", "s", "t", "ok"}
    empty = check([pl.DataFrame(schema=_SCHEMA)], contract, SPEC, now="2012-01-01")
    assert [b.rule for b in empty] == ["unchecked", "freshness", "coverage", "coverage", "coverage"]
