"""Progress bars with time left and rows a second, for work that takes longer than a second."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tidegate.domain.messages import Message, say

#: Work shorter than this needs no bar.
PATIENCE_SECONDS = 1.0


class Rate(ProgressColumn):
    """Rows a second, of work that is counted in rows."""

    def __init__(self, lang: str):
        super().__init__()
        self._lang = lang

    def render(self, task: Task) -> Text:
        """What the bar shows of a task."""
        if task.fields.get("unit") != "rows" or not task.speed:
            return Text("")
        return Text(say("{rate:,.0f} rows/s", rate=task.speed).text(self._lang))


class Bars:
    """Bars on a console, one at a time: told what is done, how far it is, and how far it goes."""

    def __init__(self, console: Console, lang: str):
        self._console, self._lang = console, lang
        self._began: dict[str, float] = {}
        self._live: Progress | None = None
        self._task: tuple[str, TaskID] | None = None

    def __call__(self, what: Message, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` units are done; a total of 0 is not known yet.

        Where the message has the value ``unit`` and that is "rows", so many a second are told.
        """
        name = what.text(self._lang)
        began = self._began.setdefault(name, time.monotonic())
        if total and done >= total:
            self._began.pop(name, None)
            self.stop()
            return
        if time.monotonic() - began < PATIENCE_SECONDS:
            return
        if self._live is None:
            self._live = self._start()
        if self._task is None or self._task[0] != name:
            if self._task is not None:
                self._live.remove_task(self._task[1])
            self._task = (name, self._added(self._live, what, total))
        self._live.update(self._task[1], completed=done, total=total or None)

    def stop(self) -> None:
        """Take the bar off the console."""
        if self._live is not None:
            self._live.stop()
        self._live = self._task = None

    def _added(self, live: Progress, what: Message, total: int) -> TaskID:
        unit = what.values.get("unit")
        return live.add_task(what.text(self._lang), total=total or None, unit=unit)

    def _start(self) -> Progress:
        live = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            Rate(self._lang),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        live.start()
        return live
