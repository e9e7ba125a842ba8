"""What prepare finds where the model file declares how data are read, cleaned and checked."""

import polars as pl

from tidegate.data.table import columns_of
from tidegate.domain.gates import gate
from tidegate.domain.snapshot import Snapshot
from tidegate.process.models import parse_model
from tidegate.process.stages.prepare import examine

MODEL = {
    "model": "m", "task": "binary", "target": "y", "adapter": "sklearn.logistic_regression",
    "time": "day",
    "cleaning": [
        {"step": "types", "columns": {"price": "numeric"}, "decimal": ","},
        {"step": "missing", "values": [-999]},
        {"step": "outliers", "columns": ["price"]},
        {"step": "fill", "columns": ["price"], "by": "median"},
    ],
    "contract": {
        "columns": [
            {"name": "price", "kind": "numeric", "maximum": 100, "max_missing_share": 0.2},
            {"name": "day", "kind": "date"},
        ],
        "rules": ["price >= 0"],
        "freshness": {"max_age_days": 30},
    },
}  # fmt: skip
NOW = "2011-04-01T00:00:00+00:00"


def rows(**changed):
    count = 100
    prices = [f"{1 + n % 7},{n % 10}" for n in range(count)]
    days = [f"2011-0{1 + n // 40}-{1 + n % 28:02}" for n in range(count)]
    frame = pl.DataFrame({"price": prices, "day": days, "y": [0, 1] * (count // 2)})
    return frame.with_columns(**changed)


def found(frame, reference=None, **model):
    spec = parse_model({**MODEL, **model})
    snapshot = Snapshot(
        id="s-1", model="m", digest="", object_digest="", rows=frame.height, labelled_rows=0,
        size_bytes=0, columns=columns_of(frame), sources=[], added_at="", added_by="",
    )  # fmt: skip
    evidence = examine(spec, snapshot, frame, reference, reference_id=None, now=NOW)
    return evidence, gate(spec, evidence)


def test_text_that_is_read_as_numbers_keeps_a_contract_for_numbers():
    evidence, verdict = found(rows())
    assert evidence.breaches == []
    assert verdict.passed
    assert [step.step for step in evidence.cleaning] == ["types", "missing", "outliers", "fill"]
    assert evidence.cleaning[0].changed == 100
    assert set(evidence.cleaning[2].fitted["price"]) == {"low", "high"}


def test_what_mending_would_hide_is_told_with_the_rows_of_the_file():
    prices = rows()["price"].to_list()
    prices[7], prices[8], prices[9] = "99999", "-3,5", "-999"
    evidence, _ = found(rows(price=pl.Series(prices)))
    seen = {(b.rule, tuple(b.rows)) for b in evidence.breaches}
    assert seen == {("range", (7,)), ("rule", (8,))}
    assert evidence.cleaning[2].example.before == 99999
    assert evidence.cleaning[3].changed == 1  # -999 is missing, and then the median


def test_stale_data_is_refused_by_the_contract():
    old = rows(day=pl.lit("2010-01-01"))
    evidence, verdict = found(old)
    assert [breach.rule for breach in evidence.breaches] == ["freshness"]
    assert not verdict.passed
    assert "contract.freshness" in {finding.code for finding in verdict.findings}


def test_a_reference_is_read_and_cleaned_as_the_new_rows_are():
    evidence, _ = found(rows(), rows(), contract=None)
    assert evidence.breaches == []
    assert evidence.consistency.verdict == "consistent"
    [shifted] = found(rows(price=pl.lit("900,5")), rows(), contract=None)[0].breaches
    assert (shifted.column, shifted.rule, shifted.count) == ("price", "range", 100)
