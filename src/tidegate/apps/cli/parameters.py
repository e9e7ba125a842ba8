"""``tidegate params``: versions and tensors, in, out and compared."""

from pathlib import Path
from typing import Any

import typer

from tidegate.apps.cli.checkouts import checkout, verify
from tidegate.apps.cli.diff_table import diff_summary, diff_table
from tidegate.apps.cli.session import session, when, written_to
from tidegate.apps.cli.terminal import escape
from tidegate.apps.cli.updates import show_standing
from tidegate.domain.amounts import size_text
from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.stage import Stage
from tidegate.domain.update import Level, Update
from tidegate.params.fsck import by_object
from tidegate.params.picture import picture
from tidegate.params.rows import Status
from tidegate.process.parameters import Logged, summary_of

group = typer.Typer(no_args_is_help=True, help="Versions and tensors: in, out and compared.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    group.command("checkout")(checkout)
    group.command("verify")(verify)
    app.add_typer(group, name="params")


@group.command("log")
def log(context: typer.Context, model: str) -> None:
    """The versions of a model, newest first."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.log(model)
    table = s.table(
        say("Version"), say("Parent"), say("State"), say("Tensors"), say("Size"), say("Stored"),
        say("Made"), say("Reason"), right=(3, 4, 5),
    )  # fmt: skip
    for row in found:
        version = row.version
        table.add_row(
            version.name,
            f"{model}@{version.parent}" if version.parent else "-",
            f"[green]{s.say('in production')}[/]" if row.champion else s.text(_state(row)),
            str(row.tensors),
            size_text(row.size_bytes),
            size_text(row.stored_bytes),
            when(version.created_at),
            escape(version.reason),
        )
    rows = [
        {
            **row.version.model_dump(mode="json"),
            "version": row.version.number,
            "outcome": row.outcome,
            "champion": row.champion,
            "taken_back": row.taken_back,
            "tensors": row.tensors,
            "size_bytes": row.size_bytes,
            "stored_bytes": row.stored_bytes,
        }
        for row in found
    ]
    s.emit({"model": model, "versions": rows}, lambda: s.out.print(table))


def _state(row: Logged) -> Message:
    """What became of a version that is not in production."""
    if row.taken_back is not None:
        return row.taken_back
    if row.outcome is None and row.stage == Stage.APPROVE:
        return say("waits for approval")
    return say(row.outcome or row.stage)


@group.command("show")
def show(context: typer.Context, version: str) -> None:
    """The tensors of MODEL@V."""
    s = session(context)
    with s.workspace() as ws:
        found, manifest = ws.version(version)
    table = s.table(
        say("Tensor"), say("Type"), say("Shape"), say("Size"), say("Id"), right=(3,), whole=(0, 4)
    )
    for tensor in manifest.tensors:
        shape = "x".join(map(str, tensor.shape)) or "()"
        table.add_row(
            escape(tensor.name), tensor.dtype, shape, size_text(tensor.size_bytes), tensor.id[:16]
        )

    def shown() -> None:
        s.out.print(f"[bold]{found.name}[/]  {manifest.id}  {manifest.structure.adapter}")
        s.out.print(table)

    document = {
        **found.model_dump(mode="json"),
        "version": found.number,
        "structure": manifest.structure.model_dump(mode="json"),
        "tensors": [tensor._asdict() for tensor in manifest.tensors],
    }
    s.emit(document, shown)


@group.command("diff")
def diff(
    context: typer.Context,
    old: str,
    new: str,
    svg: Path = typer.Option(None, "--svg", help="Draw it too, layer by layer, to this file."),
    all_: bool = typer.Option(False, "--all", help="Show tensors that are the same, too."),
) -> None:
    """What changed from one version to another, tensor by tensor.

    A step is |new - old| of one value. ULP steps count the values that the tensor's type can tell
    apart from old to new: from a small negative one to a small positive one they are very many,
    since half of all numbers lie near zero. The norm ratio is the length of the new tensor to that
    of the old one; "turned by" is the angle between the two, 0° where only the length changed.
    """
    s = session(context)
    with s.workspace() as ws:
        found = ws.diff(old, new)
    shown = [row for row in found if all_ or row.status is not Status.SAME]
    document: dict[str, Any] = {"old": old, "new": new}
    document["tensors"] = [row._asdict() for row in found]
    replaced = svg is not None and svg.is_file()
    if svg is not None:
        svg.write_text(picture(found, old, new, s.lang), encoding="utf-8")
        document |= {"picture": str(svg), "replaced": replaced}

    def told() -> None:
        if shown:
            s.out.print(diff_table(s, shown))
        s.out.print(s.text(diff_summary(found)))
        if svg is not None:
            s.out.print(s.text(written_to(svg, replaced=replaced)))

    s.emit(document, told)


@group.command("import")
def import_(
    context: typer.Context,
    model: str,
    file: Path,
    reason: str = typer.Option(..., "--reason", help="Why these parameters."),
    allow_nonfinite: bool = typer.Option(
        False, "--allow-nonfinite", help="Take NaN and infinity as they are."
    ),
    allow_other_structure: bool = typer.Option(
        False, "--allow-other-structure", help="Take other names, types and shapes of tensors."
    ),
    repair: bool = typer.Option(
        False, "--repair", help="Read what is stored already; store anew what is damaged of it."
    ),
) -> None:
    """A case file for the parameters in a safetensors file, run as far as it goes."""
    s = session(context)
    with s.workspace() as ws:
        others = [other.id for other in ws.open_updates(model)]
        update = ws.import_params(
            model,
            file,
            reason=reason,
            allow_nonfinite=allow_nonfinite,
            allow_other_structure=allow_other_structure,
            repair=repair,
        )
        stored = ws.stored_bytes(f"{model}@{update.number}")
        if s.as_json:
            version, manifest = ws.version(f"{model}@{update.number}")
            document = {
                "version": version.number,
                "name": version.name,
                "params": version.params,
                "tensors": len(manifest.tensors),
                "size_bytes": manifest.size_bytes,
                "stored_bytes": stored,
                "update": update.id,
                "stage": update.stage,
                "outcome": update.outcome,
                "warnings": _warnings(update),
                "also_open": others,
            }
            s.emit(document, lambda: None)
        else:
            s.out.print(
                s.say(
                    "version {version} is stored, in {size} that were not there before",
                    version=f"{model}@{update.number}",
                    size=size_text(stored),
                )
            )
            if others:
                s.out.print("[yellow]![/] " + s.say(_ALSO_OPEN, others=others))
            show_standing(s, ws, update)


#: Said at import: both were compared with what is in production now.
_ALSO_OPEN = (
    "also open: {others}; once one of them is in production, the others must be proposed again"
)


def _warnings(update: Update) -> list[Message]:
    """What whoever approves must know of what was imported."""
    findings = [finding for filed in update.filed for finding in filed.verdict.findings]
    return [finding.message for finding in findings if finding.level is Level.WARN]


_ELSEWHERE = {"ignore_unknown_options": True, "allow_extra_args": True}


@group.command("export", hidden=True, context_settings=_ELSEWHERE)
def export() -> None:
    """What others call checkout."""
    raise WrongUsage(
        "there is no command 'params {name}'",
        do="write parameters to a file with: tidegate params checkout MODEL@V -o FILE",
        name="export",
    )


@group.command("list", hidden=True, context_settings=_ELSEWHERE)
def list_() -> None:
    """What others call log."""
    raise WrongUsage(
        "there is no command 'params {name}'",
        do="see the versions of a model with: tidegate params log MODEL",
        name="list",
    )


@group.command("fsck")
def fsck(context: typer.Context) -> None:
    """Find every damaged or missing byte; exit 3 where there is one."""
    s = session(context)
    with s.workspace() as ws:
        damages = ws.fsck()
    hurt = by_object(damages)

    def shown() -> None:
        s.out.print(s.text(summary_of(damages)))
        for one in hurt:
            s.out.print(f"  [red]✗[/] {', '.join(one.versions) or '-'}: {s.text(one.message)}")
        if hurt:
            s.out.print(
                "  " + s.say("restore the objects from a backup, then run: tidegate params fsck")
            )

    document = {"ok": not damages, "objects": hurt, "damages": damages}
    s.emit(document, shown)
    raise typer.Exit(3 if damages else 0)


@group.command("gc")
def gc(
    context: typer.Context,
    grace: float = typer.Option(3600, "--grace", min=0, help="Spare what is younger, in seconds."),
) -> None:
    """Free parameters that nothing refers to."""
    s = session(context)
    with s.workspace() as ws:
        freed = ws.gc(grace)
    s.emit(
        freed,
        lambda: s.out.print(
            s.say(
                "{count} version(s) freed, {size}",
                count=freed.versions,
                size=size_text(freed.size_bytes),
            )
        ),
    )
