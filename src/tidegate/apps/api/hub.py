"""What the routes share: the workspace, who acts, and the gateway kept up to date."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.apps.api.beside import Beside
from tidegate.apps.api.worker import TICK_SECONDS, Worker, again
from tidegate.domain.errors import TidegateError
from tidegate.domain.rollout import ServingNote
from tidegate.monitoring.gateways import Heartbeat
from tidegate.process.following import Following
from tidegate.process.scribe import Scribe
from tidegate.process.serving import Serving
from tidegate.process.workspace import Workspace

#: How soon a version approved or rolled back elsewhere is routed here.
FOLLOW_SECONDS = 0.01
#: How often what is under way is seen to, where there is nothing new: a thread that wakes takes
#: turns with the one that answers.
SEE_SECONDS = 0.5


class Hub:
    """An open workspace behind the API; ``worker`` also runs updates on. With processes ``beside``
    this one, they do what is no answer: judge, run updates on, and keep the log."""

    def __init__(
        self,
        folder: Path | None,
        actor: str | None,
        *,
        worker: bool,
        beside: Beside | None = None,
    ):
        self._workspace = Workspace(folder, actor=actor)
        self._scribe = None if beside is None else Scribe(self._workspace.home.folder)
        self.serving: Serving = self._workspace.serving(judges=beside is None, log=self._scribe)
        self._heartbeat = Heartbeat(self._workspace.home.database)
        self._following = Following(self._workspace.home)
        self._stop, self._news = threading.Event(), threading.Event()
        # How far the record was routed by when it was last looked at, and what was refused then.
        self._known: tuple[int, list[ServingNote]] = (-1, [])
        self._beside = beside
        # Training takes minutes, a load may take some, and a database may be waited for: a thread
        # for each, so that the record is followed meanwhile, and what runs says that it does.
        jobs = [
            ("follow", self._follow, FOLLOW_SECONDS),
            ("say", self._say, FOLLOW_SECONDS),
        ]
        if worker and beside is None:
            jobs.append(("work", Worker(self._workspace, self._stop).work, TICK_SECONDS))
        self._threads = [
            threading.Thread(
                target=again, args=(*job, self._stop), name=f"tidegate-{job[0]}", daemon=True
            )
            for job in jobs
        ]

    def start(self) -> None:
        """Begin to follow the record."""
        if self._scribe is not None:
            self._scribe.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop following, when what is being done is done."""
        self._stop.set()
        self._news.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        if self._beside is not None:
            self._beside.close()
        with suppress(TidegateError):  # it is known to be gone a little later
            self._heartbeat.end()
        self.serving.close()
        if self._scribe is not None:
            self._scribe.close()
        self._workspace.close()

    @contextmanager
    def acting(self, actor: str | None) -> Iterator[Workspace]:
        """The workspace in a caller's name, else in the name the server runs under."""
        if actor is None:
            yield self._workspace
            return
        with self._workspace.acting_as(actor) as workspace:
            yield workspace

    def _follow(self) -> None:
        try:
            self.serving.follow()
        finally:  # one that could not follow runs all the same, and says how far it is
            known = self.serving.followed, self.serving.notes
            if known != self._known:
                self._known = known
                self._news.set()

    def _say(self) -> None:
        """Say how far the record is routed by, once there is something new or it is time to, and
        see to what else is under way."""
        self._news.wait(FOLLOW_SECONDS if self._following.waits else SEE_SECONDS)
        self._news.clear()
        followed, notes = self._known
        try:
            self._heartbeat.say(followed, notes)
        finally:
            self._see_to_work()
        self._following.look(followed)

    def _see_to_work(self) -> None:
        """Have releases judged and the log kept, whatever this process can load or not."""
        if self._scribe is not None:
            self._scribe.see_to()
        if self._beside is not None:
            self._beside.see_to(needed=self._beside.updates or self.serving.on_traffic)
