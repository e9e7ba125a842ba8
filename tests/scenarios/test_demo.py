"""The demo: the whole loop on real data, as ``make demo`` runs it."""

import pytest


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """What ``tidegate demo --json`` printed, and its workspace."""
    import json
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("demo") / "ws"
    done = subprocess.run(
        [sys.executable, "-m", "tidegate.apps.cli", "demo", "--dir", str(folder), "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_it_shows_every_way_an_update_can_end(played):
    document, _ = played
    assert document["model"] == "digits"
    assert [update["outcome"] for update in document["updates"]] == [
        "completed", "completed", "rejected", "rolled_back",
    ]  # fmt: skip
    for update in document["updates"]:
        assert {"id", "strategy", "outcome", "reason", "metrics_before", "metrics_after"} == (
            update.keys()
        )
    assert document["ledger"]["verified"] is True
    assert document["ledger"]["events"] > 40


def test_the_promoted_update_was_better_and_the_rolled_back_one_looked_so(played):
    _, better, _, mislabelled = played[0]["updates"]
    for update in (better, mislabelled):
        assert update["metrics_after"]["accuracy"] > update["metrics_before"]["accuracy"]
    assert "of the candidate's answers were bad" in mislabelled["reason"]


@pytest.mark.parametrize(
    "line",
    [
        "update show digits-4", "update replay digits-4", "params diff digits@1 digits@2",
        "audit verify", "docs digits-2", "update reproduce digits-4", "monitor digits",
    ],
)  # fmt: skip
def test_where_it_says_to_look_next_there_is_something(played, tidegate, line):
    told = tidegate(f"{line} --workspace {played[1]}")
    assert told.code == 0, told
    assert told.out.strip()


def test_it_starts_anew_in_its_own_folder_and_nowhere_else(tidegate, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    told = tidegate("demo --dir mine")
    assert told.code == 1
    assert "not from an earlier demo" in told.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
