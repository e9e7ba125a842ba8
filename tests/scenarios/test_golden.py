"""What is checked before a version answers: the record, its bytes, what it was declared to be, and
that it answers as it did when it was validated. Whatever fails, the standing version goes on."""

import json
import logging
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tidegate.apps.gateway.metrics import Metrics
from tidegate.data.golden import kept
from tidegate.domain.errors import Incompatible, IntegrityError, Refused
from tidegate.domain.evidence import ValidateEvidence
from tidegate.domain.predictor import Predictions
from tidegate.domain.rollout import Deployment
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome, Update
from tidegate.domain.version import Version
from tidegate.monitoring.gateways import Heartbeat
from tidegate.params.packed.packs import pack_key
from tidegate.params.packed.references import read_sheet
from tidegate.process import golden as golden_module
from tidegate.process import resident
from tidegate.training.adapters.logistic import LogisticRegression

LIVE = pl.DataFrame({"a": [0.1, 2.0, -1.0], "b": [0.3, -2.0, 1.0]})


def answering(serving):
    return {answer.version for answer in serving.infer("m", LIVE, ["u", "v", "w"])}


def golden_of(team, number):
    with team.ws.home.journal.read() as reader:
        update = reader.get(Update, f"m-{number}")
        evidence = reader.evidence(update.evidence_digest(Stage.VALIDATE))
    assert isinstance(evidence, ValidateEvidence)
    return evidence.golden


def pointed_at(team, number):
    """The deployment's row, changed past every rule, to name a version as champion."""
    home = team.ws.home
    with home.journal.write("root") as tx:
        was = tx.get(Deployment, "m")
        tx.put(was.model_copy(update={"champion": number, "release": None}), "forged", was=was)


@pytest.fixture
def standing(team, make_rows, monkeypatch):
    """A gateway on version 1, and version 2 in canary, which it has not looked at yet."""
    monkeypatch.setattr(resident, "FIRST_PAUSE_SECONDS", 0.0)
    team.approved(make_rows(1))
    serving = team.ws.serving()
    serving.follow()
    team.approved(make_rows(2))
    return serving


def refused(serving, error, match):
    """Asked to route it, it raises that, again and again, and following says so; the standing
    version goes on answering all rows."""
    for _ in range(2):
        serving.follow()
        with pytest.raises(error, match=match):
            serving.refresh("m")
        assert answering(serving) == {1}
    (note,) = serving.notes
    assert (note.version, note.refused) == (2, True)
    return note


def test_what_a_version_answered_is_kept_with_odd_rows_as_they_came(team, make_rows):
    rows = make_rows(1, 500).with_columns(
        town=pl.Series(["here", "there"] * 249 + ["nowhere", "here"]),
        a=pl.when(pl.int_range(500) == 77).then(None).otherwise(pl.col("a")),
    )
    team.approved(rows)
    golden = golden_of(team, 1)
    asked, answers = kept(team.ws.home.objects, golden.digest)
    assert asked.height == answers.height == golden.rows == 32
    assert set(asked.columns) == {"a", "b", "town"}, "what it reads, and no label"
    assert asked["a"].null_count() == 1
    assert "nowhere" in asked["town"]
    whole = rows.select(asked.columns)
    assert asked.join(whole, on=asked.columns, how="anti", nulls_equal=True).is_empty()
    serving = team.ws.serving()
    serving.follow()
    given = serving.infer("m", asked)
    assert answers["prediction"].to_list() == [str(one.prediction) for one in given]
    assert answers["share of 1"].to_list() == [one.probabilities["1"] for one in given]
    assert serving.notes == []


def answers_shifted(monkeypatch, by):
    """What is loaded from now on gives shares that are off by so much."""
    load = LogisticRegression.load

    def shifted(self, state):
        scorer = load(self, state)

        def scored(x):
            said = scorer(x)
            return Predictions(said.values, said.classes, said.probabilities + by)

        return scored

    monkeypatch.setattr(LogisticRegression, "load", shifted)


def test_one_bit_of_one_answer_refuses_the_switch(standing, monkeypatch, caplog):
    answers_shifted(monkeypatch, 2**-52)
    with caplog.at_level(logging.ERROR, "tidegate"):
        note = refused(standing, Incompatible, r"golden request \d+, share of 0: 0\.\d+ became")
    assert len([r for r in caplog.records if "m@2 is not routed" in r.message]) == 1, "told once"
    assert "m@2" in note.text.text("zh")
    monkeypatch.undo()
    standing.follow()
    assert standing.notes == []
    assert standing.routed("m").candidate.version == 2


def test_elsewhere_half_of_the_digits_must_agree(standing, monkeypatch):
    found = golden_module.environment()
    monkeypatch.setattr(golden_module, "environment", lambda: {**found, "cpu": "another one"})
    answers_shifted(monkeypatch, 1e-6)
    refused(standing, Incompatible, "cpu: .* -> another one")
    answers_shifted(monkeypatch, 1e-10 - 1e-6)
    standing.follow()
    assert standing.routed("m").candidate.version == 2


def test_status_and_heartbeat_tell_what_is_refused(standing, team, tidegate, monkeypatch):
    answers_shifted(monkeypatch, 0.25)
    refused(standing, Incompatible, "otherwise")
    page, _ = Metrics(lambda: standing).page()
    assert 'tidegate_versions_refused{model="m"} 1.0' in page.decode()
    gateway = Heartbeat(team.ws.home.database)
    gateway.say(standing.followed, standing.notes)
    told = tidegate(f"release status m --workspace {team.folder / 'ws'}")
    assert told.code == 0
    flat = " ".join(told.out.split())
    assert "gateway" in flat
    assert "version m@2 is not routed here" in flat
    told = tidegate(f"release status m --json --workspace {team.folder / 'ws'}").json
    assert told["champion"] == 1
    (one,) = told["gateways"]
    assert [note["version"] for note in one["notes"]] == [2]
    gateway.say(standing.followed, [])
    assert team.ws.gateways("m")[0].notes == ()


@pytest.mark.usefixtures("standing")
def test_a_gateway_that_starts_with_a_broken_candidate_answers_by_the_champion(team, monkeypatch):
    make = resident.ready

    def broken(home, model, number):
        if number == 2:
            raise Incompatible("broken", do="mend it")
        return make(home, model, number)

    monkeypatch.setattr(resident, "ready", broken)
    fresh = team.ws.serving()
    assert answering(fresh) == {1}
    assert [note.version for note in fresh.notes] == [2]


def test_golden_requests_that_are_gone_are_told_and_altered_ones_refuse(standing, team):
    objects = team.ws.home.objects
    key = f"golden/{golden_of(team, 2).digest}.parquet"
    held = objects.get(key)
    objects.delete(key)
    objects.put(key, held[:-2] + b"xx")
    refused(standing, IntegrityError, "were altered")
    objects.delete(key)
    standing.follow()
    (note,) = standing.notes
    assert (note.version, note.refused) == (2, False)
    assert "gone" in note.text.text()
    assert standing.routed("m").candidate.version == 2
    assert any("gone" in problem.message.text() for problem in team.ws.verify().problems)


def test_damaged_bytes_refuse_the_switch(standing, team):
    objects = team.ws.home.objects
    one, other = (read_sheet(objects, team.ws.version(f"m@{n}")[1].id) for n in (1, 2))
    own = other.packs - one.packs
    assert own
    for pack in own:
        key = pack_key(pack)
        held = objects.get(key)
        objects.delete(key)
        objects.put(key, bytes(byte ^ 0xFF for byte in held))
    refused(standing, IntegrityError, "damaged")


def test_tensors_of_another_shape_refuse_the_switch(standing, monkeypatch):
    load = LogisticRegression.load

    def misshapen(self, state):
        wide = np.hstack([state.tensors["coef"], state.tensors["coef"][:, :1]])
        return load(self, replace(state, tensors={**state.tensors, "coef": wide}))

    monkeypatch.setattr(LogisticRegression, "load", misshapen)
    refused(standing, Incompatible, "coef")


def test_only_an_approved_version_is_routed_whatever_the_deployment_names(team, make_rows):
    team.approved(make_rows(1))
    serving = team.ws.serving()
    serving.follow()
    waiting = team.start(make_rows(2))
    assert (waiting.stage, waiting.outcome) == (Stage.APPROVE, None)
    pointed_at(team, 2)
    refused(serving, Refused, "m-2 is not approved as it stands")
    with team.as_("wei") as wei:
        ended = wei.reject(waiting.id, "not today")
    assert ended.outcome is Outcome.REJECTED
    refused(serving, Refused, "has ended: rejected")
    fresh = team.ws.serving()
    with pytest.raises(Refused):
        fresh.infer("m", LIVE)


def second_forged(team, make_rows, kind, name, changes):
    """What answers by the first version, when a document of the second is not what was signed."""
    team.approved(make_rows(1))
    serving = team.ws.serving()
    serving.follow()
    team.approved(make_rows(2))
    with team.ws.home.journal.write("root") as tx:
        was = tx.get(kind, name)
        tx.put(was.model_copy(update=changes(tx)), "forged", was=was)
    return serving


def test_an_approval_of_another_case_file_clears_nothing(team, make_rows):
    """The update's approval is of a digest; evidence put in afterwards is not what was signed."""
    serving = second_forged(team, make_rows, Update, "m-2", lambda _: {"reason": "another one"})
    refused(serving, Refused, "not approved as it stands")


def test_a_version_that_names_other_parameters_than_its_update_made_is_refused(team, make_rows):
    serving = second_forged(
        team, make_rows, Version, "m@2", lambda tx: {"params": tx.get(Version, "m@1").params}
    )
    refused(serving, IntegrityError, "does not hold the parameters that its update made")


def test_the_release_stage_asks_again_as_well(team, make_rows, monkeypatch):
    """Where the worker cannot reproduce the answers, nothing goes on traffic at all."""
    team.approved(make_rows(1))
    update = team.start(make_rows(2))
    answers_shifted(monkeypatch, 2**-40)
    with team.as_("wei") as wei:
        ended = wei.approve(update.id)
    assert ended.outcome is Outcome.REJECTED
    assert "otherwise than when it was validated" in json.dumps(
        [finding.message.text() for finding in ended.filed[-1].verdict.findings]
    )
