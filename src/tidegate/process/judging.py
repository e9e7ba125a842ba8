"""Judges what is on traffic, whenever something new is known of it."""

from tidegate.domain.errors import Conflict
from tidegate.domain.rollout import Deployment
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.process.home import Home
from tidegate.process.runner import Watcher, run


def on_traffic(home: Home, model: str | None = None) -> list[Update]:
    """Updates, of one model or of all, whose versions meet real traffic, or did until just now."""
    with home.journal.read() as reader:
        return [
            update
            for update in reader.all(Update, model)
            if update.outcome is None and update.stage in (Stage.RELEASE, Stage.OBSERVE)
        ]


def any_on_traffic(home: Home) -> bool:
    """Whether there are any, by what is in production alone: cases of years are not read for it."""
    with home.journal.read() as reader:
        releases = [one.release for one in reader.all(Deployment) if one.release is not None]
        updates = [reader.get(Update, release.update) for release in releases]
    return any(update is not None and update.outcome is None for update in updates)


def judge(home: Home, model: str | None = None, watch: Watcher | None = None) -> None:
    """Take them as far as what is known by now lets them go.

    One that cannot be judged leaves the others to be: its problem is raised when they are done.
    """
    problems: list[Exception] = []
    for update in on_traffic(home, model):
        try:
            run(home, update.id, watch)
        except Conflict:
            continue  # another process judges it at this moment; its word stands
        except Exception as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
