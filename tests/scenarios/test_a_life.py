"""Whole stories through the public interface, on both backends."""

import polars as pl
import pytest

from tidegate.domain.errors import Conflict, Forbidden, NotFound, WrongUsage
from tidegate.domain.people import Role
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Outcome


def test_two_versions_walk_through_all_eight_gates(team, make_rows):
    ws = team.ws
    first = team.approved(make_rows(1))
    assert first.outcome is Outcome.COMPLETED
    assert [filed.stage for filed in first.filed] == list(Stage)

    second = team.approved(make_rows(2), strategy="full")
    assert (second.stage, second.outcome) == (Stage.RELEASE, None)
    assert "30% of requests" in second.waiting.text()
    second = team.traffic(second)
    assert second.outcome is Outcome.COMPLETED
    assert all(filed.verdict.passed for filed in second.filed)

    deployment = ws.deployment("m")
    assert (deployment.champion, deployment.previous) == (2, 1)
    assert [logged.version.number for logged in ws.log("m")] == [2, 1]
    assert {d.status for d in ws.diff("m@1", "m@champion")} == {"changed"}
    assert ws.verify().ok
    assert all(again.same for update in (first, second) for again in ws.replay(update.id))
    assert ws.reproduce("m-1").same
    assert ws.reproduce("m-2").same
    assert "# Update record m-2" in ws.document("m-2")


def test_a_harmful_candidate_is_rolled_back_by_its_canary(team, make_rows):
    team.approved(make_rows(1))
    second = team.traffic(team.approved(make_rows(2)), wrong={2})
    assert second.outcome is Outcome.ROLLED_BACK
    assert second.filed[-1].stage is Stage.RELEASE
    assert second.filed[-1].verdict.findings[0].code == "harm"
    deployment = team.ws.deployment("m")
    assert deployment.champion == 1
    versions = {a.version for a in team.ws.serving().infer("m", make_rows(3).drop("y"))}
    assert versions == {1}
    assert team.ws.verify().ok


def test_a_candidate_that_no_longer_loads_never_meets_traffic(team, make_rows, monkeypatch):
    team.approved(make_rows(1))
    second = team.start(make_rows(2))
    monkeypatch.setattr("tidegate.training.libraries.version", lambda _library: "99.0")
    with team.as_("wei") as wei:
        second = wei.approve(second.id)
    assert (second.filed[-1].stage, second.outcome) == (Stage.RELEASE, Outcome.REJECTED)
    (finding,) = second.filed[-1].verdict.findings
    assert finding.code == "incompatible"
    assert "scikit-learn" in finding.message.text()
    assert "99.0 is installed" in finding.message.text()
    assert team.ws.deployment("m").release.candidate == 1


def test_a_version_that_fails_in_production_is_taken_back(team, make_rows):
    team.approved(make_rows(1))
    second = team.approved(make_rows(2))
    while team.ws.update(second.id).stage is Stage.RELEASE:
        team.traffic(second, bursts=1)
    second = team.traffic(second, wrong={2})
    assert second.outcome is Outcome.ROLLED_BACK
    assert second.filed[-1].stage is Stage.OBSERVE
    assert team.ws.deployment("m").champion == 1


def test_a_worse_candidate_never_reaches_a_person(team, make_rows):
    team.approved(make_rows(1))
    worse = team.start(make_rows(2, flip=0.5), strategy="incremental")
    assert worse.outcome is Outcome.REJECTED
    assert worse.filed[-1].stage in (Stage.PREPARE, Stage.VALIDATE)
    assert team.ws.deployment("m").champion == 1


def test_duties_are_separated(team, make_rows):
    update = team.start(make_rows(1))
    assert update.stage is Stage.APPROVE
    assert "ada" in update.waiting.text()
    with pytest.raises(Forbidden, match="role approver"):
        team.ws.approve(update.id)
    with team.as_("root") as root:
        root.change_person("ada", roles=[Role.PROPOSER, Role.APPROVER])
    with pytest.raises(Forbidden, match="proposed update m-1 and cannot sign"):
        team.ws.approve(update.id)
    with team.as_("oli") as oli, pytest.raises(Forbidden):
        oli.approve(update.id)
    with team.as_("stranger") as stranger, pytest.raises(Forbidden, match="nobody called"):
        stranger.approve(update.id)
    with team.as_("wei") as wei, pytest.raises(Forbidden):
        wei.start_update("m", data=update.snapshot, reason="mine")


def test_a_person_refuses_and_the_reason_stays(team, make_rows):
    update = team.start(make_rows(1))
    with team.as_("wei") as wei:
        refused = wei.reject(update.id, "not in the holiday week")
    assert refused.outcome is Outcome.REJECTED
    assert "holiday week" in team.ws.describe(refused).text()
    with pytest.raises(Conflict, match="has ended"), team.as_("wei") as wei:
        wei.approve(update.id)


def test_strict_takes_two_from_different_teams(team, make_rows):
    policy = {"preset": "strict", "data": {"min_labelled_rows": 30}}
    with team.as_("root") as root:
        root.apply_model({**team.model, "policy": policy})
        root.add_person("kim", "business", [Role.APPROVER])
    update = team.start(make_rows(1))
    with team.as_("wei") as wei:
        update = wei.approve(update.id)
    assert update.stage is Stage.APPROVE
    with team.as_("kim") as kim:
        update = kim.approve(update.id)
    assert "different teams" in update.waiting.text()
    with team.as_("mei") as mei:
        assert mei.approve(update.id).outcome is Outcome.COMPLETED


def test_fast_lets_low_risk_pass_and_says_so(team, make_rows):
    with team.as_("root") as root:
        root.apply_model({**team.model, "policy": {"preset": "fast"}})
    update = team.start(make_rows(1, 400))
    approve = next(filed for filed in update.filed if filed.stage is Stage.APPROVE)
    assert "without a person" in str([f.message.text() for f in approve.verdict.findings])


def test_withdrawing_ends_it_before_traffic_only(team, make_rows):
    update = team.start(make_rows(1))
    assert team.ws.withdraw(update.id, "wrong file").outcome is Outcome.WITHDRAWN
    team.approved(make_rows(2))
    live = team.approved(make_rows(3))
    with pytest.raises(Conflict, match="on traffic"):
        team.ws.withdraw(live.id, "too late")


def test_one_release_at_a_time(team, make_rows):
    team.approved(make_rows(1))
    second = team.approved(make_rows(2))
    third = team.approved(make_rows(3))
    assert "m-2 is on traffic" in third.waiting.text()
    assert team.traffic(second).outcome is Outcome.COMPLETED
    third = team.ws.resume(third.id)
    assert third.outcome is Outcome.REJECTED
    assert third.filed[-1].verdict.findings[0].code == "champion_changed"
    assert team.ws.deployment("m").champion == 2


def test_promoting_and_rolling_back_by_hand(team, make_rows):
    team.approved(make_rows(1))
    second = team.approved(make_rows(2))
    with pytest.raises(Forbidden), team.as_("wei") as wei:
        wei.promote("m")
    with team.as_("oli") as oli:
        update = oli.promote("m")
        assert update.stage is Stage.OBSERVE
        assert oli.promote("m").outcome is Outcome.COMPLETED
        assert oli.rollback("m", reason="the phone rang").champion == 1
        assert oli.rollback("m", reason="and again", to=2).champion == 2
        third = team.approved(make_rows(3))
        assert oli.rollback("m", reason="at once").champion == 2
    assert team.ws.update(third.id).outcome is Outcome.ROLLED_BACK
    codes = [f.code for filed in team.ws.update(second.id).filed for f in filed.verdict.findings]
    assert "by_hand" in codes
    assert team.ws.verify().ok


def test_only_what_was_approved_goes_back_to_production(team, make_rows):
    team.approved(make_rows(1))
    team.start(make_rows(2))
    with team.as_("oli") as oli, pytest.raises(Conflict, match="never in production"):
        oli.rollback("m", reason="x", to=2)
    with team.as_("oli") as oli, pytest.raises(NotFound):
        oli.rollback("m", reason="x", to=77)


def test_the_same_rows_are_one_snapshot(team, make_rows):
    first, again = team.add(make_rows(1)), team.add(make_rows(1))
    assert first == again
    with team.as_("root") as root:
        root.apply_model({**team.model, "model": "n"})
    other = team.ws.add_data("n", [team.file(make_rows(1))]).snapshot
    assert (other.digest, other.model) == (first.digest, "n")
    with pytest.raises(WrongUsage, match="belongs to another model"):
        team.ws.start_update("m", data=other.id, reason="x")


def test_an_incremental_update_leaves_what_is_frozen_to_the_last_bit(team, make_rows):
    policy = {**team.model["policy"], "training": {"trainable_groups": ["intercept"]}}
    with team.as_("root") as root:
        root.apply_model({**team.model, "policy": policy})
    team.approved(make_rows(1))
    second = team.start(make_rows(2), strategy="incremental")
    train = next(filed for filed in second.filed if filed.stage is Stage.TRAIN)
    assert "frozen_same" in [finding.code for finding in train.verdict.findings]
    status = {d.name: d.status for d in team.ws.diff("m@1", "m@2")}
    assert status["coef"] == "same"
    assert status["intercept"] == "changed"
    with team.ws.home.journal.read() as reader:
        plan = reader.evidence(second.evidence_digest(Stage.PLAN))
    assert plan.strategy is Strategy.INCREMENTAL


def test_two_open_hands_write_at_once_and_none_is_lost(team, make_rows):
    """Ten updates opened from two threads: all are there, numbered without gap or double."""
    import threading

    snapshot = team.add(make_rows(1)).id
    errors = []

    def work():
        try:
            for _ in range(5):
                team.ws.open_update("m", data=snapshot, reason="at once")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [update.number for update in team.ws.updates("m")] == list(range(1, 11))
    assert team.ws.verify().ok


def test_codes_that_turn_into_digits_stay_one_column(team, make_rows):
    """Texts first, then a file whose codes happen to be all digits, then both learned together."""
    policy = {**team.model["policy"], "validation": {"margin": 0.5, "max_negative_flips": 1}}
    with team.as_("root") as root:
        root.apply_model({**team.model, "policy": policy})
    letters = make_rows(1).with_columns(c=pl.Series(["a1", "7", "8", "7"] * 50))
    digits = make_rows(2).with_columns(c=pl.Series([7, 8] * 100))
    assert team.approved(letters).outcome is Outcome.COMPLETED
    second = team.approved(digits, strategy="full")
    with team.as_("oli") as oli:
        while second.outcome is None:
            second = oli.promote("m")
    more = make_rows(3).with_columns(c=pl.Series([8, 7] * 100))
    third = team.start(more, strategy="full")
    assert third.evidence_digest(Stage.VALIDATE) is not None


def _prepared(team, update):
    with team.ws.home.journal.read() as reader:
        return reader.evidence(update.evidence_digest(Stage.PREPARE))


def test_what_is_kept_aside_shares_no_entity_and_no_week_with_what_is_trained_on(team, make_rows):
    by_user = make_rows(1).with_columns(user=pl.Series([f"u{n % 20}" for n in range(200)]))
    with team.as_("root") as root:
        root.apply_model({**team.model, "key": "user"})
    found = _prepared(team, team.start(by_user))
    assert (found.split, found.train_rows, found.holdout_rows) == ("grouped", 160, 40)

    by_day = make_rows(2).with_columns(
        day=pl.Series([f"2026-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(200)])
    )
    policy = {**team.model["policy"], "training": {"gap_days": 7}}
    with team.as_("root") as root:
        root.apply_model({**team.model, "time": "day", "policy": policy})
    update = team.start(by_day)
    found = _prepared(team, update)
    # The hold-out begins with row 160, on June 21st; the six rows since the 15th are in neither.
    assert (found.split, found.train_rows, found.holdout_rows) == ("time", 154, 40)
    assert all(again.same for again in team.ws.replay(update.id))
