"""What a column becomes unless told otherwise, and when told."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from tidegate.data.features.fit import fit_transform
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.features import OPTIONS, Way
from tidegate.domain.model import ModelSpec

ROWS = 90
FRAME = pl.DataFrame(
    {
        "y": [float(n) for n in range(ROWS)],
        "number": [n / 7 for n in range(ROWS)],
        "few": [f"c{n % 30}" for n in range(ROWS)],
        "many": [f"c{n % 31}" for n in range(ROWS)],
        "flag": [n % 2 == 0 for n in range(ROWS)],
        "born": [f"{1 + n % 12}/{1 + n % 28}/{1910 + n}" for n in range(ROWS)],
        "month": [f"2011-{1 + n % 12:02d}-01" for n in range(ROWS)],
        "note": [f"the {n}th of many long notes" for n in range(ROWS)],
        "chinese": [f"第{n}个比较长的句子" for n in range(ROWS)],
        "address": [f"{n % 31} Long Street in Old Town" for n in range(ROWS)],
        "vector": pl.Series([[0.5, n] for n in range(ROWS)], dtype=pl.Array(pl.Float64, 2)),
        "empty": pl.Series([None] * ROWS, dtype=pl.String),
        "zeros": [""] * ROWS,
    }
)


def _spec(features=None, **given):
    return ModelSpec(
        model="m", adapter="a", task="regression", target="y", features=features, **given
    )


def _kinds(transform):
    lists = ("numeric", "categorical", "target", "hashed", "dates", "text", "embeddings")
    return {f.name: kind for kind in lists for f in getattr(transform, kind)}


USUAL = {
    "number": "numeric",
    "few": "categorical",
    "flag": "categorical",
    "month": "categorical",
    "zeros": "categorical",
    "many": "target",
    "address": "target",
    "born": "dates",
    "note": "text",
    "chinese": "text",
    "vector": "embeddings",
}


def test_the_data_choose():
    assert _kinds(fit_transform(FRAME, _spec())) == USUAL


def test_without_a_target_many_categories_are_hashed():
    unlabelled = FRAME.with_columns(y=pl.lit(None, pl.Float64))
    found = _kinds(fit_transform(unlabelled, _spec()))
    assert found == {**USUAL, "many": "hashed", "address": "hashed"}


@pytest.mark.parametrize(
    ("rule", "kind"), [("one_hot", "categorical"), ("target", "target"), ("hash", "hashed")]
)
def test_the_default_says_what_many_categories_become(rule, kind):
    found = _kinds(fit_transform(FRAME, _spec({"default": {"many": rule}})))
    assert found == {**USUAL, "many": kind, "address": kind}


def test_the_default_speaks_of_all_that_it_fits():
    general = {"scale": "none", "columns": 5, "max_categories": 40, "missing": "mean"}
    transform = fit_transform(FRAME, _spec({"default": general, "note": "hash"}))
    assert transform.numeric[0].scale == 1
    assert [feature.columns for feature in transform.text] == [5]
    assert [feature.columns for feature in transform.hashed] == [5]
    assert _kinds(transform)["many"] == "categorical"


def test_a_declared_column_becomes_what_it_is_declared():
    rules = {"few": "text", "many": "one_hot", "number": "hash", "month": "date", "note": "target"}
    found = _kinds(fit_transform(FRAME, _spec(rules)))
    assert found == {
        **USUAL, "few": "text", "many": "categorical", "number": "hashed", "month": "dates",
        "note": "target",
    }  # fmt: skip


def test_a_contract_says_what_a_column_is():
    columns = [("born", "categorical"), ("few", "text"), ("month", "date"), ("note", "categorical")]
    contract = {"columns": [{"name": name, "kind": kind} for name, kind in columns]}
    found = _kinds(fit_transform(FRAME, _spec(contract=contract)))
    assert found == {
        **USUAL, "born": "target", "few": "text", "month": "dates", "note": "target",
    }  # fmt: skip


def test_a_time_column_that_is_declared_is_a_feature_too():
    plain = fit_transform(FRAME, _spec(time=["month"]))
    assert "month" not in _kinds(plain)
    both = fit_transform(FRAME, _spec({"month": "date"}, time=["month"]))
    assert _kinds(both)["month"] == "dates"
    assert [name for name in both.names if name.startswith("time.")] == [
        name for name in plain.names if name.startswith("time.")
    ]
    assert both.columns.count("month") == 1


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"nmber": "number"}, "column 'nmber', which the rows have not.*there is: number"),
        ({"number": {"smooth": 2}}, "what becomes 'number' takes no 'smooth', but: indicator"),
        ({"few": {"parts": ["days"]}}, "what becomes 'one_hot' takes no 'parts'"),
    ],
)
def test_a_rule_that_does_not_fit_the_data_is_refused(rules, says):
    with pytest.raises(WrongUsage, match=says):
        fit_transform(FRAME, _spec(rules))


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"few": "number"}, "'few' must hold numbers"),
        ({"few": "date"}, "'few' holds values that are no times"),
        ({"few": "embedding"}, "'few' is declared an embedding and holds no vectors but String"),
        ({"zeros": "date"}, "'zeros' is declared a date and holds none"),
        ({"vector": {"missing": 3}}, "missing elements cannot become 3"),
        ({"vector": "text"}, "'vector' must hold texts"),
    ],
)
def test_data_that_cannot_become_what_is_declared_are_told_of(rules, says):
    with pytest.raises(DataError, match=says):
        fit_transform(FRAME, _spec(rules))


def test_the_document_shows_rules_that_read():
    document = Path(__file__).parents[3] / "docs" / "features.md"
    shown = document.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    rules = yaml.safe_load(shown)["features"]
    assert set(_spec(rules).features) == set(rules)
    for option in set().union(*OPTIONS.values()) | set(Way):
        assert f"`{option}`" in document.read_text("utf-8")
