"""A release that begins unseen, judges its segments, and is watched after its promotion."""

import copy
import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tidegate.domain.rollout import ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome

SHADOW = [{"share": 0, "min_labels": 40}, {"share": 0.5, "min_labels": 40}]


@pytest.fixture
def released(team, make_rows):
    """A second version on its release, under a policy that differs from the team's in this."""

    def started(*, observe=(), rows=make_rows, **changes):
        changed = copy.deepcopy(team.model)
        changed["policy"]["rollout"] |= changes.pop("rollout", {})
        changed["policy"]["observe"] |= dict(observe)
        with team.as_("root") as root:
            root.apply_model(changed | changes)
        team.approved(rows(1))
        return team.approved(rows(2))

    return started


def asked(team, frame, keys=None):
    """Answers to requests without labels, and what serves them."""
    serving = team.ws.serving()
    return serving, serving.infer("m", frame, keys)


def ended_by(update):
    """The findings of the last verdict."""
    return update.filed[-1].verdict.findings


def replaced(monkeypatch, version, other):
    """Have a gateway that loads a version from now on ask ``other(its predictor)`` in its place."""
    from tidegate.process import resident

    ready = resident.ready

    def made(home, model, number):
        found = ready(home, model, number)
        if number != version:
            return found
        instead = replace(found.served, predictor=other(found.served.predictor), inputs=None)
        return found._replace(served=instead)

    monkeypatch.setattr(resident, "ready", made)


def spoil(team, monkeypatch, version):
    """Have a version answer the other class from now on, whatever it was asked."""
    replaced(monkeypatch, version, _Wrong)


class _Wrong:
    def __init__(self, right):
        self.right = right

    def predict(self, rows):
        said = self.right.predict(rows)
        return type(said)(1 - said.values, said.classes, said.probabilities)


def test_a_harmless_candidate_goes_from_the_shadow_to_a_share_and_on(team, released):
    update = released(rollout={"steps": SHADOW})
    release = team.ws.deployment("m").release
    assert (release.status, release.share, release.step) == (ReleaseStatus.SHADOW, 0.0, 0)
    assert "unseen" in update.waiting.text()
    assert "影子" in update.waiting.text("zh")
    serving = team.ws.serving()
    assert serving.route("m").candidate is None
    update = team.traffic(update, bursts=2)
    release = team.ws.deployment("m").release
    assert (release.status, release.share) == (ReleaseStatus.CANARY, 0.5)
    assert release.tallies[0].told == 40
    update = team.traffic(update)
    assert update.outcome is Outcome.COMPLETED
    assert all(again.same for again in team.ws.replay(update.id))
    assert "影子" in team.ws.document(update.id, "zh")
    assert "| shadow | " in team.ws.document(update.id)


def test_harm_is_found_before_anybody_is_given_a_wrong_answer(
    team, released, make_rows, monkeypatch
):
    spoil(team, monkeypatch, 2)
    update = released(rollout={"steps": [{"share": 0, "min_labels": 500}, *SHADOW[1:]]})
    serving, live = team.ws.serving(), make_rows(9, 60)
    given = []
    for burst in range(6):
        some = live[burst * 10 : burst * 10 + 10]
        answers = serving.infer("m", some.drop("y"), [f"u{burst}-{n}" for n in range(10)])
        given += answers
        serving.feedback("m", {a.request_id: a.prediction for a in answers})
        if team.ws.update(update.id).outcome is not None:
            break
    ended = team.ws.update(update.id)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert {(a.version, a.arm) for a in given} == {(1, "champion")}
    assert [f.code for f in ended_by(ended)] == ["harm", "shadow"]
    assert team.ws.deployment("m").champion == 1
    assert all(again.same for again in team.ws.replay(update.id))


def test_a_candidate_that_raises_in_the_shadow_fails_nobody(team, released, make_rows, monkeypatch):
    def unloadable(predictor):
        raise ValueError("cannot be loaded here")

    replaced(monkeypatch, 2, unloadable)
    update = released(rollout={"steps": SHADOW})
    serving, answers = asked(team, make_rows(9, 20).drop("y"))
    assert {a.version for a in answers} == {1}
    serving.shadow.flush(5)
    serving.tend("m")
    ended = team.ws.update(update.id)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert [f.code for f in ended_by(ended)] == ["failures", "shadow"]
    assert {a.version for a in serving.infer("m", make_rows(9, 20).drop("y"))} == {1}


def test_status_shows_the_shadow(team, released, tidegate):
    released(rollout={"steps": SHADOW})
    team.traffic(team.ws.update("m-2"), bursts=1)
    told = tidegate(f"release status m --workspace {team.folder / 'ws'}")
    assert "shadow" in told.out
    assert "0 / 20" in told.out
    chinese = tidegate(f"release status m --lang zh --workspace {team.folder / 'ws'}")
    assert "影子" in chinese.out
    told = tidegate(f"release status m --json --workspace {team.folder / 'ws'}").json
    assert told["release"]["status"] == "shadow"
    assert told["release"]["tallies"][0]["candidate_labels"] == 20


def with_sites(make_rows):
    """The team's rows, each from one of three sites."""

    def made(seed, count=400, **how):
        rng = np.random.default_rng(seed)
        site = pl.Series("site", rng.choice(["north", "south", "west"], count))
        return make_rows(seed, count, **how).with_columns(site)

    return made


def test_harm_in_one_segment_is_found_and_named(team, released, make_rows):
    """Right everywhere else, and in the north wrong where the candidate answers."""
    rows = with_sites(make_rows)
    steps = [{"share": 0.5, "min_labels": 2000}]
    update = released(rows=rows, rollout={"steps": steps}, segments=["site"], exclude=["site"])
    release = team.ws.deployment("m").release
    named = {str(one) for one in release.segments}
    assert named == {"site=north", "site=south", "site=west", "site=*"}
    serving, live = team.ws.serving(), rows(9, 600)
    for burst in range(12):
        some = live[burst * 50 : burst * 50 + 50]
        keys = [f"u{burst}-{n}" for n in range(50)]
        answers = serving.infer("m", some.drop("y"), keys)
        labels = {}
        for place, (a, site) in enumerate(zip(answers, some["site"], strict=True)):
            wrong = site == "north" if a.version == 2 else place % 5 == 0
            labels[a.request_id] = 1 - a.prediction if wrong else a.prediction
        serving.feedback("m", labels)
        if team.ws.update(update.id).outcome is not None:
            break
    ended = team.ws.update(update.id)
    assert ended.outcome is Outcome.ROLLED_BACK
    (finding,) = ended_by(ended)
    assert "site=north" in finding.message.text()
    assert all(again.same for again in team.ws.replay(update.id))


@pytest.fixture
def promoted(team, released, make_rows):
    """The second version, just promoted on few labels, with answers of its canary unlabelled."""
    update = released(
        rollout={"steps": [{"share": 0.5, "min_labels": 20}]}, observe={"min_labels": 4000}
    )
    serving = team.ws.serving()
    keys = [f"late-{n}" for n in range(200)]
    late = serving.infer("m", make_rows(11, 200).drop("y"), keys)
    team.traffic(update, bursts=8)
    update = team.ws.update(update.id)
    assert (update.stage, team.ws.deployment("m").champion) == (Stage.OBSERVE, 2)
    return update, late


def test_late_labels_of_the_canary_take_a_promoted_version_back(team, promoted):
    update, late = promoted
    serving = team.ws.serving()
    serving.feedback(
        "m", {a.request_id: 1 - a.prediction if a.version == 2 else a.prediction for a in late}
    )
    ended = team.ws.update(update.id)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert ended.filed[-1].stage is Stage.OBSERVE
    assert [f.code for f in ended_by(ended)] == ["late_harm"]
    deployment = team.ws.deployment("m")
    assert (deployment.champion, deployment.release.status) == (1, ReleaseStatus.ROLLED_BACK)
    assert {a.version for a in asked(team, pl.DataFrame({"a": [1.0], "b": [1.0]}))[1]} == {1}
    assert all(again.same for again in team.ws.replay(update.id))


def test_late_labels_that_are_right_on_both_sides_leave_it_there(team, promoted):
    update, late = promoted
    team.ws.serving().feedback("m", {a.request_id: a.prediction for a in late})
    assert team.ws.update(update.id).outcome is None
    assert team.ws.deployment("m").champion == 2


def test_harm_that_shows_only_at_full_traffic_takes_it_back(team, released, make_rows):
    """Nothing is wrong until all requests are its own; the watch has far from all its labels."""
    update = released(
        rollout={"steps": [{"share": 0.5, "min_labels": 260}]}, observe={"min_labels": 4000}
    )
    team.traffic(update, bursts=15)
    assert team.ws.deployment("m").champion == 2
    assert team.ws.update(update.id).outcome is None
    update = team.traffic(update, wrong={2}, bursts=10)
    assert update.outcome is Outcome.ROLLED_BACK
    (finding,) = ended_by(update)
    assert finding.code == "late_harm"
    assert finding.message.values["share"] < 0.01
    assert team.ws.deployment("m").champion == 1


def test_a_watch_lasts_its_minutes(team, released):
    update = released(observe={"min_labels": 20, "min_minutes": 600})
    update = team.traffic(update, bursts=20)
    assert (update.stage, update.outcome) == (Stage.OBSERVE, None)
    assert "600 minutes" in update.waiting.text()
    with team.as_("oli") as oli:
        update = oli.promote("m")
    assert update.outcome is Outcome.COMPLETED


def test_requests_that_only_the_champion_fails_do_not_stop_the_candidate(
    team, released, make_rows, monkeypatch
):
    """The candidate answers them all, half of them wrongly: still better than no answer."""

    class Refuses:
        def __init__(self, right):
            self.right = right

        def predict(self, rows):
            if (rows["a"] > 100).any():
                raise ValueError("too large")
            return self.right.predict(rows)

    replaced(monkeypatch, 1, Refuses)
    update = released(rollout={"steps": [{"share": 0.5, "min_labels": 400}]})
    serving = team.ws.serving()
    for number in range(120):
        (answer,) = serving.infer("m", pl.DataFrame({"a": [200.0], "b": [0.0]}), [f"u{number}"])
        wrong = number % 2 == 0
        label = 1 - answer.prediction if wrong else answer.prediction
        serving.feedback("m", {answer.request_id: label})
        assert answer.version == 2
    (tally,) = team.ws.deployment_now("m").release.tallies
    assert team.ws.update(update.id).outcome is None
    assert tally.champion_failures == tally.champion_bad == tally.champion_labels
    assert tally.candidate_failures == 0
    assert 0 < tally.candidate_bad < tally.candidate_labels


def test_a_pair_whose_label_came_first_is_counted_as_lost_and_never_judged(
    team, released, make_rows, monkeypatch
):
    """However often labels are judged: one that was judged alone has no pair later."""
    answers, stuck = threading.Event(), threading.Event()

    class Slow(_Wrong):
        def predict(self, rows):
            stuck.set()
            assert answers.wait(60)
            return self.right.predict(rows)

    replaced(monkeypatch, 2, Slow)
    update = released(rollout={"steps": SHADOW})
    serving, said = asked(team, make_rows(9, 5).drop("y"))
    assert stuck.wait(60)
    with monkeypatch.context() as patched:
        patched.setattr(serving.shadow, "flush", lambda: False)
        assert len(serving.feedback("m", {a.request_id: a.prediction for a in said}).kept) == 5
    answers.set()
    assert serving.shadow.flush(30)
    assert serving.shadow.dropped == 5
    serving.tend("m")
    (tally,) = team.ws.deployment_now("m").release.tallies
    assert tally.told == 0
    assert team.ws.update(update.id).outcome is None
