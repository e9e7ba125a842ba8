"""Updates whose data are read, checked and cleaned as the model file declares."""

import polars as pl

from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome

CLEANING = [
    {"step": "types", "columns": {"a": "numeric"}, "decimal": ","},
    {"step": "missing", "values": [-999]},
    {"step": "outliers", "columns": ["a", "b"], "limit": 4},
    {"step": "fill", "columns": ["a"], "by": "median"},
]
CONTRACT = {
    "columns": [
        {"name": "a", "kind": "numeric", "minimum": -10, "maximum": 10, "severity": "refuse"},
        {"name": "b", "kind": "numeric"},
    ],
    "rules": [{"rule": "a - b < 20", "severity": "refuse"}],
}


def as_exported(frame):
    """Numbers with decimal commas, and a number that means missing."""
    texts = frame["a"].cast(pl.String).str.replace(".", ",", literal=True)
    return frame.with_columns(
        a=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("-999")).otherwise(texts)
    )


def test_cleaned_by_one_record_from_prepare_to_reproduction(team, make_rows):
    with team.as_("root") as root:
        root.apply_model({**team.model, "cleaning": CLEANING, "contract": CONTRACT})
    first = team.approved(as_exported(make_rows(1)))
    assert first.outcome is Outcome.COMPLETED
    with team.ws.home.journal.read() as reader:
        evidence = reader.evidence(first.evidence_digest(Stage.PREPARE))
    changed = {step.step: step.changed for step in evidence.cleaning}
    assert (changed["types"], changed["missing"], changed["fill"]) == (200, 1, 1)
    assert set(evidence.cleaning[2].fitted) == {"a", "b"}
    # The gateway answers what stands in a file as it answers what was meant by it.
    plain = make_rows(9, 4).drop("y").with_columns(a=pl.Series([1.0, -1.0, 2.5, None]))
    filled = plain.with_columns(pl.col("a").fill_null(evidence.cleaning[3].fitted["a"]["value"]))
    sent = plain.with_columns(a=pl.Series(["1,0", "-1,0", "2,5", "-999"]))
    answers = [
        [answer.probabilities for answer in team.ws.serving().infer("m", asked)]
        for asked in (sent, filled, plain)
    ]
    assert answers[0] == answers[1] == answers[2]
    second = team.approved(as_exported(make_rows(2, 600)), strategy="full")
    assert second.stage is Stage.RELEASE
    assert team.ws.reproduce("m-1").same
    assert team.ws.reproduce("m-2").same
    assert all(again.same for again in team.ws.replay("m-2"))


def test_rows_that_break_a_rule_between_columns_are_refused(team, make_rows):
    with team.as_("root") as root:
        root.apply_model({**team.model, "contract": CONTRACT})
    bad = make_rows(1).with_columns(b=pl.when(pl.int_range(pl.len()) == 7).then(-50).otherwise("b"))
    update = team.start(bad)
    assert update.outcome is Outcome.REJECTED
    [told] = [f for f in update.filed[-1].verdict.findings if f.code == "contract.rule"]
    assert "(rows 7)" in told.message.text()
    assert "'a - b < 20'" in told.message.text("zh").replace("“", "'").replace("”", "'")
