"""The deployment log of a release, however it goes and whenever it is written."""

import re

import pytest

from tidegate.domain.errors import Conflict
from tidegate.domain.rollout import Tally
from tidegate.domain.update import Outcome
from tidegate.governance.deployment import DeploymentLog, StepLog
from tidegate.monitoring.gateways import Heartbeat
from tidegate.process.following import FOLLOWED, Following
from tidegate.process.releases import roll_back
from tidegate.process.runner import run


def log(team, update, lang="en"):
    return team.ws.document(update.id, lang, kind="deployment")


def table(text, heading):
    """The rows of the table under a heading, without its head."""
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_what_was_never_released_has_none(team, make_rows):
    update = team.start(make_rows(1))
    with pytest.raises(Conflict, match="has not been released"):
        log(team, update)


def test_a_first_version_meets_nobody(team, make_rows):
    text = log(team, team.approved(make_rows(1)))
    assert "_no step: there was no traffic to compare on_" in text
    assert "| Version before | none |" in text
    assert [row[3] for row in table(text, "Who did what, when")] == [
        "release.started", "release.promoted",
    ]  # fmt: skip


def test_one_under_way_tells_what_was_seen_so_far(team, make_rows):
    team.approved(make_rows(1))
    update = team.traffic(team.approved(make_rows(2)), bursts=1)
    text = log(team, update)
    (step,) = table(text, "Steps")
    release = team.ws.deployment_now("m").release
    assert (step[1], step[3]) == ("30%", "-")
    assert sum(int(n) for n in step[4].split(" + ")) == 20 == release.tallies[0].labels
    assert "_not ended: it is on traffic_" in text
    assert "## Way back" not in text


def test_a_promoted_one_tells_each_step_and_the_observation(team, make_rows):
    team.approved(make_rows(1))
    update = team.traffic(team.approved(make_rows(2)))
    assert update.outcome is Outcome.COMPLETED
    text = log(team, update)
    first, second = table(text, "Steps")
    assert first[3] == second[2] != second[3] != "-"
    assert [first[1], second[1]] == ["30%", "60%"]
    assert "## Observation" in text
    assert "m@1" in text
    assert "m@2" in text
    assert len(re.findall("^## ", log(team, update, "zh"), re.MULTILINE)) == 7
    assert len(re.findall("^## ", text, re.MULTILINE)) == 7


def test_the_next_release_does_not_change_it(team, make_rows):
    """The deployment's document holds the newest release only; the log is of its own."""
    team.approved(make_rows(1))
    update = team.traffic(team.approved(make_rows(2)), wrong={2})
    assert update.outcome is Outcome.ROLLED_BACK
    before = log(team, update)
    other = team.traffic(team.approved(make_rows(3)))
    after = log(team, update)
    for heading in ("Steps", "Way back", "Who did what, when", "Approvals"):
        assert table(after, heading) == table(before, heading) != []
    assert table(log(team, other), "Steps")[0] != table(before, "Steps")[0]


def test_by_hand_it_says_who(team, make_rows):
    team.approved(make_rows(1))
    update = team.approved(make_rows(2))
    with team.as_("oli") as oli:
        oli.rollback("m", reason="it smells")
    text = log(team, update)
    assert "oli rolled it back: it smells" in text
    assert "- By hand: oli" in text
    assert "not confirmed" in text
    done = {row[3]: row[2] for row in table(text, "Who did what, when")}
    assert done["release.stopped_by_hand"] == done["release.rolled_back"] == "oli"


def test_what_no_person_asked_for_is_the_judges_deed(team, make_rows):
    team.approved(make_rows(1))
    update = team.traffic(team.approved(make_rows(2)), wrong={2})
    done = {row[3]: row[2] for row in table(log(team, update), "Who did what, when")}
    actor = team.ws.home.actor
    assert done["release.rolled_back"] == f"the judge, run by {actor}"
    chinese = log(team, update, "zh")
    assert f"判定进程（以 {actor} 的身份运行）" in chinese
    assert "release." not in chinese
    assert not re.search("[\u4e00-\u9fff]: ", chinese), "a colon of half a width"


def test_those_that_met_a_candidate_are_told_apart_from_its_shadow():
    steps = [
        Tally(share=0, champion_labels=9, champion_bad=2, candidate_labels=9, candidate_bad=1),
        Tally(share=0.5, champion_labels=9, champion_bad=5, candidate_labels=8, candidate_bad=3),
    ]
    log = DeploymentLog.model_construct(
        steps=[StepLog.model_construct(tally=one, answers=(10, 9)) for one in steps]
    )
    met, unseen = (sentence.text() for sentence in log.met())
    assert "answered 9 requests. Of 8 that were labelled, 3 were bad: 2 fewer than" in met
    assert "9 labelled requests that both answered, 1 of its answers were bad and 2" in unseen


def test_it_is_confirmed_once_when_every_gateway_routes_by_it(team, make_rows):
    team.approved(make_rows(1))
    first, second = (Heartbeat(team.ws.home.database) for _ in range(2))
    watching = [Following(team.ws.home), Following(team.ws.home)]
    update = team.traffic(team.approved(make_rows(2)), wrong={2})
    with team.ws.home.journal.read() as reader:
        size = reader.size()
    first.say(size)
    second.say(size - 3)
    for one in watching:
        one.look(size)
    assert told(team) == []
    second.say(size)
    for _ in range(2):
        for one in watching:
            one.look(size)
    (event,) = told(team)
    assert event.note["gateways"] == sorted([first.name, second.name])
    text = log(team, update)
    assert "not confirmed" not in text
    assert all(gateway.name in text for gateway in (first, second))
    assert team.ws.verify().ok


def test_what_was_stopped_by_hand_and_followed_is_not_followed_again_when_it_ends(team, make_rows):
    team.approved(make_rows(1))
    update = team.approved(make_rows(2))
    home, gateway, watching = team.ws.home, Heartbeat(team.ws.home.database), []
    watching += [Following(home), Following(home)]

    def follow():
        size = home.journal.size()
        gateway.say(size)
        for one in watching:
            one.look(size)

    with team.as_("oli") as oli:
        roll_back(oli.home, "m", "drill", None)
        follow()
        follow()
        assert len(told(team)) == 1
        assert run(oli.home, update.id).outcome is Outcome.ROLLED_BACK
    follow()
    follow()
    assert len(told(team)) == 1
    done = {row[3]: row[2] for row in table(log(team, update), "Who did what, when")}
    assert done["release.rolled_back"] == done["release.stopped_by_hand"] == "oli"
    assert "a gateway" in done["release.followed"]
    update = team.approved(make_rows(3))
    with team.as_("oli") as oli:
        roll_back(oli.home, "m", "drill", None)
    follow()
    follow()
    watching.append(Following(home))  # a gateway that starts in between knows no more
    assert run(home, update.id).outcome is Outcome.ROLLED_BACK
    follow()
    follow()
    assert len(told(team)) == 2
    done = {row[3]: row[2] for row in table(log(team, update), "Who did what, when")}
    assert done["release.stopped_by_hand"] == "oli"
    assert done["release.rolled_back"] == f"the judge, run by {home.actor}"


def told(team):
    with team.ws.home.journal.read() as reader:
        return [event for event in reader.events(model="m") if event.kind == FOLLOWED]
