"""What the routes share: the workspace, who acts, and the gateway kept up to date."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.domain.errors import TidegateError
from tidegate.domain.stage import Stage
from tidegate.monitoring.gateways import Heartbeat
from tidegate.process.following import Following
from tidegate.process.serving import Serving
from tidegate.process.workspace import Workspace

_LOG = logging.getLogger("tidegate")

#: How soon a version approved or rolled back elsewhere is routed here.
FOLLOW_SECONDS = 0.02
#: How often open updates are looked at.
TICK_SECONDS = 1.0
#: Longest pause before an update that cannot go on, for a full disk say, is tried again.
PATIENCE_SECONDS = 300.0


class Hub:
    """An open workspace behind the API; ``worker`` also runs open updates on."""

    def __init__(self, folder: Path | None, actor: str | None, *, worker: bool):
        self._workspace = Workspace(folder, actor=actor)
        self.serving: Serving = self._workspace.serving()
        self._heartbeat = Heartbeat(self._workspace.home.database)
        self._following = Following(self._workspace.home)
        self._stop = threading.Event()
        self._troubles: dict[str, tuple[float, float]] = {}
        # Training takes minutes, and the gateway follows the record meanwhile: a thread for each.
        work = [("follow", self._follow, FOLLOW_SECONDS)]
        work += [("work", self._tick, TICK_SECONDS)] if worker else []
        self._threads = [
            threading.Thread(target=self._again, args=each, name=f"tidegate-{each[0]}", daemon=True)
            for each in work
        ]

    def start(self) -> None:
        """Begin to follow the record."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop following, when what is being done is done."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        with suppress(TidegateError):  # it is known to be gone a little later
            self._heartbeat.end()
        self.serving.close()
        self._workspace.close()

    @contextmanager
    def acting(self, actor: str | None) -> Iterator[Workspace]:
        """The workspace in a caller's name, else in the name the server runs under."""
        if actor is None:
            yield self._workspace
            return
        with self._workspace.acting_as(actor) as workspace:
            yield workspace

    def _again(self, what: str, do: Callable[[], None], seconds: float) -> None:
        """Do it again and again, with a pause, until the hub closes."""
        failing = False
        while not self._stop.wait(TICK_SECONDS if failing else seconds):
            try:
                do()
                if failing:
                    told = {"event": "record_back"}
                    _LOG.warning("%s: the record can be read again", what, extra=told)
                failing = False
            except Exception as problem:  # what is routed goes on answering; the log tells, once
                if not failing:
                    known = isinstance(problem, TidegateError)
                    _LOG.error(
                        "%s: %s; it is tried again", what, problem, exc_info=not known,
                        extra={"event": "record_unreadable"},
                    )  # fmt: skip
                failing = True

    def _follow(self) -> None:
        try:
            self.serving.follow()
        finally:  # one that could not follow runs all the same, and says how far it is
            self._heartbeat.say(self.serving.followed, self.serving.notes)
        self._following.look(self.serving.followed)

    def _tick(self) -> None:
        for update in self._workspace.updates():
            if update.outcome is None and update.stage is not Stage.APPROVE:
                self._resume(update.id)

    def _resume(self, update_id: str) -> None:
        again, pause = self._troubles.get(update_id, (0.0, TICK_SECONDS))
        if time.monotonic() < again or self._stop.is_set():
            return
        try:
            self._workspace.resume(update_id)
            self._troubles.pop(update_id, None)
        except TidegateError as error:
            _LOG.warning("update %s cannot go on: %s", update_id, error)
            pause = min(2 * pause, PATIENCE_SECONDS)
            self._troubles[update_id] = (time.monotonic() + pause, pause)
