"""Real traffic over HTTP meets a version of wrong labels, and late labels take it back.

The story is told in docs/play_release.py, which also writes docs/deployment-log.md of it.
"""

import bisect
import importlib.util
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome
from tidegate.release.splitter import takes_candidate
from tidegate.store.tables import predictions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def story():
    """The module that tells it."""
    found = importlib.util.spec_from_file_location("play_release", ROOT / "docs/play_release.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["play_release"] = module
    found.loader.exec_module(module)
    if not module.DATA.is_file():
        pytest.skip("electricity.csv is not beside the repository (../shared/data)")
    return module


@pytest.fixture(scope="module")
def played(story, tmp_path_factory):
    """The workspace after the story, the update, and every answer that was given."""
    folder = tmp_path_factory.mktemp("release")
    ws, update, replay = story.play(folder)
    yield ws, update, replay
    ws.close()


@pytest.fixture(scope="module")
def logged(played):
    """What the prediction log holds, by request id."""
    ws, _, _ = played
    with ws.home.database.read() as connection:
        rows = connection.execute(sa.select(predictions)).all()
    return {row.request_id: row for row in rows}


def events(ws, kind):
    with ws.home.journal.read() as reader:
        return [e for e in reader.events(model="electricity") if e.kind == kind]


def seconds(moment):
    return datetime.fromisoformat(moment).timestamp()


def test_offline_all_looked_well(played):
    ws, update, _ = played
    before = [filed for filed in update.filed if filed.stage is not Stage.RELEASE]
    assert [filed.stage for filed in before] == list(Stage)[:6]
    assert all(filed.verdict.passed for filed in before)
    with ws.home.journal.read() as reader:
        found = reader.evidence(update.evidence_digest(Stage.VALIDATE))
    assert found.candidate["accuracy"].value > found.champion["accuracy"].value + 0.1


def test_no_request_fails(played):
    _, _, replay = played
    assert Counter(reply.status for reply in replay.replies) == {200: len(replay.replies)}
    assert replay.refused == []
    assert sorted(reply.row for reply in replay.replies) == list(range(len(replay.replies)))


def test_it_goes_back_by_itself_on_labels_that_come_thousands_of_answers_later(story, played):
    ws, update, replay = played
    assert update.outcome is Outcome.ROLLED_BACK
    assert [f.code for f in update.filed[-1].verdict.findings] == ["harm"]
    assert events(ws, "release.stopped_by_hand") == []
    (back,) = events(ws, "release.rolled_back")
    came = sorted(reply.came for reply in replay.replies)
    labels = [one for one in ws.home.log.labelled("electricity") if one.at <= back.at]
    assert labels
    rows = {reply.told["request_ids"][0]: reply for reply in replay.replies}
    for label in labels:
        between = bisect.bisect(came, seconds(label.at)) - bisect.bisect(
            came, rows[label.request_id].came
        )
        assert between > story.LATE - story.TOLD


def test_every_answer_is_what_the_record_says(played, logged):
    """Version, arm and parameters in the response, in the log, and by the rule of the split."""
    ws, update, replay = played
    params = {n: ws.version(f"electricity@{n}")[0].params for n in (1, 2)}
    step = {n: one.share for n, one in enumerate(update.spec.policy.rollout.steps)}
    arms = Counter()
    for reply in replay.replies:
        told = reply.told
        (request,), (arm,), (version,) = told["request_ids"], told["arms"], told["versions"]
        kept = logged[request]
        assert (kept.arm, kept.version, kept.key) == (arm, version, reply.key)
        assert reply.version == f"electricity@{version}"
        assert reply.body["model_version"] == str(version)
        assert told["params"] == [params[version]]
        assert version == {"champion": 1, "candidate": 2}[arm]
        if kept.update_id is None:
            assert arm == "champion"
        else:
            assert kept.update_id == update.id
            assert (arm == "candidate") == takes_candidate(update.id, reply.key, step[kept.step])
        arms[arm, kept.step] += 1
    assert arms["candidate", 0] > 200
    assert len(logged) == len(replay.replies)


def test_when_all_gateways_have_followed_no_answer_is_the_candidates(played):
    ws, _, replay = played
    (followed,) = events(ws, "release.followed")
    assert len(followed.note["gateways"]) == len(replay.ports) == 2
    after = [reply for reply in replay.replies if reply.sent > seconds(followed.at)]
    assert len(after) > 100
    assert {reply.version for reply in after} == {"electricity@1"}
    assert any(r.version == "electricity@2" for r in replay.replies)


def test_the_record_verifies_and_every_verdict_can_be_derived_again(played, tidegate):
    ws, update, _ = played
    for command in ("audit verify", f"update replay {update.id}"):
        told = tidegate(f"{command} --workspace {ws.home.folder}")
        assert told.code == 0, told


def test_its_deployment_log_tells_what_happened(played, tidegate):
    ws, update, _ = played
    (back,) = events(ws, "release.rolled_back")
    (followed,) = events(ws, "release.followed")
    release = ws.deployment("electricity").release
    line = f"docs {update.id} --kind deployment --workspace {ws.home.folder}"
    text = tidegate(line).out
    tally = release.tallies[0]
    assert f"{tally.candidate_bad} / {tally.candidate_labels}" in text
    for said in (
        "| wei | business |", "| 1 | 10% | 500 | 0 |", f"{release.harm:.3g} to 1",
        back.at[11:23], followed.at[11:23], *followed.note["gateways"], update.case_digest,
        *(ws.version(f"electricity@{n}")[0].params for n in (1, 2)),
    ):  # fmt: skip
        assert said in text
    assert "# 部署日志 electricity-2" in tidegate(f"{line} --lang zh").out
    page = tidegate(f"{line} --format html").out
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == 6
    assert "electricity@2" in page
