"""Judges what is on traffic, whenever something new is known of it."""

from collections.abc import Collection
from typing import NamedTuple
from weakref import WeakKeyDictionary

from tidegate.domain.errors import Conflict
from tidegate.domain.rollout import Deployment
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.ledger.journal import Journal
from tidegate.process.canary import JUDGED
from tidegate.process.home import Home
from tidegate.process.runner import Watcher, run
from tidegate.process.unlabelled import COUNTED
from tidegate.process.watch import SEEN


class _Looked(NamedTuple):
    """What was found when the record had this size: the updates on traffic, and those that have
    ended, which stay so."""

    size: int
    ended: frozenset[str]
    on_traffic: list[Update]


#: Judging goes label by label, and no label makes the record grow.
_LOOKED: WeakKeyDictionary[Journal, _Looked] = WeakKeyDictionary()


def on_traffic(home: Home, model: str | None = None) -> list[Update]:
    """Updates, of one model or of all, whose versions meet real traffic, or did until just now, or
    will once another one's has ended."""
    known = _LOOKED.get(home.journal, _Looked(-1, frozenset(), []))
    with home.journal.read() as reader:
        size = reader.size()
        if size != known.size:
            ids = [one for one in reader.ids(Update) if one not in known.ended]
            found = [update for one in ids if (update := reader.get(Update, one)) is not None]
            ended = known.ended | {update.id for update in found if update.outcome is not None}
            there = [update for update in found if update.outcome is None and _meets(update)]
            known = _LOOKED[home.journal] = _Looked(size, ended, there)
    return [update for update in known.on_traffic if model in (None, update.model)]


def _meets(update: Update) -> bool:
    return update.stage in (Stage.RELEASE, Stage.OBSERVE)


def any_on_traffic(home: Home) -> bool:
    """Whether there are any, by what is in production alone: cases of years are not read for it.

    What this process remembers of others is forgotten: it may only tell how a release stands, and
    another one judge it.
    """
    with home.journal.read() as reader:
        releases = [one.release for one in reader.all(Deployment) if one.release is not None]
        updates = [reader.get(Update, release.update) for release in releases]
    live = {one.id for one in updates if one is not None and one.outcome is None}
    _forget_but(home, live)
    return bool(live)


def _forget_but(home: Home, live: Collection[str], model: str | None = None) -> None:
    for memory in (JUDGED, COUNTED, SEEN):
        memory.forget_but(home.log, live, model)


def judge(home: Home, model: str | None = None, watch: Watcher | None = None) -> None:
    """Take them as far as what is known by now lets them go.

    One that cannot be judged leaves the others to be: its problem is raised when they are done.
    """
    problems: list[Exception] = []
    found = on_traffic(home, model)
    _forget_but(home, {update.id for update in found}, model)
    for update in found:
        try:
            run(home, update.id, watch)
        except Conflict:
            continue  # another process judges it at this moment; its word stands
        except Exception as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
