"""Updates as policy asks for them: searched, cross-validated, remembered, held to a budget."""

import numpy as np
import polars as pl
import pytest

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Outcome


@pytest.fixture
def with_policy(team):
    """Applies the team's model with other sections of its policy, and other keys beside."""

    def apply(*, training=None, validation=None, **changed):
        policy = {
            **team.model["policy"],
            "training": training or {},
            "validation": {"margin": 0.5, "max_negative_flips": 1, **(validation or {})},
        }
        with team.as_("root") as root:
            root.apply_model({**team.model, "policy": policy, **changed})

    return apply


def evidence(team, update, stage):
    with team.ws.home.journal.read() as reader:
        return reader.evidence(update.evidence_digest(stage))


def codes(update, stage):
    filed = next(filed for filed in update.filed if filed.stage is stage)
    return [finding.code for finding in filed.verdict.findings]


def promoted(team, update):
    """The update, on traffic as a whole and observed, by hand."""
    with team.as_("wei") as wei:
        update = wei.approve(update.id)
    with team.as_("oli") as oli:
        while update.outcome is None:
            update = oli.promote("m")
    assert update.outcome is Outcome.COMPLETED
    return update


def test_a_search_is_evidence_and_the_next_one_begins_where_it_ended(team, make_rows, with_policy):
    with_policy(training={"search": {"trials": 6, "folds": 2}})
    first = team.start(make_rows(1))
    found = evidence(team, first, Stage.TRAIN)
    assert len(found.search.trials) == 6
    assert found.settings["C"] == found.search.trials[found.search.best].settings["C"]
    assert "searched" in codes(first, Stage.TRAIN)
    assert team.ws.reproduce(first.id).same
    promoted(team, first)
    second = team.start(make_rows(2), strategy="full")
    tried = [trial.settings["C"] for trial in evidence(team, second, Stage.TRAIN).search.trials]
    assert tried[0] == found.settings["C"]


def test_a_search_is_made_now_and_then_and_what_it_found_stands_between(
    team, make_rows, with_policy
):
    with_policy(training={"search": {"trials": 4, "folds": 2, "every": 2}})
    first = promoted(team, team.start(make_rows(1)))
    assert evidence(team, first, Stage.TRAIN).search is None
    assert any("from update 2 on" in why.text() for why in evidence(team, first, Stage.PLAN).why)
    second = promoted(team, team.start(make_rows(2), strategy="full"))
    found = evidence(team, second, Stage.TRAIN)
    assert len(found.search.trials) == 4
    third = promoted(team, team.start(make_rows(3), strategy="full"))
    kept = evidence(team, third, Stage.TRAIN)
    assert kept.search is None
    assert kept.settings == found.settings
    assert team.ws.reproduce(third.id).same
    fourth = team.start(make_rows(4), strategy="full")
    again = evidence(team, fourth, Stage.TRAIN).search
    # Three snapshots came before: each of the newest two was told from those before it.
    assert max(len(trial.merits) for trial in again.trials) == 2


def test_a_search_chooses_how_far_back_to_look_and_that_stands_until_the_next(
    team, make_rows, with_policy
):
    search = {"trials": 4, "folds": 2, "every": 3, "windows": [1]}
    with_policy(training={"search": search})
    promoted(team, team.start(make_rows(1)))
    promoted(team, team.start(make_rows(2), strategy="full"))
    third = promoted(team, team.start(make_rows(3), strategy="full"))
    plan, found = evidence(team, third, Stage.PLAN), evidence(team, third, Stage.TRAIN)
    assert plan.windows == [8, 1]
    assert len(plan.snapshots) == 3  # the most that any trial needs
    assert [trial.window for trial in found.search.trials] == [8, 8, 8, 1]
    assert found.window == found.search.trials[found.search.best].window
    assert team.ws.reproduce(third.id).same
    fourth = team.start(make_rows(4), strategy="full")
    plan = evidence(team, fourth, Stage.PLAN)
    assert plan.windows == []
    assert len(plan.snapshots) == (1 if found.window == 1 else 4)
    assert team.ws.reproduce(fourth.id).same


def test_a_search_waits_until_it_is_known_to_fit_its_budget(team, make_rows, with_policy):
    search = {"trials": 4, "folds": 1}
    with_policy(training={"search": {**search, "budget_seconds": 1000}})
    first = promoted(team, team.start(make_rows(1)))
    assert evidence(team, first, Stage.TRAIN).search is None
    second = promoted(team, team.start(make_rows(2), strategy="full"))
    assert len(evidence(team, second, Stage.TRAIN).search.trials) == 4
    with_policy(training={"search": {**search, "budget_seconds": 1e-9}})
    third = team.start(make_rows(3), strategy="full")
    assert evidence(team, third, Stage.TRAIN).search is None
    assert any("no search" in why.text() for why in evidence(team, third, Stage.PLAN).why)


def test_rivals_that_competed_are_no_search(team, make_rows, with_policy):
    search = {"trials": 4, "folds": 1, "every": 2}
    with_policy(training={"rivals": ["full", "incremental"], "search": search})
    promoted(team, team.start(make_rows(1)))
    second = promoted(team, team.start(make_rows(2)))
    assert len(evidence(team, second, Stage.TRAIN).search.trials) == 4
    third = promoted(team, team.start(make_rows(3)))
    competed = evidence(team, third, Stage.TRAIN).search
    assert len(competed.trials) == 2
    assert not competed.of_settings
    fourth = team.start(make_rows(4))
    assert len(evidence(team, fourth, Stage.TRAIN).search.trials) == 4


def test_trials_are_ranked_by_probabilities_or_by_the_metric(team, make_rows, with_policy):
    search = {"trials": 4, "folds": 2}
    with_policy(training={"search": search})
    first = evidence(team, team.start(make_rows(1)), Stage.TRAIN).search.trials[0]
    assert all(-0.5 < merit < 0 for merit in first.merits)  # Brier scores, less is better
    with_policy(training={"search": {**search, "by": "metric"}})
    other = evidence(team, team.start(make_rows(2)), Stage.TRAIN).search.trials[0]
    assert other.score == pytest.approx(other.merit)


def test_what_the_model_file_sets_is_not_searched(team, make_rows, with_policy):
    with_policy(training={"search": {"trials": 4}, "settings": {"C": 3.0}})
    update = team.start(make_rows(1))
    assert evidence(team, update, Stage.TRAIN).settings["C"] == 3.0
    assert evidence(team, update, Stage.TRAIN).search is None


def test_what_an_adapter_cannot_search_is_said_in_the_plan(team, make_rows, with_policy):
    with_policy(training={"search": {"trials": 4}}, adapter="sklearn.gaussian_nb")
    update = team.start(make_rows(1))
    assert evidence(team, update, Stage.TRAIN).search is None
    why = evidence(team, update, Stage.PLAN).why
    assert any("no settings are left to search" in each.text() for each in why)


def test_a_failed_stage_leaves_word_in_the_case_file(team, make_rows, with_policy):
    with_policy(training={"trainable_groups": ["cof"]})
    promoted(team, team.start(make_rows(1)))
    with pytest.raises(WrongUsage, match="no parameter group"):
        team.start(make_rows(2), strategy="incremental")
    left = team.ws.updates()[-1]
    assert left.stage is Stage.PLAN
    assert "plan failed: there is no parameter group 'cof'" in left.waiting.text()
    assert "keeps the file it was opened with" in left.waiting.text()
    assert "失败" in left.waiting.text("zh")


def test_folds_and_a_learning_curve_are_evidence(team, make_rows, with_policy):
    with_policy(validation={"folds": 4, "learning_curve": True})
    update = team.start(make_rows(1))
    found = evidence(team, update, Stage.VALIDATE)
    crossed = found.cross_validation
    assert len(crossed.folds) == 4
    assert crossed.how == "stratified"
    assert crossed.score.low < crossed.score.value < crossed.score.high
    assert [point.rows for point in found.learning_curve] == [20, 40, 80]
    assert "cross_validated" in codes(update, Stage.VALIDATE)
    assert found.noise.scale == 0.05
    assert found.calibration.brier < 0.25
    assert team.ws.verify().ok
    assert all(again.same for again in team.ws.replay(update.id))


def test_a_fold_that_cannot_be_learned_from_is_named_and_can_be_mended(
    team, make_rows, with_policy
):
    with_policy(validation={"folds": 20})
    rare = make_rows(1, 60).with_columns(y=pl.Series([1] * 2 + [0] * 58))
    snapshot = team.add(rare).id
    opened = team.ws.open_update("m", data=snapshot, reason="rare")
    with pytest.raises(DataError, match=r"fold \d+ of 20|not enough"):
        team.ws.resume(opened.id)
    assert team.ws.update(opened.id).stage is Stage.VALIDATE


def test_rivals_compete_and_the_best_one_stands(team, make_rows, with_policy):
    with_policy(training={"rivals": ["full", "incremental"]})
    promoted(team, team.start(make_rows(1)))
    second = team.start(make_rows(2))
    found = evidence(team, second, Stage.TRAIN)
    assert {trial.strategy for trial in found.search.trials} == {
        Strategy.FULL, Strategy.INCREMENTAL,
    }  # fmt: skip
    assert found.strategy is found.search.trials[found.search.best].strategy
    assert team.ws.reproduce(second.id).same
    third = team.start(make_rows(3), strategy="incremental")
    assert evidence(team, third, Stage.TRAIN).search is None


def test_cheap_full_updates_are_preferred_and_long_lines_of_small_ones_end(
    team, make_rows, with_policy
):
    with_policy(training={"cheap_seconds": 0, "full_every": 1})
    promoted(team, team.start(make_rows(1, 400)))
    second = team.start(make_rows(2, 100))
    plan = evidence(team, second, Stage.PLAN)
    assert plan.strategy is Strategy.INCREMENTAL
    assert "a full one would take about" in plan.why[1].text()
    promoted(team, second)
    third = evidence(team, team.start(make_rows(3, 100)), Stage.PLAN)
    assert third.strategy is Strategy.FULL
    assert "in a row only moved on" in third.why[0].text()
    with_policy(training={"cheap_seconds": 60})
    fourth = evidence(team, team.start(make_rows(4, 100)), Stage.PLAN)
    assert fourth.strategy is Strategy.FULL
    assert "cheap" in fourth.why[0].text()


def test_rows_of_the_past_are_replayed_in_an_incremental_update(team, make_rows, with_policy):
    with_policy(training={"remember": {"replay_rows": 50}})
    promoted(team, team.start(make_rows(1)))
    second = team.start(make_rows(2), strategy="incremental")
    found = evidence(team, second, Stage.TRAIN)
    assert found.rows == 160 + 50
    assert evidence(team, second, Stage.PLAN).remembered
    assert team.ws.reproduce(second.id).same


def test_a_step_budget_shortens_the_step_and_the_gate_agrees(team, make_rows, with_policy):
    with_policy(training={"max_relative_step": 0.02})
    promoted(team, team.start(make_rows(1)))
    moved = make_rows(2).with_columns(pl.col("a") * -1)
    second = team.start(moved, strategy="incremental")
    found = evidence(team, second, Stage.TRAIN)
    steps = {step.group: step for step in found.steps}
    assert steps["coef"].relative_norm <= 0.02
    assert not steps["precision"].held
    assert "step_too_large" not in codes(second, Stage.TRAIN)
    assert any("shortened" in note.text() for note in found.notes)


def test_no_more_answers_change_than_policy_allows(team, make_rows, with_policy):
    with_policy(training={"max_changed_predictions": 0.0})
    promoted(team, team.start(make_rows(1)))
    second = team.start(make_rows(2).with_columns(pl.col("a") * -1), strategy="incremental")
    assert "changed_too_much" in codes(second, Stage.VALIDATE)
    assert second.outcome is Outcome.REJECTED


def test_what_cannot_be_is_refused_before_anything_is_trained(team, make_rows, with_policy):
    promoted(team, team.start(make_rows(1)))
    with_policy(training={"trainable_groups": ["cof"]})
    opened = team.ws.open_update(
        "m", data=team.add(make_rows(2)).id, reason="x", strategy="incremental"
    )
    with pytest.raises(WrongUsage, match="no parameter group 'cof'"):
        team.ws.resume(opened.id)
    assert team.ws.update(opened.id).stage is Stage.PLAN


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"search": {"space": {"c": {"low": 1, "high": 2}}}}, "no setting"),
        ({"search": {"space": {"C": {"low": -1, "high": 2}}}}, "cannot be"),
        ({"remember": {"pull": 1.0}}, "cannot be pulled"),
    ],
)
def test_what_no_training_could_do_is_refused_with_the_model(with_policy, training, says):
    with pytest.raises(WrongUsage, match=says):
        with_policy(training=training)


def test_a_network_is_updated_through_low_rank_adapters(team, make_rows, with_policy):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    quick = {"epochs": 20, "update_epochs": 5, "learning_rate": 0.01, "arguments": {"hidden": [8]}}
    with_policy(training={"settings": quick}, adapter="torch")
    promoted(team, team.start(make_rows(1)))
    lora = {"lora_rank": 2, "lora_targets": ["hidden.*"]}
    with_policy(training={"settings": {**quick, **lora}}, adapter="torch")
    second = team.start(make_rows(2), strategy="incremental")
    assert "frozen_same" in codes(second, Stage.TRAIN)
    status = {d.name: d.status for d in team.ws.diff("m@1", "m@2")}
    assert {status["hidden.0.weight"], status["head.weight"]} == {"same"}
    assert status["hidden.0.lora_a"] == "added"
    assert team.ws.reproduce(second.id).same
    answers = team.ws.serving().infer("m", make_rows(3, 5).drop("y"), list("abcde"))
    assert np.isin([a.prediction for a in answers], (0, 1)).all()


def test_a_loss_that_is_lost_leaves_the_champion_and_a_word(team, make_rows, with_policy):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    quick = {"epochs": 20, "learning_rate": 0.01, "arguments": {"hidden": [8]}}
    with_policy(training={"settings": quick}, adapter="torch")
    promoted(team, team.start(make_rows(1)))
    lost = {"learning_rate": 1e3, "clip_norm": 0.0, "optimiser": "sgd", "epochs": 500}
    with_policy(training={"settings": {**quick, **lost}}, adapter="torch")
    with pytest.raises(DataError, match=r"became (nan|inf) in epoch"):
        team.start(make_rows(2), strategy="full")
    left = team.ws.updates()[-1]
    assert (left.stage, left.outcome) == (Stage.TRAIN, None)
    assert "train failed" in left.waiting.text()
    assert team.ws.deployment("m").champion == 1
    assert [logged.version.number for logged in team.ws.log("m")] == [1]
    assert team.ws.verify().ok


def test_a_cluster_finds_what_one_process_finds(team, make_rows, with_policy):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from ray.cluster_utils import Cluster

    found = []
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        cluster.add_node(num_cpus=1)
        for compute in ({}, {"engine": "ray", "address": cluster.address}):
            with_policy(
                training={"search": {"trials": 6, "folds": 2}, "compute": compute},
                validation={"folds": 3},
            )
            update = team.start(make_rows(1))
            found.append(
                [evidence(team, update, Stage.TRAIN), evidence(team, update, Stage.VALIDATE)]
            )
    finally:
        cluster.shutdown()
    (here, validated), (there, validated_there) = found
    assert here.search == there.search
    assert here.params == there.params
    assert validated.cross_validation == validated_there.cross_validation


def test_training_that_was_killed_goes_on_where_it_was(team, make_rows, with_policy, monkeypatch):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from tidegate.training.adapters import descent

    monkeypatch.setattr(descent, "_EVERY", 0.0)
    quick = {"epochs": 30, "arguments": {"hidden": [8], "dropout": 0.3}}
    with_policy(training={"settings": quick}, adapter="torch")
    whole = evidence(team, team.start(make_rows(1)), Stage.TRAIN)

    seen = []

    def killed(what, done, total):
        seen.append(done)
        if what.text() == "training" and done == 12:
            raise KeyboardInterrupt

    interrupted = team.ws.open_update("m", data=team.add(make_rows(1)).id, reason="again")
    home = team.ws.home
    object.__setattr__(home, "progress", killed)
    with pytest.raises(KeyboardInterrupt):
        team.ws.resume(interrupted.id)
    kept = list((home.folder / "checkpoints").iterdir())
    assert len(kept) == 1
    seen.clear()
    object.__setattr__(home, "progress", lambda _what, done, _total: seen.append(done))
    resumed = team.ws.resume(interrupted.id)
    assert min(n for n in seen if n > 1) == 13
    assert evidence(team, resumed, Stage.TRAIN).params == whole.params
    assert not list((home.folder / "checkpoints").iterdir())


def test_a_checkpoint_that_is_damaged_or_of_another_job_counts_as_nothing(tmp_path):
    from tidegate.process.checkpoints import FileCheckpoint
    from tidegate.training.state import Saved

    first = FileCheckpoint(tmp_path, "m-1", [1])
    assert first.load() is None
    first.save(Saved({"a": np.arange(3)}, {"curve": [0.5]}))
    assert first.load().facts == {"curve": [0.5]}
    assert first.load().arrays["a"].tolist() == [0, 1, 2]
    assert FileCheckpoint(tmp_path, "m-1", [2]).load() is None
    (path,) = (tmp_path / "checkpoints").iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:50], b"x" * 100, whole[:-30]):
        path.write_bytes(damaged)
        assert first.load() is None
    objects = tmp_path / "objects.npz"
    np.savez(objects, facts=np.array([object()], dtype=object))
    path.write_bytes(objects.read_bytes())
    assert first.load() is None
    first.done()
    assert not path.exists()


def test_training_ends_where_the_update_is_withdrawn_meanwhile(
    team, make_rows, with_policy, monkeypatch
):
    from tidegate.domain.errors import Conflict
    from tidegate.process.stages import train

    monkeypatch.setattr(train, "_LOOKS_EVERY", 0.0)
    with_policy()
    opened = team.ws.open_update("m", data=team.add(make_rows(1)).id, reason="x")
    home = team.ws.home

    def withdraw(what, done, _total):
        if what.text() == "training" and done == 0:
            team.as_("ada").__enter__().withdraw(opened.id, "changed my mind")

    object.__setattr__(home, "progress", withdraw)
    with pytest.raises(Conflict, match="ended while it trained"):
        team.ws.resume(opened.id)
    assert team.ws.update(opened.id).outcome is Outcome.WITHDRAWN
