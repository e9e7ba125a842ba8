"""``tidegate audit``: the whole record checked."""

import typer

from tidegate.apps.cli.session import session
from tidegate.apps.cli.terminal import escape
from tidegate.process.auditing import summary

group = typer.Typer(no_args_is_help=True, help="Check the whole record.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.add_typer(group, name="audit")


@group.command("verify")
def verify(context: typer.Context) -> None:
    """Check every row, link, document and byte; exit 3 on any doubt."""
    s = session(context)
    with s.workspace() as ws:
        report = ws.verify()

    def shown() -> None:
        mark = "[green]✓[/]" if report.ok else "[red]✗[/]"
        s.out.print(f"{mark} {s.text(summary(report))}")
        for problem in report.problems:
            s.out.print(f"  {escape(problem.where)}: {s.text(problem.message)}")
        s.out.print(f"  {s.say('root')} {report.root}")
        if report.problems:
            s.out.print(
                "  " + s.say("restore the workspace from a backup, then run: tidegate audit verify")
            )

    document = {
        "verified": report.ok,
        "events": report.events,
        "root": report.root,
        "problems": report.problems,
    }
    s.emit(document, shown)
    raise typer.Exit(0 if report.ok else 3)
