"""``tidegate params``: versions and tensors, in, out and compared."""

import re
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from tidegate.apps.cli.diff_table import diff_summary, diff_table
from tidegate.apps.cli.session import session, when, written_to
from tidegate.apps.cli.updates import show_standing
from tidegate.domain.amounts import size_text
from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.update import Level, Update
from tidegate.params.files.safetensors_writer import is_standard_output
from tidegate.params.fsck import by_object
from tidegate.params.picture import picture
from tidegate.params.rows import Status
from tidegate.process.parameters import summary_of, verify_file

group = typer.Typer(no_args_is_help=True, help="Versions and tensors: in, out and compared.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
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
        state = s.text(say(row.outcome or row.stage))
        table.add_row(
            version.name,
            str(version.parent or "-"),
            f"[green]{s.say('in production')}[/]" if row.champion else state,
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
            "tensors": row.tensors,
            "size_bytes": row.size_bytes,
            "stored_bytes": row.stored_bytes,
        }
        for row in found
    ]
    s.emit({"model": model, "versions": rows}, lambda: s.out.print(table))


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


@group.command("checkout")
def checkout(
    context: typer.Context,
    version: str,
    out: Path = typer.Option(..., "-o", "--out", help="The safetensors file to write."),
    tensor: list[str] = typer.Option(None, "--tensor", help="Only this tensor (repeatable)."),
    proof: Path = typer.Option(
        None, "--proof", help="Write a proof that the tensors are part of the version, too."
    ),
) -> None:
    """Write a version to a safetensors file, exactly."""
    s = session(context)
    if proof is not None and _same_file(out, proof):
        raise WrongUsage(
            "--out and --proof both name {file}, and the proof would destroy the parameters",
            do="give the proof a name of its own",
            file=out,
        )
    chosen = list(tensor or []) or None
    streams = is_standard_output(out)
    if streams and s.as_json:
        raise WrongUsage(
            "the file and the JSON document cannot both go to standard output",
            do="name a file with -o, or leave out --json",
        )
    files = [proof] if streams else [out, proof]
    replaced = [file for file in files if file is not None and file.is_file()]
    with s.workspace() as ws:
        written = ws.checkout(version, out, chosen)
        if proof is not None:
            proof.write_text(ws.prove(version, chosen).model_dump_json(), encoding="utf-8")

    told_on = s.err if streams else s.out

    def told() -> None:
        told_on.print(
            s.say(
                "{version} is in {file} ({size})",
                version=version,
                file=out,
                size=size_text(written),
            )
        )
        for file in replaced:
            told_on.print("  " + s.say("{file} replaced the file of that name", file=file))

    document = {"version": version, "file": str(out), "size_bytes": written}
    s.emit({**document, "replaced": [str(file) for file in replaced]}, told)


def _same_file(one: Path, other: Path) -> bool:
    """Whether writing to one writes to the other, by whatever links."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


@group.command("verify")
def verify(
    context: typer.Context,
    file: Path,
    version: str = typer.Argument(..., help="MODEL@V, or the id of its parameters."),
    proof: Path = typer.Option(..., "--proof", help="The proof that checkout wrote."),
) -> None:
    """Whether every tensor of a file is part of a version; with an id, no workspace is needed."""
    s = session(context)
    params = version
    if "@" in version:
        with s.workspace() as ws:
            params = ws.version(version)[1].id
    elif not re.fullmatch("[0-9a-f]{64}", version):
        raise WrongUsage(
            "'{version}' is neither MODEL@V nor an id of 64 hex digits",
            do="see a version's id with: tidegate params show MODEL@V",
            version=version,
        )
    count = verify_file(file, proof, params)
    s.emit(
        {"ok": True, "params": params, "tensors": count},
        lambda: s.out.print(
            s.say("{count} tensor(s) are part of parameters {params}", count=count, params=params)
        ),
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
