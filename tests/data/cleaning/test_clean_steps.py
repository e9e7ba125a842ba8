"""Declared cleaning: what each step changes and tells, and that it is the same every time."""

import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.data.cleaning.clean import as_read, clean, clean_batches, clean_request
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.evidence import Change, Cleaning
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract


def _spec(*steps, **given):
    document = {"model": "m", "adapter": "ridge", "task": "regression", "target": "y"}
    return ModelSpec.model_validate({**document, "cleaning": list(steps), **given})


def _cleaned(step, recorded=(), **columns):
    frame, [report] = clean(pl.DataFrame(columns, strict=False), _spec(step), None, recorded)
    assert str(report.changed) in report.message.text()
    return frame.to_dict(as_series=False), report


def test_blanks_in_some_columns_only():
    found, report = _cleaned({"step": "trim", "columns": ["a"]}, a=[" x ", " "], b=[" y", ""])
    assert found == {"a": ["x", None], "b": [" y", ""]}
    assert (report.changed, report.columns) == (2, {"a": 2})
    assert report.example == Change(row=0, column="a", before=" x ", after="x")


def test_words_and_numbers_that_mean_missing():
    step = {"step": "missing", "values": ["?", -999]}
    found, report = _cleaned(step, a=["?", "x"], b=[-999, 1], c=[-999.0, 0.5])
    assert found == {"a": [None, "x"], "b": [None, 1], "c": [None, 0.5]}
    assert report.columns == {"a": 1, "b": 1, "c": 1}
    assert "?, -999" in report.message.text()
    only, _ = _cleaned({**step, "columns": ["b"]}, a=["?"], b=[-999])
    assert only == {"a": ["?"], "b": [None]}


@pytest.mark.parametrize(
    ("kind", "more", "given", "found"),
    [
        ("numeric", {}, ["1.5", " 2 ", "1,234.5", "1e3", "x"], [1.5, 2, 1234.5, 1e3, None]),
        ("numeric", {"decimal": ","}, ["1,5", "1.234,5", "1 234"], [1.5, 1234.5, 1234]),
        ("numeric", {}, ["1,5", "12,34", "1e999", "inf"], [None] * 4),  # never 15
        ("numeric", {"decimal": ","}, ["1.5", "1,234,567"], [None, None]),
        ("numeric", {}, [1, 2], [1, 2]),
        ("categorical", {}, [1.0, 2.5, None], ["1", "2.5", None]),
        ("boolean", {}, ["Yes", "no ", "1", "?"], ["true", "false", "true", None]),
        ("boolean", {}, [1, 0, 2], ["true", "false", None]),
        ("date", {}, ["12/31/2011", "2011-12-31T10:00:00Z", "31.12.2011"],
         ["2011-12-31 00:00:00", "2011-12-31 10:00:00", None]),
    ],
)  # fmt: skip
def test_columns_as_another_type(kind, more, given, found):
    step = {"step": "types", "columns": {"a": kind}, **more}
    cleaned, report = _cleaned(step, a=given)
    assert cleaned == {"a": found}
    lost = sum(new is None and old is not None for old, new in zip(given, found, strict=True))
    assert f"{lost} that could not be read" in report.message.text()
    again, second = _cleaned(step, a=cleaned["a"])
    assert (again, second.changed) == (cleaned, 0)


def test_texts_in_small_letters_and_in_place_of_others():
    found, report = _cleaned("lower", a=["ROME", "oslo", None], n=[1, 2, 3])
    assert found == {"a": ["rome", "oslo", None], "n": [1, 2, 3]}
    assert report.columns == {"a": 1}
    step = {"step": "replace", "column": "a", "values": {"NYC": "New York", "?": None}}
    found, report = _cleaned(step, a=["NYC", "?", "Oslo"])
    assert found == {"a": ["New York", None, "Oslo"]}
    assert report.changed == 2


def test_columns_under_other_names():
    step = {"step": "rename", "columns": {"^a$": "b", "c": "d"}}
    found, report = _cleaned(step, **{"^a$": [1], "c": [2]})
    assert found == {"b": [1], "d": [2]}
    assert (report.changed, report.columns) == (2, {"^a$": 1, "c": 1})
    again, second = _cleaned(step, **found)
    assert (again, second.changed) == (found, 0)
    with pytest.raises(DataError, match="two columns 'b'"):
        _cleaned({"step": "rename", "columns": {"a": "b"}}, a=[1], b=[2])


@pytest.mark.parametrize(
    ("action", "found", "rows"),
    [("clip", [0, 5, 10, None], 0), ("blank", [None, 5, None, None], 0), ("drop", [5, None], 2)],
)
def test_numbers_outside_a_range(action, found, rows):
    step = {"step": "range", "column": "a", "minimum": 0, "maximum": 10, "action": action}
    cleaned, report = _cleaned(step, a=[-1, 5, 99, None])
    assert cleaned == {"a": found}
    assert (report.changed, report.rows) == (2, rows)
    assert report.example.row == 0
    assert report.example.before == ({"a": -1} if rows else -1)


def test_an_end_that_is_no_whole_number():
    cleaned, _ = _cleaned(
        {"step": "range", "column": "a", "maximum": 1.5, "action": "clip"}, a=[1, 9]
    )
    assert cleaned == {"a": [1.0, 1.5]}


@pytest.mark.parametrize(
    ("given", "ends", "found"),
    [
        ([2**63 - 1, 3, None], {"maximum": 10}, [10, 3, None]),
        ([-(2**63), 2**63 - 1], {"minimum": 0}, [0, 2**63 - 1]),
        ([2**53 + 1, -4], {"minimum": -3}, [2**53 + 1, -3]),
        ([2**63 - 1, -(2**63)], {"minimum": -1e30, "maximum": 1e30}, [2**63 - 1, -(2**63)]),
        ([2**63 - 1, 3], {"minimum": 1e30}, [1e30, 1e30]),
        ([-(2**63), 3], {"maximum": -1e30}, [-1e30, -1e30]),
    ],
)
def test_a_range_of_whole_numbers_is_kept_to_the_last_digit(given, ends, found):
    step = {"step": "range", "column": "a", "action": "clip", **ends}
    cleaned, report = _cleaned(step, a=given)
    assert cleaned == {"a": found}
    assert [type(value) for value in cleaned["a"]] == [type(value) for value in found]
    assert _cleaned(step, [report], **cleaned)[0] == cleaned


def test_outliers_by_the_middle_half():
    values = [float(n) for n in range(-50, 51)] + [1e6]
    found, report = _cleaned({"step": "outliers", "columns": ["a"], "limit": 3}, a=values)
    limits = report.fitted["a"]
    # Median 0.5, median distance 25.5: 3 x 1.4826 x 25.5 to either side.
    assert limits["high"] == pytest.approx(0.5 + 3 * 1.4826 * 25.5)
    assert found["a"][-1] == limits["high"]
    assert (report.changed, report.example.row) == (1, 101)


def test_outliers_by_quantiles_and_where_there_are_none():
    step = {"step": "outliers", "columns": ["a"], "method": "quantiles", "low": 0.1, "high": 0.9}
    found, report = _cleaned({**step, "action": "drop"}, a=list(range(101)))
    assert report.fitted == {"a": {"low": 10.0, "high": 90.0}}
    assert (found["a"][0], found["a"][-1], report.rows) == (10, 90, 20)
    for dull in ([7, 7, 7], [None, None]):
        found, report = _cleaned({"step": "outliers", "columns": ["a"]}, a=dull)
        assert (found, report.fitted) == ({"a": dull}, {})
    mostly, report = _cleaned({"step": "outliers", "columns": ["a"]}, a=[0.0] * 99 + [1000.0])
    assert report.changed == 1  # the median distance is zero, the mean is not
    assert mostly["a"][-1] < 1000


def test_what_was_recorded_is_gone_by_again():
    step = {"step": "outliers", "columns": ["a"], "limit": 3}
    first, report = _cleaned(step, a=[1.0, 2.0, 3.0, 4.0, 500.0])
    other, again = _cleaned(step, [report], a=[1000.0] * 5)
    assert other["a"] == [report.fitted["a"]["high"]] * 5
    assert again.fitted == report.fitted
    twice, second = _cleaned(step, [report], **first)
    assert (twice, second.changed) == (first, 0)
    stored = Cleaning.model_validate_json(report.model_dump_json())
    assert _cleaned(step, [stored], a=[1000.0] * 5)[0] == other


@pytest.mark.parametrize(
    ("step", "given", "found", "value"),
    [
        ({"value": "none"}, ["x", None], ["x", "none"], "none"),
        ({"value": 0.5}, [1, None], [1.0, 0.5], 0.5),
        ({"value": 3}, [1, None], [1, 3], 3),
        ({"value": "none"}, [None, None], ["none", "none"], "none"),
        ({"by": "median"}, [1, 2, 9, None], [1, 2, 9, 2], 2),
        ({"by": "mode"}, ["b", "a", "a", "b", None], ["b", "a", "a", "b", "a"], "a"),
        ({"by": "median"}, [None, None], [None, None], None),
        ({"by": "median"}, [2**63 - 1, None], [2**63 - 1] * 2, 2**63 - 1),
        ({"by": "median"}, [2**53 + 1, 0, 2**53 + 1], [2**53 + 1, 0, 2**53 + 1], 2**53 + 1),
        ({"value": 3}, [None, None], [3.0, 3.0], 3),
        ({"value": 3}, [0.5, None], [0.5, 3.0], 3),
        ({"value": 10**20}, [1, None], [1.0, 1e20], 10**20),
        ({"value": 10**20}, [0.5, None], [0.5, 1e20], 10**20),
    ],
)
def test_missing_values_filled_in(step, given, found, value):
    step = {"step": "fill", "columns": ["a"], **step}
    cleaned, report = _cleaned(step, a=given)
    assert cleaned == {"a": found}
    assert [type(value) for value in cleaned["a"]] == [type(value) for value in found]
    assert report.fitted == ({} if value is None else {"a": {"value": value}})
    again, second = _cleaned(step, [report], **cleaned)
    assert (again, second.changed) == (cleaned, 0)


def test_filled_columns_are_of_a_type_that_tables_know():
    columns = {"i": pl.Int64, "f": pl.Float64, "s": pl.String, "e": pl.Array(pl.Float64, 2)}
    frame = pl.DataFrame({name: [None, None] for name in columns}, schema=columns)
    filled, _ = clean(frame, _spec({"step": "fill", "columns": list(columns), "value": 3}), None)
    # A batch without a value is of the same type as the others of its column.
    assert filled.dtypes == [pl.Int64, pl.Float64, pl.Float64, pl.Float64]
    vectors = frame.with_columns(e=pl.Series([[1.0, 2.0], None], dtype=columns["e"]))
    with pytest.raises(DataError, match="fills column 'e' with 3"):
        clean(vectors, _spec({"step": "fill", "columns": ["e"], "value": 3}), None)


def test_rows_that_miss_something_and_rows_that_repeat():
    found, report = _cleaned(
        {"step": "require", "columns": ["a", "b"]}, a=[1, None, 3], b=[1, 2, None]
    )
    assert found == {"a": [1], "b": [1]}
    assert (report.rows, report.example.row) == (2, 1)
    rows = {"a": [1, 1, None, None, 1], "b": ["x", "y", "z", "z", "v"]}
    first, report = _cleaned({"step": "repeats", "columns": ["a"]}, **rows)
    assert (first["b"], report.rows) == (["x", "z", "z"], 2)
    last, _ = _cleaned({"step": "repeats", "columns": ["a"], "keep": "last"}, **rows)
    assert last["b"] == ["z", "z", "v"]


def test_steps_are_taken_in_order_and_rows_keep_their_numbers():
    spec = _spec(
        {"step": "require", "columns": ["a"]},
        {"step": "range", "column": "a", "maximum": 5, "action": "drop"},
        {"step": "fill", "columns": ["b"], "by": "median"},
    )
    frame = pl.DataFrame({"a": [None, 9, 1, 2, 3], "b": [100, 100, 1, None, 1]})
    cleaned, (_, dropped, filled) = clean(frame, spec, None)
    assert cleaned["b"].to_list() == [1, 1, 1]
    assert (dropped.example.row, filled.example.row) == (1, 3)


def test_the_contract_sees_the_rows_as_they_are_read_and_before_they_are_mended():
    spec = _spec(
        {"step": "types", "columns": {"a": "numeric"}, "decimal": ","},
        {"step": "missing", "values": ["-9"]},
        {"step": "range", "column": "a", "maximum": 5, "action": "drop"},
        "lower",
    )
    frame = pl.DataFrame({"a": ["1,5", "-9", "99"], "b": ["X", "Y", "Z"]})
    assert as_read(frame, spec).to_dict(as_series=False) == {
        "a": [1.5, None, 99.0],
        "b": ["X", "Y", "Z"],
    }
    assert as_read(frame, ModelSpec(model="m", adapter="tensors")).equals(frame)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"step": "lower", "columns": ["aa"]}, "'aa', which is not there; the nearest are: a"),
        ({"step": "lower", "columns": ["n"]}, "is for text, and column 'n' holds Int64"),
        ({"step": "range", "column": "a", "minimum": 0}, "is for numbers, and column 'a'"),
        ({"step": "fill", "columns": ["n"], "value": "x"}, "fills column 'n' with x"),
        ({"step": "fill", "columns": ["a"], "value": 1}, "fills column 'a' with 1"),
    ],
)
def test_a_step_that_does_not_fit_the_data(step, says):
    with pytest.raises(DataError) as caught:
        _cleaned(step, a=["x", None], n=[1, None])
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("wash", "wash"),
        ({"step": "trim", "colums": ["a"]}, "colums"),
        ({"step": "range", "column": "a"}, "neither minimum nor maximum"),
        ({"step": "range", "column": "a", "minimum": 2, "maximum": 1}, "lies above"),
        ({"step": "fill", "columns": ["a"]}, "value"),
        ({"step": "fill", "columns": ["a"], "by": "mode", "value": 1}, "value"),
        ({"step": "fill", "columns": ["a"], "value": float("nan")}, "with finite numbers"),
        ({"step": "fill", "columns": ["a"], "value": float("-inf")}, "with finite numbers"),
        ({"step": "fill", "columns": ["a"], "value": 10**400}, "with finite numbers"),
        ({"step": "fill", "columns": ["y"], "value": 1}, "the target 'y' is filled in"),
        ({"step": "rename", "columns": {"a": "y"}}, "'y' is named in the model file"),
        ({"step": "replace", "column": "a", "values": {"a": "b", "b": "c"}}, "another again"),
        ({"step": "missing", "values": []}, "values"),
        ({"step": "outliers", "columns": ["a"], "low": 0.7}, "low"),
    ],
)
def test_a_step_that_is_none(step, says):
    with pytest.raises(ValidationError) as caught:
        _spec(step)
    assert says in str(caught.value)


_CELLS = {
    "s": st.none() | st.sampled_from(["a", " A", "", "?", "1,5", "b "]),
    "n": st.none() | st.integers(-20, 20),
    "x": st.none() | st.sampled_from([0.5, -1e9, 3.0, float("inf")]),
}
_SCHEMA = {"s": pl.String, "n": pl.Int64, "x": pl.Float64}
_ROWWISE = [
    "trim",
    "infinite",
    "lower",
    {"step": "missing", "values": ["?", 7]},
    {"step": "replace", "column": "s", "values": {"a": "z", "b": None}},
    {"step": "types", "columns": {"n": "categorical"}},
    {"step": "range", "column": "x", "minimum": -5, "action": "drop"},
    {"step": "outliers", "columns": ["x"], "limit": 2},
    {"step": "fill", "columns": ["x"], "by": "median"},
    {"step": "require", "columns": ["s"]},
]


@given(
    st.lists(st.fixed_dictionaries(_CELLS), max_size=10),
    st.sampled_from([*_ROWWISE, {"step": "repeats", "columns": ["n"], "keep": "last"}]),
)
@settings(max_examples=200, deadline=None)
def test_a_step_taken_again_changes_nothing_more(rows, step):
    frame, spec = pl.DataFrame(rows, schema=_SCHEMA), _spec(step)
    once, reports = clean(frame, spec, None)
    same, told = clean(frame, spec, None)
    assert same.equals(once)
    assert told == reports
    twice, [again] = clean(once, spec, None, reports)
    assert twice.equals(once)
    assert again.changed == 0


@given(
    st.lists(st.fixed_dictionaries(_CELLS), min_size=1, max_size=10),
    st.lists(st.sampled_from(_ROWWISE), max_size=4, unique_by=str),
    st.lists(st.integers(0, 10), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_batches_are_cleaned_as_the_whole_is(rows, steps, cuts):
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    spec = _spec(*steps)
    whole, reports = clean(frame, spec, None)
    edges = sorted({0, frame.height, *(cut for cut in cuts if cut < frame.height)})
    parts = [frame[a:b] for a, b in itertools.pairwise(edges)]
    cleaned = list(clean_batches(parts, spec, None, reports))
    assert pl.concat([part for part, _ in cleaned]).equals(whole)
    assert cleaned[-1][1] == reports


def test_a_request_is_cleaned_by_the_record_and_keeps_its_rows():
    spec = _spec(
        {"step": "types", "columns": {"a": "numeric", "y": "numeric"}, "decimal": ","},
        {"step": "outliers", "columns": ["a", "y"], "limit": 3},
        {"step": "range", "column": "y", "minimum": 0, "action": "clip"},
        {"step": "range", "column": "b", "minimum": 0, "action": "drop"},
        {"step": "fill", "columns": ["a", "b"], "by": "median"},
        {"step": "require", "columns": ["b"]},
        {"step": "rename", "columns": {"b": "c"}},
        {"step": "repeats", "columns": ["a"]},
    )
    frame = pl.DataFrame({"a": ["1,5", "2", "9"], "b": [1, 2, 3], "y": ["1", "2", "3"]})
    _, reports = clean(frame, spec, None)
    asked = pl.DataFrame({"a": [None, "99999", "99999"], "b": [-5, None, 7]})
    answered = clean_request(asked, spec, reports)
    high = reports[1].fitted["a"]["high"]
    assert answered.to_dict(as_series=False) == {"a": [2.0, high, high], "c": [-5, 2, 7]}
    assert clean_request(asked, ModelSpec(model="m", adapter="tensors"), []) is asked


def test_steps_that_need_every_row_are_not_taken_batch_by_batch():
    frame = pl.DataFrame({"a": [1, 2]})
    for step in ("repeats", {"step": "outliers", "columns": ["a"]}):
        with pytest.raises(WrongUsage, match="needs all rows at once"):
            list(clean_batches([frame], _spec(step), None))


def test_truth_values_are_spelled_as_the_contract_knows_them():
    rules = [{"name": "ok", "kind": "boolean"}]
    contract = Contract.model_validate({"columns": rules})
    spec = ModelSpec(model="m", adapter="tensors")
    frame, steps = clean(pl.DataFrame({"ok": [1, 0, 2, None]}), spec, contract)
    assert frame["ok"].to_list() == ["true", "false", "2", None]
    assert steps[2].step == "categories"
    frame, _ = clean(pl.DataFrame({"ok": ["TRUE", "no"]}), spec, contract)
    assert frame["ok"].to_list() == ["true", "false"]
