"""What every command shares: who acts, where, in which language, and how results are shown."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from rich.table import Table

from tidegate.apps.cli.progress import Bars
from tidegate.apps.cli.terminal import Terminal, escape
from tidegate.domain.messages import Message, say
from tidegate.domain.update import Level, Update, Verdict
from tidegate.process.workspace import Workspace

#: Findings of one gate that a terminal shows; the record and ``--json`` hold all.
_FEW = 4
_GRAVITY = (Level.REFUSE, Level.WARN, Level.NOTE)
_MARKS = {Level.NOTE: "[green]•[/]", Level.WARN: "[yellow]![/]", Level.REFUSE: "[red]✗[/]"}


@dataclass
class Session:
    """The global options of one call, and its consoles."""

    as_json: bool = False
    folder: Path | None = None
    lang: str = "en"
    actor: str | None = None
    out: Terminal = field(default_factory=lambda: Terminal(soft_wrap=True, highlight=False))
    err: Terminal = field(
        default_factory=lambda: Terminal(stderr=True, soft_wrap=True, highlight=False)
    )

    def workspace(self) -> Workspace:
        """The workspace this call is about, opened in the name of who acts."""
        bars = Bars(self.err, self.lang)
        return Workspace(self.folder, actor=self.actor, progress=bars, watch=self.watch)

    def watch(self, update: Update, verdict: Verdict) -> None:
        """Tell of a finished stage as it happens, on standard error."""
        if self.as_json:
            return
        mark = "[green]✓[/]" if verdict.passed else "[red]✗[/]"
        self.err.print(f"{mark} [bold]{self.text(say(str(verdict.stage)))}[/] {update.id}")
        self.show_findings(self.err, verdict)

    def show_findings(self, console: Terminal, verdict: Verdict) -> None:
        """Print what a gate found, the gravest first; of many alike, the first few."""
        gravest = sorted(verdict.findings, key=lambda finding: _GRAVITY.index(finding.level))
        for finding in gravest[:_FEW]:
            console.print(f"    {_MARKS[finding.level]} {self.text(finding.message)}")
        if len(gravest) > _FEW:
            more = self.say("and {count} more like these", count=len(gravest) - _FEW)
            console.print(f"      [dim]{more}[/]")

    def text(self, message: Message) -> str:
        """A message in the session's language, safe for a rich console."""
        return escape(message.text(self.lang))

    def say(self, template: str, **values: Any) -> str:
        """A sentence in the session's language, safe for a rich console."""
        return self.text(say(template, **values))

    def emit(self, document: Any, shown: Callable[[], None]) -> None:
        """Print ``document`` as JSON where asked to, else show it to a person."""
        if not self.as_json:
            shown()
            return
        text = json.dumps(plain(document), ensure_ascii=False, indent=2, allow_nan=False)
        sys.stdout.write(text + "\n")

    def table(
        self, *columns: Message, right: tuple[int, ...] = (), whole: tuple[int, ...] = (0,)
    ) -> Table:
        """An empty table with these headings; columns numbered in ``right`` hold numbers.

        Columns in ``whole`` hold names and ids, which go before the width of the others.
        """
        table = Table(box=None, header_style="bold", pad_edge=False)
        for at, column in enumerate(columns):
            heading = self.text(column)
            if at in right:  # a number in two halves is none; its heading breaks at any blank
                table.add_column(
                    heading.replace(" ", "\n").replace("（", "\n（"), justify="right", no_wrap=True
                )
            else:
                table.add_column(heading, overflow="fold", no_wrap=at in whole)
        return table


def session(context: typer.Context) -> Session:
    """The session of a command."""
    found = context.find_root().obj
    assert isinstance(found, Session)  # noqa: S101 - the root callback made it
    return found


def plain(value: Any) -> Any:
    """``value`` as JSON types; messages become their English text."""
    if isinstance(value, Message):
        return value.text()
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return value


def written_to(file: Path, *, replaced: bool) -> Message:
    """Where a command has written, and whether something was there before."""
    if replaced:
        return say("written to {file}, in place of the file of that name", file=file)
    return say("written to {file}", file=file)


def when(moment: str) -> str:
    """A time from the record, to the minute, in UTC.

    >>> when("2026-03-01T08:15:00.000+00:00")
    '2026-03-01 08:15'
    """
    return moment[:16].replace("T", " ")
