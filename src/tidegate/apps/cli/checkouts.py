"""``tidegate params checkout`` and ``verify``: versions as files, and whether a file is of one."""

import re
from pathlib import Path

import typer

from tidegate.apps.cli.session import session
from tidegate.domain.amounts import size_text
from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.version import Manifest, Version
from tidegate.params.files.safetensors_writer import is_standard_output
from tidegate.process.parameters import verify_file


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
    _check_outputs(out, proof)
    streams = is_standard_output(out)
    if streams and s.as_json:
        raise WrongUsage(
            "the file and the JSON document cannot both go to standard output",
            do="name a file with -o, or leave out --json",
        )
    chosen = list(tensor or []) or None
    files = [proof] if streams else [out, proof]
    replaced = [file for file in files if file is not None and file.is_file()]
    told_on = s.err if streams else s.out
    with s.workspace() as ws:
        found, manifest = ws.version(version)
        written = ws.checkout(found.name, out, chosen)
        if proof is not None:
            proof.write_text(ws.prove(found.name, chosen).model_dump_json(), encoding="utf-8")

    def told() -> None:
        told_on.print(s.text(_checked_out(found, manifest, chosen, out, written)))
        if proof is not None:
            told_on.print(
                s.say(
                    "its proof is in {proof}; check both with: tidegate params verify {file} "
                    "--proof {proof} {id}",
                    file=out,
                    proof=proof,
                    id=manifest.id,
                )
            )
        for file in replaced:
            told_on.print("  " + s.say("{file} replaced the file of that name", file=file))

    document = {
        "version": found.name,
        "params": manifest.id,
        "file": str(out),
        "size_bytes": written,
        "replaced": [str(file) for file in replaced],
    }
    s.emit(document, told)


def _checked_out(
    version: Version, manifest: Manifest, chosen: list[str] | None, out: Path, written: int
) -> Message:
    values = {"version": version.name, "file": out, "size": size_text(written)}
    if chosen is None:
        return say("{version} is in {file} ({size})", **values)
    return say(
        "{count} of {tensors} tensors of {version} in {file} ({size})",
        count=len(set(chosen)),
        tensors=len(manifest.tensors),
        **values,
    )


def _check_outputs(out: Path, proof: Path | None) -> None:
    """Raise WrongUsage for a folder, and for one file that would be two."""
    for file in (out, proof):
        if file is not None and file.is_dir():
            raise WrongUsage("'{file}' is a folder", do="name a file in it", file=file)
    if proof is not None and _same_file(out, proof):
        raise WrongUsage(
            "--out and --proof both name {file}, and the proof would destroy the parameters",
            do="give the proof a name of its own",
            file=out,
        )


def _same_file(one: Path, other: Path) -> bool:
    """Whether writing to one writes to the other, by whatever links."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


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
    elif not re.fullmatch("[0-9a-fA-F]{64}", version):
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
