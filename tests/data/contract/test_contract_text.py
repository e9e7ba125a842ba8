"""The contract as YAML: every contract survives it, and what is none says where."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.contract.text import (
    MAX_BYTES,
    contract_from_yaml,
    contract_to_yaml,
    read_contract,
)
from tidegate.domain.errors import DataError, NotFound, WrongUsage
from tidegate.domain.schema import (
    ColumnRule,
    Contract,
    Coverage,
    Freshness,
    Kind,
    Presence,
    RowRule,
    UniqueRule,
)

_SEVERITIES = st.sampled_from(["warn", "refuse"])
_NAMES = st.text()
_SHARES = st.floats(0, 1)
_DAYS = st.floats(0.01, 1e4)
_COLUMN_RULES = st.one_of(
    st.builds(
        ColumnRule,
        name=_NAMES,
        kind=st.just(Kind.CATEGORICAL),
        max_missing_share=_SHARES,
        allowed=st.none()
        | st.lists(st.text() | st.sampled_from(["yes", "null", "1", "1e3", "2011"])),
        severity=_SEVERITIES,
    ),
    st.builds(
        ColumnRule,
        name=_NAMES,
        kind=st.just(Kind.DATE),
        earliest=st.none() | st.dates().map(str),
        latest=st.none() | st.just("9999-12-31T10:00:00"),
        unique=st.booleans(),
    ),
    st.builds(
        ColumnRule,
        name=_NAMES,
        kind=st.just(Kind.TEXT),
        pattern=st.none() | st.sampled_from(["[a-z]+", r"\d{4}|" + "\u2028", "城.*"]),
        min_length=st.none() | st.integers(0, 5),
        max_length=st.none() | st.integers(5, 9),
    ),
    st.builds(
        ColumnRule,
        name=_NAMES,
        kind=st.just(Kind.EMBEDDING),
        width=st.none() | st.integers(1, 999),
    ),
    st.builds(
        ColumnRule,
        name=_NAMES,
        kind=st.just(Kind.NUMERIC),
        minimum=st.none() | st.floats(-1e300, 0),
        maximum=st.none() | st.floats(0, 1e300),
    ),
)
_UNIQUE = st.builds(
    UniqueRule, columns=st.lists(_NAMES, min_size=1, max_size=2), severity=_SEVERITIES
)
_ROW_RULES = st.builds(
    RowRule,
    rule=st.sampled_from(["a <= b", "if `x: y` == 'é' then b is null", "a != '#'"]),
    severity=_SEVERITIES,
)
_PRESENCE = st.builds(
    Presence,
    column=_NAMES,
    values=st.lists(st.text(), min_size=1, max_size=2),
    min_share=_SHARES,
)
_CONTRACTS = st.builds(
    Contract,
    columns=st.lists(_COLUMN_RULES, max_size=3, unique_by=lambda rule: rule.name),
    extra_columns=st.sampled_from(["allow", "warn", "refuse"]),
    unique=st.lists(_UNIQUE, max_size=2),
    rules=st.lists(_ROW_RULES, max_size=2),
    time=st.lists(_NAMES, max_size=2),
    freshness=st.none() | st.builds(Freshness, max_age_days=_DAYS, severity=_SEVERITIES),
    coverage=st.none()
    | st.builds(
        Coverage,
        min_rows=st.integers(0, 10**9),
        max_gap_days=st.none() | _DAYS,
        min_days_share=_SHARES,
        present=st.lists(_PRESENCE, max_size=2),
        severity=_SEVERITIES,
    ),
)


@given(_CONTRACTS, st.sampled_from(["en", "zh"]))
@settings(max_examples=200, deadline=None)
def test_yaml_gives_back_every_contract(contract, lang):
    assert contract_from_yaml(contract_to_yaml(contract, lang)) == contract


def test_the_short_forms():
    text = """
columns:
- {name: day, kind: date, earliest: 2011-01-01, latest: 2012-12-31 10:00:00}
unique: [[id, day], {columns: [x], severity: refuse}]
rules: [a <= b, {rule: b > 0, severity: refuse}]
time: day
freshness: {max_age_days: 7}
"""
    contract = contract_from_yaml(text)
    assert contract.columns[0].earliest == "2011-01-01"
    assert contract.columns[0].latest == "2012-12-31T10:00:00"
    assert contract.unique[0] == UniqueRule(columns=["id", "day"], severity="warn")
    assert [rule.severity for rule in contract.rules] == ["warn", "refuse"]
    assert (contract.time, contract.freshness.severity) == (["day"], "refuse")


def test_comments_say_what_the_keys_mean():
    contract = contract_from_yaml("columns: [{name: a, kind: numeric, allowed: ['1']}]")
    text = contract_to_yaml(contract)
    assert text.startswith("# What data")
    assert "# allowed: the only values" in text
    assert "freshness" not in text
    assert "# allowed：只允许这些值" in contract_to_yaml(contract, "zh")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("columns: [", ["not YAML"]),
        ("- a", ["no list of columns"]),
        ("columns: []\ncolums: []", ["'colums'", "'columns'"]),
        ("columns: [age]", ["rule 1"]),
        ("columns: [{name: age, kind: numeric, maximun: 3}]", ["'maximun'", "age", "'maximum'"]),
        ("columns: [{name: age, kind: number}]", ["columns.0.kind", "numeric"]),
        ("columns: [{name: a, kind: numeric, severity: stop}]", ["severity", "'stop'"]),
        ("columns: [{name: a, kind: numeric, minimum: 3, maximum: 1}]", ["above maximum"]),
        ("columns: [{name: a, kind: categorical, minimum: 3}]", ["for numeric columns"]),
        ("columns: [{name: a, kind: date, maximum: 3}]", ["for numeric columns", "latest"]),
        ("columns: [{name: a, kind: numeric, pattern: x}]", ["categorical and text", "'a'"]),
        ("columns: [{name: a, kind: numeric, minimum: .nan}]", ["columns.0.minimum"]),
        ("columns: [{name: a, kind: numeric, max_missing_share: 5}]", ["max_missing_share"]),
        ("columns: [{name: a, kind: date, earliest: soon}]", ["columns.0.earliest"]),
        ("columns: [{name: a, kind: date, earliest: 2011-13-01}]", ["not YAML"]),
        ("columns: [{name: a, kind: text, pattern: '(a'}]", ["'(a'", "unclosed group"]),
        ("columns: [{name: a, kind: text, pattern: 'a)|(?:b'}]", ["unopened group"]),
        ("columns: [{name: a, kind: text, pattern: '(?x)a # b'}]", ["cannot be read"]),
        ("columns: [{name: a, kind: text, pattern: '(?<=a)b'}]", ["look-around"]),
        ("columns: [{name: a, kind: text, pattern: '(a{999}){999}'}]", ["size limit"]),
        ("columns: [{name: a, kind: text, pattern: " + "a" * 1001 + "}]", ["1000 characters"]),
        ("columns: [{name: a, kind: text, min_length: 3, max_length: 1}]", ["above max_length"]),
        ("columns: [{name: a, kind: embedding, unique: true}]", ["embedding"]),
        ("columns: [{name: a, kind: text}, {name: a, kind: text}]", ["'a' has two rules"]),
        ("columns: []\nunique: [[]]", ["unique.0"]),
        ("columns: []\nunique: [{colums: [a]}]", ["'colums'", "'columns'", "unique"]),
        ("columns: []\nrules: [{rul: a < b}]", ["'rul'", "'rule'"]),
        ("columns: []\nrules: ['a ** b']", ["rules.0", "at character 1", "'a ** b'"]),
        ("columns: []\nfreshness: {max_age: 3}", ["'max_age'", "'max_age_days'"]),
        ("columns: []\ncoverage: {present: [{colum: a}]}", ["'colum'", "'column'"]),
        ("columns: []\ncoverage: {max_gap_days: 0}", ["coverage.max_gap_days"]),
        ("columns: []\ncoverage: {max_gap_days: 1.0e+9}", ["coverage.max_gap_days", "1000000"]),
        (f"columns: []\ncoverage: {{min_rows: 0x{'f' * 5000}}}", ["coverage.min_rows"]),
        ("columns: []\ncoverage: {max_gap_days: .nan}", ["coverage.max_gap_days"]),
        ("columns: []\nfreshness: {max_age_days: .inf}", ["freshness.max_age_days", "1000000"]),
        (
            "columns: [{name: a, kind: date, earliest: '0001-01-01T00:00:00+14:00'}]",
            ["columns.0.earliest", "outside the years 1 to 9999"],
        ),
        (
            "columns: [{name: a, kind: date, latest: 9999-12-31T23:00:00-14:00}]",
            ["columns.0", "outside the years 1 to 9999"],
        ),
        (f"columns: [{{name: a, kind: text, max_length: 1{'0' * 40}}}]", ["0.max_length"]),
        (f"columns: [{{name: a, kind: embedding, width: 1{'0' * 40}}}]", ["0.width"]),
        ("columns: []\nextra_columns: deny", ["extra_columns", "'refuse'"]),
        ("[" * 5000, ["not YAML"]),
        ("columns: [{name: {a: 1}, kind: numeric, maximun: 3}]", ["'maximun' is not a key of 1;"]),
        ("a: &a [x]\ncolumns:\n- {name: *a, kind: text}", ["line 3", "'*a'", "write out"]),
        ("a: &a {name: a}\ncolumns: [{<<: *a, kind: text}]", ["line 2", "'*a'"]),
    ],
)
def test_a_contract_that_is_none_says_where(text, says):
    with pytest.raises(WrongUsage) as caught:
        contract_from_yaml(text)
    for part in says:
        assert part in str(caught.value)


def test_a_few_lines_that_stand_for_more_than_memory_holds_are_refused_at_once():
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    with pytest.raises(WrongUsage, match=r"line 2 .*'\*a0'"):
        contract_from_yaml("\n".join([*lines, "columns: [{name: *a39, kind: text}]"]))


def test_only_a_file_of_a_contracts_size_is_read(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("columns: [{name: a, kind: text}]")
    assert read_contract(file).columns[0].name == "a"
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for other in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="a folder, a device or a pipe"):
            read_contract(other)
    with (tmp_path / "large").open("wb") as large:
        large.truncate(MAX_BYTES + 1)
    with pytest.raises(DataError, match="larger than 16 MiB"):
        read_contract(tmp_path / "large")
    with pytest.raises(NotFound):
        read_contract(tmp_path / "gone")
