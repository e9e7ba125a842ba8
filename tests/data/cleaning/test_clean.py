import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.cleaning.clean import clean
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import ColumnRule, Contract, Kind


def _spec(**given):
    return ModelSpec(model="m", adapter="ridge", task="regression", target="y", **given)


def _changed(steps):
    return {step.step: step.changed for step in steps}


def test_every_step_counts_what_it_changed():
    frame = pl.DataFrame(
        {
            "name": [" a", "a", "  ", None],
            "x": [float("inf"), 1.0, None, -float("inf")],
            "code": [1, 2, None, 2],
            "ok": [True, False, None, True],
        }
    )
    contract = Contract(
        columns=[ColumnRule(name="code", kind=Kind.CATEGORICAL, allowed=["1", "2", "X"])]
    )
    cleaned, steps = clean(frame, _spec(), contract)
    assert cleaned.to_dict(as_series=False) == {
        "name": ["a", "a", None, None],
        "x": [None, 1.0, None, None],
        "code": ["1", "2", None, "2"],
        "ok": ["true", "false", None, "true"],
    }
    assert _changed(steps) == {"trim": 2, "infinite": 2, "categories": 3, "repeats": 0}
    for step in steps:
        assert str(step.changed) in step.message.text()


def test_readings_that_are_alike_are_kept_and_counted():
    frame = pl.DataFrame({"colour": ["red"] * 9 + ["blue"], "y": [1] * 10})
    for spec in (_spec(), _spec(key="colour"), _spec(time=["colour"])):
        cleaned, steps = clean(frame, spec, None)
        assert cleaned.equals(frame)
        assert steps[-1].changed == 0
        assert "8 rows" in steps[-1].message.text()


def test_a_second_delivery_is_dropped():
    frame = pl.DataFrame(
        {
            "id": ["a", "b", "a", "a", "a", None, None],
            "when": ["2020-01-01", "2020-01-01", "2020-01-01", "2020-01-02", "2020-01-01", *"xx"],
            "y": [1, 1, 1, 1, 2, 3, 3],
        }
    )
    cleaned, steps = clean(frame, _spec(key="id", time=["when"]), None)
    # The third row is the first again; the last has no key, so it may be another entity's.
    assert cleaned.equals(frame[[0, 1, 3, 4, 5, 6]])
    assert _changed(steps)["repeats"] == 1


_CELLS = st.none() | st.text(" ab", max_size=3)


@given(
    st.lists(st.tuples(_CELLS, _CELLS, st.none() | st.floats(), st.booleans()), max_size=8),
    st.booleans(),
)
@settings(max_examples=100)
def test_cleaning_twice_changes_nothing_more(rows, told):
    schema = {"id": pl.String, "when": pl.String, "x": pl.Float64, "ok": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    spec = _spec(key="id", time=["when"]) if told else _spec()
    once, steps = clean(frame, spec, None)
    twice, again = clean(once, spec, None)
    assert twice.equals(once)
    assert once.dtypes == [pl.String, pl.String, pl.Float64, pl.String]
    assert set(_changed(again).values()) == {0}
    assert frame.height - once.height == (_changed(steps)["repeats"] if told else 0)
