"""``tidegate data``: take data in, profile and compare files."""

from pathlib import Path

import typer
from rich.markup import escape

from tidegate.apps.cli.progress import Bars
from tidegate.apps.cli.session import Session, session
from tidegate.domain.evidence import Consistency
from tidegate.domain.messages import say
from tidegate.process.inspecting import compare_files, profile_file

group = typer.Typer(no_args_is_help=True, help="Take data in, profile and compare files.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.add_typer(group, name="data")


@group.command("add")
def add(context: typer.Context, model: str, files: list[Path]) -> None:
    """An immutable snapshot of CSV or Parquet files, looked at on arrival."""
    s = session(context)
    with s.workspace() as ws:
        arrival = ws.add_data(model, list(files))
    snapshot, found = arrival.snapshot, arrival.found
    document = {
        "snapshot": snapshot.id,
        "new": arrival.new,
        "rows": snapshot.rows,
        "labelled_rows": snapshot.labelled_rows,
        "columns": [column.model_dump(mode="json") for column in snapshot.columns],
        "quality": {
            "passed": arrival.verdict.passed,
            "breaches": found.breaches,
            "cleaning": found.cleaning,
            "findings": [finding.message for finding in arrival.verdict.findings],
        },
        "consistency": found.consistency,
    }

    def shown() -> None:
        template = (
            "snapshot {snapshot}: {rows:,} rows, {labelled:,} labelled"
            if arrival.new
            else "snapshot {snapshot} was here already: {rows:,} rows, {labelled:,} labelled"
        )
        s.out.print(
            s.say(
                template,
                snapshot=snapshot.id,
                rows=snapshot.rows,
                labelled=snapshot.labelled_rows,
            )
        )
        for finding in arrival.verdict.findings:
            s.out.print(f"  {s.text(say(finding.level))}: {s.text(finding.message)}")

    s.emit(document, shown)


@group.command("profile")
def profile(
    context: typer.Context,
    file: Path,
    out: Path = typer.Option(None, "-o", "--out", help="Write the profile here, as JSON."),
) -> None:
    """Profile a file; needs no workspace."""
    s = session(context)
    found = profile_file(file, out, Bars(s.err, s.lang))
    table = s.table(
        say("Column"), say("Kind"), say("Missing"), say("Mean"), say("Low"), say("High"),
        right=(2, 3, 4, 5),
    )  # fmt: skip
    for column in found.columns:
        numbers = [column.mean, column.minimum, column.maximum]
        shown = ["-" if value is None else f"{value:.4g}" for value in numbers]
        table.add_row(escape(column.name), s.text(say(column.kind)), f"{column.missing:,}", *shown)
    s.emit(found, lambda: s.out.print(table))


@group.command("compare")
def compare(context: typer.Context, reference: Path, current: Path) -> None:
    """Compare two files or profiles; needs no workspace."""
    s = session(context)
    found = compare_files(reference, current, Bars(s.err, s.lang))
    s.emit(found, lambda: show_consistency(s, found))


def show_consistency(s: Session, found: Consistency) -> None:
    """Print a comparison: the verdict, then the columns by effect."""
    s.out.print(
        s.say(
            "{verdict}: {current:,} rows against {reference:,}",
            verdict=say(found.verdict),
            current=found.rows_current,
            reference=found.rows_reference,
        )
    )
    table = s.table(
        say("Column"), say("Effect (PSI)"), say("p (corrected)"), say("Drifted"), right=(1, 2)
    )
    for column in found.columns:
        drifted = f"[yellow]{s.say('yes')}[/]" if column.drifted else s.say("no")
        table.add_row(escape(column.name), f"{column.effect:.3f}", f"{column.p_value:.2g}", drifted)
    s.out.print(table)
    if found.joint.drifted:
        s.out.print(
            s.say(
                "together the columns tell the two apart (AUC {score:.2f}), most of all: {columns}",
                score=found.joint.score,
                columns=found.joint.columns,
            )
        )
