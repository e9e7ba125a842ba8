"""``tidegate docs``: documents written from the record."""

import sys
from pathlib import Path

import typer

from tidegate.apps.cli.session import session, written_to
from tidegate.apps.cli.terminal import printable
from tidegate.process.records import Format, Kind


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.command("docs")(docs)


def docs(
    context: typer.Context,
    update: str,
    kind: Kind = typer.Option(Kind.RECORD, "--kind"),
    format_: Format = typer.Option(Format.MD, "--format"),
    out: Path = typer.Option(None, "-o", "--out", help="The file to write [standard output]."),
) -> None:
    """Write a document of an update, in the language of --lang.

    The record tells what changed, why, and who agreed; the deployment log how its release went.
    """
    s = session(context)
    with s.workspace() as ws:
        text = ws.document(update, s.lang, kind, format_)
    replaced = out is not None and out.is_file()
    if out is not None:
        out.write_text(text, encoding="utf-8")
    document = {"update": update, "kind": kind, "format": format_, "lang": s.lang}
    if out is not None:
        s.emit(
            {**document, "file": str(out), "replaced": replaced},
            lambda: s.out.print(s.text(written_to(out, replaced=replaced))),
        )
    else:
        s.emit({**document, "text": text}, lambda: _print(text))


def _print(text: str) -> None:
    sys.stdout.write(printable(text))
