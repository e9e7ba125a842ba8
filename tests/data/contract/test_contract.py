import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.contract.contract import check_contract, require_columns
from tidegate.data.contract.infer import infer_contract
from tidegate.data.contract.text import contract_from_yaml, contract_to_yaml
from tidegate.domain.errors import DataError
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import ColumnRule, Contract, Kind

SPEC = ModelSpec(
    model="m", adapter="logistic", task="binary", target="bought", key="id", exclude=["note"]
)
REFERENCE = pl.DataFrame(
    {
        "id": [f"c{n}" for n in range(400)],
        "age": [20.0 + n % 50 for n in range(400)],
        "city": ["Rome", "Oslo", "Bonn", " Oslo "] * 100,
        "bought": [0, 1] * 200,
        "note": ["free text"] * 400,
    }
)
CONTRACT = infer_contract(REFERENCE, SPEC)


def _check(**columns):
    return check_contract(REFERENCE.with_columns(**columns), CONTRACT, SPEC)


def _column(name, changed):
    values = REFERENCE[name].to_list()
    for row, value in changed.items():
        values[row] = value
    return pl.Series(values, strict=False)


def test_what_is_inferred():
    age, city = CONTRACT.rule("age"), CONTRACT.rule("city")
    assert (age.kind, age.minimum, age.maximum) == (Kind.NUMERIC, 7.75, 81.25)
    assert (city.kind, city.allowed) == (Kind.CATEGORICAL, ["Bonn", "Oslo", "Rome"])
    assert CONTRACT.rule("note") is None
    assert CONTRACT.rule("id") == ColumnRule(name="id", kind=Kind.CATEGORICAL)
    assert CONTRACT.rule("bought").max_missing_share == 1.0
    assert {rule.severity for rule in CONTRACT.columns} == {"warn"}
    assert infer_contract(REFERENCE[:0], SPEC).rule("age").minimum is None


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0, 23], (0.0, 28.0)),  # hours: none before midnight, whole ones
        ([0.5, 4.5], (0.0, 5.5)),
        ([-4.0, -2.0], (-4.5, -1.5)),
        ([-4.0, -0.1], (-4.975, 0.0)),
        ([-4.0, 4.0], (-6.0, 6.0)),
    ],
)
def test_an_amount_stays_on_its_side_of_zero_and_whole_numbers_whole(values, ends):
    rule = infer_contract(pl.DataFrame({"a": values}), SPEC).rule("a")
    assert (rule.minimum, rule.maximum) == pytest.approx(ends)


def test_a_range_is_open_on_the_side_of_an_infinity():
    def ends(*values):
        rule = infer_contract(pl.DataFrame({"a": values}), SPEC).rule("a")
        return rule.minimum, rule.maximum

    assert ends(0.0, 4.0, float("inf")) == (0.0, None)
    assert ends(-float("inf"), 0.0, 4.0) == (None, 5.0)
    assert ends(float("inf"), -float("inf")) == (None, None)


def test_a_text_column_of_ever_new_values_gets_no_list():
    names = pl.DataFrame({"name": [f"n{n}" for n in range(50)]})
    assert infer_contract(names, SPEC).rule("name").allowed is None
    many = pl.DataFrame({"name": [f"n{n % 101}" for n in range(1010)]})
    assert infer_contract(many, SPEC).rule("name").allowed is None


_COLUMNS = st.one_of(
    st.lists(st.none() | st.floats(), min_size=6, max_size=6),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=6),
    st.lists(st.none() | st.text(max_size=3), min_size=6, max_size=6),
    st.lists(st.none() | st.booleans(), min_size=6, max_size=6),
)


@given(_COLUMNS, _COLUMNS)
@settings(max_examples=100)
def test_a_reference_keeps_its_own_contract(a, b):
    frame = pl.DataFrame({"a": a, "b": b}, strict=False)
    contract = infer_contract(frame, SPEC)
    assert check_contract(frame, contract, SPEC) == []
    assert contract_from_yaml(contract_to_yaml(contract)) == contract


def test_a_range_that_is_left():
    [breach] = _check(age=_column("age", {7: 200.0, 3: -1.0, 9: float("inf")}))
    assert (breach.column, breach.rule, breach.severity) == ("age", "range", "warn")
    assert (breach.count, breach.share, breach.rows) == (3, 3 / 400, [3, 7, 9])
    assert breach.examples == [-1.0, 200.0, "inf"]
    for part in ("'age'", "3 values", "7.75 to 81.25", "rows 3, 7, 9"):
        assert part in breach.message.text()


def test_at_most_five_rows_are_shown_and_all_are_counted():
    [breach] = _check(age=pl.lit(500.0))
    assert (breach.count, breach.share, breach.rows) == (400, 1.0, [0, 1, 2, 3, 4])


def test_a_value_that_is_not_on_the_list():
    [breach] = _check(city=_column("city", {5: "Paris", 6: " Rome", 7: "  "}))
    assert (breach.rule, breach.count, breach.share) == ("allowed", 1, 1 / 400)
    assert (breach.rows, breach.examples) == ([5], ["Paris"])


def test_more_missing_than_before():
    gone = dict.fromkeys(range(40), None)
    [breach] = _check(age=_column("age", gone))
    assert (breach.rule, breach.count, breach.share) == ("missing_share", 40, 0.1)
    assert breach.rows == [0, 1, 2, 3, 4]
    assert "10.0%" in breach.message.text()
    assert "5.0%" in breach.message.text()
    assert _check(age=_column("age", dict.fromkeys(range(20), None))) == []
    assert _check(bought=_column("bought", gone)) == []  # rows without a label are no fault
    [blank] = _check(city=_column("city", dict.fromkeys(range(40), " ")))
    assert (blank.rule, blank.count) == ("missing_share", 40)


def test_a_missing_column_names_the_nearest():
    frame = REFERENCE.drop("age").rename({"city": "City"})
    age, city = check_contract(frame, CONTRACT, SPEC)
    assert (age.rule, age.severity, age.count, age.share) == ("missing_column", "refuse", 400, 1.0)
    assert city.examples == ["City"]


def test_numbers_that_turned_into_text():
    [breach] = _check(age=_column("age", {2: "old"}).cast(pl.String))
    assert (breach.rule, breach.severity, breach.count) == ("kind", "refuse", 1)
    assert (breach.rows, breach.examples) == ([2], ["old"])
    assert "was numeric and is now text: old (rows 2)" in breach.message.text()
    [stored] = _check(age=REFERENCE["age"].cast(pl.String))
    assert stored.count == 400


def test_text_that_turned_into_numbers():
    [breach] = _check(city=pl.Series([1, 2] * 200))
    assert (breach.rule, breach.severity, breach.count) == ("kind", "refuse", 400)


def test_codes_that_the_list_knows_may_be_numbers():
    rule = ColumnRule(name="code", kind=Kind.CATEGORICAL, allowed=["1", "2", "X"])
    contract = Contract(columns=[rule])
    assert check_contract(pl.DataFrame({"code": [1.0, 2.0]}), contract, SPEC) == []
    assert check_contract(pl.DataFrame({"code": [None]}), contract, SPEC) == []
    [breach] = check_contract(pl.DataFrame({"code": [1, 3]}), contract, SPEC)
    assert (breach.rule, breach.rows, breach.examples) == ("kind", [1], [3])


def test_a_list_for_numbers_is_kept_too():
    rule = ColumnRule(name="grade", kind=Kind.NUMERIC, maximum=6, allowed=["1", "2"])
    found = check_contract(pl.DataFrame({"grade": [1, 3, 9]}), Contract(columns=[rule]), SPEC)
    assert [(breach.rule, breach.rows) for breach in found] == [("range", [2]), ("allowed", [1, 2])]


def test_a_declared_severity_is_the_breachs():
    rule = ColumnRule(name="age", kind=Kind.NUMERIC, maximum=60, severity="refuse")
    [breach] = check_contract(REFERENCE, Contract(columns=[rule]), SPEC)
    assert breach.severity == "refuse"


@pytest.mark.parametrize(
    ("role", "changed", "near"),
    [
        ("target", {"target": "bougt"}, "bought"),
        ("target", {"target": "BOUGHT"}, "bought"),
        ("time", {"time": ["agee"]}, "age"),
        ("key", {"key": "idd"}, "id"),
        ("segments", {"segments": ["town", "cities"]}, "id, age, city"),
    ],
)
def test_a_column_the_model_needs_is_named_with_the_nearest(role, changed, near):
    spec = ModelSpec.model_validate({**SPEC.model_dump(), **changed})
    with pytest.raises(DataError) as caught:
        require_columns(REFERENCE, spec, "new.csv")
    wanted = next(iter(changed.values()))
    for part in (role, "new.csv", f"'{wanted if isinstance(wanted, str) else wanted[0]}'", near):
        assert part in str(caught.value)
    require_columns(REFERENCE, SPEC, "new.csv")


@pytest.mark.parametrize(
    ("excluded", "refused"),
    [("casuall", True), ("Casual", True), ("x_2", False), ("gone", False), ("casual", False)],
)
def test_a_misspelt_exclusion_would_leak_and_is_refused(excluded, refused):
    frame = pl.DataFrame({"casual": [1, 2], "x_1": [1, 2], "y": [0, 1]})
    spec = ModelSpec(
        model="m", adapter="sklearn.ridge", task="regression", target="y", exclude=[excluded]
    )
    if refused:
        with pytest.raises(DataError, match="and 'casual' is"):
            require_columns(frame, spec, "bikes.csv")
    else:
        require_columns(frame, spec, "bikes.csv")
