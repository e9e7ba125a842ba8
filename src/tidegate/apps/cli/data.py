"""``tidegate data``: take data in, profile and compare files."""

import json
import os
from pathlib import Path

import typer
import yaml

from tidegate.apps.cli import snapshots
from tidegate.apps.cli.progress import Bars
from tidegate.apps.cli.session import Session, session
from tidegate.apps.cli.terminal import escape
from tidegate.data.output import check_apart, write_file
from tidegate.data.profile.json_file import to_json
from tidegate.data.report.report import (
    comparison_page,
    p_text,
    profile_page,
    since_text,
    unmatched,
    verdict,
)
from tidegate.domain.drift import Consistency
from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import say
from tidegate.process.inspecting import (
    check_file,
    compare_files,
    contract_of_file,
    profile_file,
)

group = typer.Typer(no_args_is_help=True, help="Take data in, profile and compare files.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    snapshots.register(group)
    app.add_typer(group, name="data")


@group.command("profile")
def profile(
    context: typer.Context,
    file: Path,
    out: Path = typer.Option(None, "-o", "--out", help="Write the profile here, as JSON."),
    html: Path = typer.Option(None, "--html", help="Write a page with pictures here."),
) -> None:
    """Profile a file; needs no workspace."""
    s = session(context)
    if html is not None:
        check_apart(html, [file])
        if out is not None and os.path.realpath(html) == os.path.realpath(out):
            raise WrongUsage(
                "{file} is named for the profile and for the page",
                do="name another file with --html",
                file=str(out),
            )
    found = profile_file(file, out, Bars(s.err, s.lang))
    if html is not None:
        write_file(html, profile_page(found, s.lang))
    table = s.table(
        say("Column"), say("Kind"), say("Missing"), say("Mean"), say("Low"), say("High"),
        right=(2, 3, 4, 5),
    )  # fmt: skip
    for column in found.columns:
        moments = (
            column.value.moments if column.value is not None and column.tally is None else None
        )
        numbers: list[float] = []
        if moments is not None and moments.rows:
            numbers = [moments.mean, moments.minimum, moments.maximum]
        told = [f"{value:.4g}" for value in numbers] or ["-"] * 3
        table.add_row(escape(column.name), s.text(say(column.kind)), f"{column.missing:,}", *told)

    def shown() -> None:
        s.out.print(s.say("{rows:,} rows", rows=found.rows))
        s.out.print(table)
        _page_is_in(s, html)

    s.emit(json.loads(to_json(found)), shown)


@group.command("contract")
def contract(
    context: typer.Context,
    file: Path,
    out: Path = typer.Option(None, "-o", "--out", help="Write the contract here, as YAML."),
) -> None:
    """A contract that a file keeps, with room for noise, to edit; needs no workspace."""
    s = session(context)
    text = contract_of_file(file, out, Bars(s.err, s.lang), s.lang)

    def shown() -> None:
        if out is None:
            s.out.print(text, markup=False, end="")
        else:
            s.out.print(s.say("the contract is in {file}", file=str(out)))

    s.emit(yaml.safe_load(text), shown)


@group.command("check")
def check(context: typer.Context, file: Path, contract: Path) -> None:
    """Check a file against a contract; exit 3 where a breach refuses. Needs no workspace."""
    s = session(context)
    found = check_file(file, contract, Bars(s.err, s.lang))
    refused = any(breach.severity == "refuse" for breach in found)

    def shown() -> None:
        if not found:
            s.out.print(s.say("the contract is kept"))
        for breach in found:
            s.out.print(f"  {s.text(say(breach.severity))}: {s.text(breach.message)}")

    s.emit({"passed": not refused, "breaches": found}, shown)
    if refused:
        raise typer.Exit(3)


@group.command("compare")
def compare(
    context: typer.Context,
    reference: Path,
    current: Path,
    html: Path = typer.Option(None, "--html", help="Write a page with pictures here."),
) -> None:
    """Compare two files or profiles; needs no workspace."""
    s = session(context)
    if html is not None:
        check_apart(html, [reference, current])
    made = compare_files(reference, current, Bars(s.err, s.lang))
    if html is not None:
        write_file(html, comparison_page(made.found, made.reference, made.current, s.lang))

    def shown() -> None:
        show_consistency(s, made.found)
        _page_is_in(s, html)

    s.emit(made.found, shown)


@group.command("drift")
def drift(
    context: typer.Context,
    model: str,
    reference: str = typer.Option(None, "--reference", help="The snapshot to compare with."),
    html: Path = typer.Option(None, "--html", help="Write a page with pictures here."),
) -> None:
    """How a model's data moved, snapshot by snapshot, since what was learned last."""
    s = session(context)
    with s.workspace() as ws:
        history = ws.drift(model, reference)
    moved = history.moved
    if html is not None and moved:
        past = [(one.snapshot.id, one.found) for one in moved]
        newest = moved[-1]
        page = comparison_page(newest.found, history.profile, newest.profile, s.lang, past)
        write_file(html, page)

    def shown() -> None:
        table = s.table(say("Snapshot"), say("Rows"), say("Verdict"), right=(1,))
        for one in moved:
            told = s.text(verdict(one.found))
            table.add_row(one.snapshot.id, f"{one.snapshot.rows:,}", told)
        s.out.print(s.say("against snapshot {snapshot}", snapshot=history.reference.id))
        s.out.print(table)
        for column, snapshot in history.since().items():
            told = s.say("{column}: drifted since {snapshot}", column=column, snapshot=snapshot)
            s.out.print(told)
        _page_is_in(s, html if moved else None)

    s.emit(history.summary(), shown)


def _page_is_in(s: Session, html: Path | None) -> None:
    if html is not None and html.is_file():
        s.out.print(s.say("the page is in {file}", file=str(html)))


def show_consistency(s: Session, found: Consistency) -> None:
    """Print a comparison: the verdict, then the columns by effect."""
    s.out.print(
        s.say(
            "{verdict}: {current:,} rows against {reference:,}",
            verdict=verdict(found),
            current=found.rows_current,
            reference=found.rows_reference,
        )
    )
    for told in unmatched(found):
        s.out.print(f"[yellow]{s.text(told)}[/]")
    table = s.table(
        say("Column"), say("Effect"), say("p (corrected)"), say("Drift"), say("Since"), right=(1, 2)
    )
    for column in [*([found.label] if found.label else []), *found.columns]:
        drift = "-" if column.grade is None else f"[yellow]{s.text(say(column.grade))}[/]"
        since = since_text(column)
        numbers = ["-", "-"]
        if column.judged:
            numbers = [f"{column.effect:.3f}", p_text(column.p_value)]
        table.add_row(escape(column.name), *numbers, drift, s.text(since) if since else "")
    s.out.print(table)
    if found.joint.drifted:
        s.out.print(
            s.say(
                "together the columns tell the two apart (AUC {score:.2f}), most of all: {columns}",
                score=found.joint.score,
                columns=found.joint.columns,
            )
        )
