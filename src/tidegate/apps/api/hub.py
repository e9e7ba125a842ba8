"""What the routes share: the workspace, who acts, and the gateway kept up to date."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.domain.errors import TidegateError
from tidegate.domain.stage import Stage
from tidegate.monitoring.gateways import Heartbeat
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
        self._worker, self._stop = worker, threading.Event()
        self._failing = False
        self._troubles: dict[str, tuple[float, float]] = {}
        self._thread = threading.Thread(target=self._run, name="tidegate-worker", daemon=True)

    def start(self) -> None:
        """Begin to follow the record."""
        self._thread.start()

    def close(self) -> None:
        """Stop following, when what is being done is done."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
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

    def _run(self) -> None:
        ticked = 0.0
        while not self._stop.wait(FOLLOW_SECONDS):
            try:
                self._heartbeat.say(self.serving.follow())
                self._failing = False
                if self._worker and time.monotonic() - ticked >= TICK_SECONDS:
                    ticked = time.monotonic()
                    self._tick()
            except Exception:  # what is routed goes on answering; the log tells, once
                if not self._failing:
                    _LOG.exception("the record cannot be followed; what is routed goes on")
                self._failing = True
                self._stop.wait(TICK_SECONDS)

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
