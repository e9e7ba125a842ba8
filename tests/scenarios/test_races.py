"""Two processes that run one update on at the same moment, and people who decide meanwhile."""

import pytest

from tidegate.domain.errors import Changed, Conflict
from tidegate.domain.messages import say
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome, Update
from tidegate.process import runner, updates
from tidegate.process.stages import release


@pytest.fixture
def quicker(monkeypatch):
    """A function: before ``module.name`` does its work for the first time, ``act`` does its own."""

    def before(module, name, act):
        original, acted = getattr(module, name), []

        def raced(*given):
            if not acted:
                acted.append(True)
                act()
            return original(*given)

        monkeypatch.setattr(module, name, raced)

    return before


def started(team):
    with team.ws.home.journal.read() as reader:
        return [e for e in reader.events(model="m") if e.kind == "release.started"]


@pytest.mark.parametrize("place", ["_start", "_end"])
def test_an_approval_is_no_conflict_where_the_worker_is_quicker(team, make_rows, quicker, place):
    """The first version is promoted at once; ``_start`` and ``_end`` each lose their race."""
    update = team.start(make_rows(1))
    quicker(release, place, lambda: runner.run(team.ws.home, update.id))
    with team.as_("wei") as wei:
        assert wei.approve(update.id).outcome is Outcome.COMPLETED
    assert len(started(team)) == 1


def test_a_canary_that_the_worker_started_goes_on(team, make_rows, quicker):
    team.approved(make_rows(1))
    update = team.start(make_rows(2))
    quicker(release, "_start", lambda: runner.run(team.ws.home, update.id))
    with team.as_("wei") as wei:
        approved = wei.approve(update.id)
    assert (approved.stage, approved.outcome) == (Stage.RELEASE, None)
    assert "version 2 answers 30%" in approved.waiting.text()
    assert len(started(team)) == 2


def test_a_promotion_is_no_conflict_where_the_worker_is_quicker(team, make_rows, quicker):
    team.approved(make_rows(1))
    update = team.approved(make_rows(2))
    quicker(runner, "_finish", lambda: runner.run(team.ws.home, update.id))
    with team.as_("oli") as oli:
        assert oli.promote("m").stage is Stage.OBSERVE
    assert team.ws.deployment("m").champion == 2


def test_what_the_worker_waits_for_is_no_decision(team, make_rows, quicker):
    """It writes that between the approver's reading of the case and the signature."""
    update = team.start(make_rows(1))

    def waits():
        with team.ws.home.journal.write("worker") as tx:
            was = tx.get(Update, update.id)
            told = was.model_copy(update={"waiting": say("{reason}", reason="x")})
            tx.put(told, "update.waiting", was=was)

    quicker(updates, "_check_not_overtaken", waits)
    with team.as_("wei") as wei:
        assert wei.approve(update.id).outcome is Outcome.COMPLETED


def test_one_that_was_refused_meanwhile_cannot_be_approved(team, make_rows, quicker):
    update = team.start(make_rows(1))

    def refuses():
        with team.as_("mei") as mei:
            mei.reject(update.id, "no")

    quicker(updates, "_check_not_overtaken", refuses)
    with team.as_("wei") as wei, pytest.raises(Conflict, match="has ended"):
        wei.approve(update.id)


def test_losing_again_and_again_ends(team, make_rows, monkeypatch):
    update, lost = team.start(make_rows(1)), []

    def loses(*_):
        lost.append(True)
        raise Changed("changed", do="again")

    monkeypatch.setattr(runner, "_finish", loses)
    with team.as_("wei") as wei, pytest.raises(Changed):
        wei.approve(update.id)
    assert len(lost) == runner.MOST_LOST + 1
