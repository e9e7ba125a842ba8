"""``tidegate params``: versions and tensors, in, out and compared."""

from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from tidegate.apps.cli.session import session, size, when
from tidegate.apps.cli.updates import show_standing
from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import say
from tidegate.params.files.safetensors_writer import is_standard_output
from tidegate.params.picture import picture
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
        say("Version"), say("Parent"), say("State"), say("Tensors"), say("Size"), say("Made"),
        say("Reason"), right=(3, 4),
    )  # fmt: skip
    for row in found:
        version = row.version
        state = s.text(say(row.outcome or row.stage))
        table.add_row(
            version.name,
            str(version.parent or "-"),
            f"[green]{s.say('in production')}[/]" if row.champion else state,
            str(row.tensors),
            size(row.size_bytes),
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
    table = s.table(say("Tensor"), say("Type"), say("Shape"), say("Size"), say("Id"), right=(3,))
    for tensor in manifest.tensors:
        shape = "x".join(map(str, tensor.shape)) or "()"
        name, bytes_ = escape(tensor.name), size(tensor.size_bytes)
        table.add_row(name, tensor.dtype, shape, bytes_, tensor.id[:16])

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
) -> None:
    """What changed from one version to another, tensor by tensor."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.diff(old, new)
    headings = [
        say("Tensor"), say("Status"), say("Changed share"), say("Largest step"), say("Mean step"),
        say("Largest ULP step"), say("Norm ratio"), say("Cosine"),
    ]  # fmt: skip
    broken = any(row.new_nonfinite for row in found)
    if broken:
        headings.append(say("New NaN, infinity"))
    table = s.table(*headings, right=tuple(range(2, len(headings))))
    for row in found:
        share = "-" if row.changed_share is None else f"{row.changed_share:.1%}"
        numbers = [row.max_step, row.mean_step, row.max_ulp_step, row.norm_ratio, row.cosine]
        shown = ["-" if value is None else f"{value:.3g}" for value in numbers]
        if broken:
            shown.append(f"{row.new_nonfinite or ''}")
        table.add_row(escape(row.name), s.text(say(row.status)), share, *shown)
    document: dict[str, Any] = {"old": old, "new": new}
    document["tensors"] = [row._asdict() for row in found]
    if svg is not None:
        svg.write_text(picture(found, old, new, s.lang), encoding="utf-8")
        document["picture"] = str(svg)

    def told() -> None:
        s.out.print(table)
        if svg is not None:
            s.out.print(s.say("written to {file}", file=svg))

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
        update = ws.import_params(
            model,
            file,
            reason=reason,
            allow_nonfinite=allow_nonfinite,
            allow_other_structure=allow_other_structure,
            repair=repair,
        )
        if s.as_json:
            version, manifest = ws.version(f"{model}@{update.number}")
            document = {
                "version": version.number,
                "name": version.name,
                "params": version.params,
                "tensors": len(manifest.tensors),
                "update": update.id,
                "stage": update.stage,
                "outcome": update.outcome,
            }
            s.emit(document, lambda: None)
        else:
            s.out.print(s.say("version {version} is stored", version=f"{model}@{update.number}"))
            show_standing(s, ws, update)


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
    chosen = list(tensor or []) or None
    streams = is_standard_output(out)
    if streams and s.as_json:
        raise WrongUsage(
            "the file and the JSON document cannot both go to standard output",
            do="name a file with -o, or leave out --json",
        )
    with s.workspace() as ws:
        written = ws.checkout(version, out, chosen)
        if proof is not None:
            proof.write_text(ws.prove(version, chosen).model_dump_json(), encoding="utf-8")
    s.emit(
        {"version": version, "file": str(out), "size_bytes": written},
        lambda: (s.err if streams else s.out).print(
            s.say("{version} is in {file} ({size})", version=version, file=out, size=size(written))
        ),
    )


@group.command("verify")
def verify(
    context: typer.Context,
    file: Path,
    version: str = typer.Argument(..., help="MODEL@V, or the id of its parameters."),
    proof: Path = typer.Option(..., "--proof", help="The proof that checkout wrote."),
) -> None:
    """Whether every tensor of a file is part of a version; with an id, no workspace is needed.

    Nothing is said of the file's own metadata, which is no tensor.
    """
    s = session(context)
    params = version
    if "@" in version:
        with s.workspace() as ws:
            params = ws.version(version)[1].id
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

    def shown() -> None:
        s.out.print(s.text(summary_of(damages)))
        for damage in damages:
            s.out.print(f"  [red]✗[/] {', '.join(damage.versions)}: {s.text(damage.message)}")

    s.emit({"ok": not damages, "damages": damages}, shown)
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
                size=size(freed.size_bytes),
            )
        ),
    )
