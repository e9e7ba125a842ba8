"""``tidegate data add``, ``list`` and ``show``: rows taken in, and what is known of them."""

from functools import partial
from pathlib import Path
from typing import Any

import typer

from tidegate.apps.cli.progress import Bars
from tidegate.apps.cli.session import Session, session, when
from tidegate.apps.cli.terminal import escape
from tidegate.data.source import sql_source
from tidegate.domain.amounts import size_text
from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.snapshot import Snapshot


def register(group: typer.Typer) -> None:
    """Put these commands into the group ``data``."""
    group.command("add")(add)
    group.command("list")(list_)
    group.command("show")(show)


def add(
    context: typer.Context,
    model: str,
    files: list[Path] = typer.Argument(None, help="Files or folders: CSV, JSON lines, Parquet."),
    licence: str = typer.Option(None, help="Under which licence the rows may be used."),
    sensitivity: str = typer.Option(None, help="public, internal, confidential or personal."),
    parents: list[str] = typer.Option(
        [], "--from", help="A snapshot that this one was derived from, or follows."
    ),
    sql: str = typer.Option(
        None, "--sql", envvar="TIDEGATE_SQL", help="Address of a database, with --query."
    ),
    query: str = typer.Option(None, "--query", help="What to ask the database of --sql for."),
) -> None:
    """An immutable snapshot of files, folders or a query, looked at on arrival."""
    s = session(context)
    given = _given(s, files, sql, query)
    with s.workspace() as ws:
        arrival = ws.add_data(
            model, given, licence=licence, sensitivity=sensitivity, parents=parents
        )
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


def _given(s: Session, files: list[Path] | None, sql: str | None, query: str | None) -> Any:
    """What ``data add`` is to take in: files, or a query."""
    if query is None and (files or sql is None):
        return list(files or [])
    if files or sql is None or query is None:
        raise WrongUsage(
            "a query goes with the address of a database, and without files",
            do="give --sql URL --query TEXT, or files",
        )
    bars = Bars(s.err, s.lang)
    return sql_source(sql, query, partial(bars, say("reading", unit="rows")))


def list_(context: typer.Context, model: str) -> None:
    """The snapshots of a model, in the order they came."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.snapshots(model)
    table = s.table(
        say("Snapshot"), say("Rows"), say("Columns"), say("From"), say("To"), say("Added"),
        say("Source"), right=(1, 2),
    )  # fmt: skip
    for one in found:
        table.add_row(
            one.id,
            f"{one.rows:,}",
            f"{len(one.columns):,}",
            when(one.time_from or "-"),
            when(one.time_to or "-"),
            when(one.added_at),
            escape(", ".join(one.sources)),
        )
    s.emit({"snapshots": found}, lambda: s.out.print(table))


def show(context: typer.Context, snapshot: str) -> None:
    """What a snapshot holds, where it came from, and how it may be used."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.snapshot(snapshot)
    table = s.table(say("Column"), say("Kind"), say("Type"), say("Missing"), right=(3,))
    for column in found.columns:
        kind = s.text(say(str(column.kind)))
        table.add_row(escape(column.name), kind, escape(column.dtype), f"{column.missing:,}")

    def shown() -> None:
        for label, value in _facts(found):
            s.out.print(f"{s.text(label)}: {escape(value)}")
        s.out.print(table)

    s.emit(found, shown)


def _facts(found: Snapshot) -> list[tuple[Message, str]]:
    """What is known of a snapshot beside its columns; what was not said is left out."""
    span = f"{when(found.time_from)} - {when(found.time_to or '')}" if found.time_from else ""
    facts = [
        (say("Snapshot"), found.id),
        (say("Model"), found.model),
        (say("Rows"), f"{found.rows:,}"),
        (say("Labelled"), f"{found.labelled_rows:,}"),
        (say("Size"), size_text(found.size_bytes)),
        (say("Times"), span),
        (say("Source"), ", ".join(found.sources)),
        (say("Added"), f"{when(found.added_at)} ({found.added_by})"),
        (say("Licence"), found.licence or ""),
        (say("Sensitivity"), found.sensitivity or ""),
        (say("Follows"), ", ".join(found.parents)),
    ]
    return [(label, value) for label, value in facts if value]
