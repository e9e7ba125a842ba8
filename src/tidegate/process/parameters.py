"""Parameters in and out of a workspace: import, checkout, log, diff, checks, and freeing space."""

import re
from collections.abc import Sequence
from pathlib import Path

from tidegate.domain.compatibility import differences
from tidegate.domain.errors import Incompatible, WrongUsage
from tidegate.domain.groups import members
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Role
from tidegate.domain.update import Outcome, Update
from tidegate.domain.version import Manifest, Version
from tidegate.ledger.journal import Reader
from tidegate.params.checkout import checkout as write_file
from tidegate.params.checkout import load_manifest
from tidegate.params.cost import added_bytes
from tidegate.params.diff import diff
from tidegate.params.files.import_file import import_file
from tidegate.params.files.sharded import open_parameters
from tidegate.params.fsck import Damage, by_object, fsck
from tidegate.params.gc import Freed, gc
from tidegate.params.proof import Proof, prove, read_proof
from tidegate.params.proof import check as check_file
from tidegate.params.rows import TensorDiff
from tidegate.process.home import Home
from tidegate.process.stages.release import current
from tidegate.process.updates import open_update
from tidegate.process.versions import manifest_of, near, resolve


class Logged(Frozen):
    """A version in a model's log: what became of the update that made it.

    ``stored_bytes`` is what it added to the versions before it; ``taken_back`` says who took it
    out of production by hand, and why, where someone did.
    """

    version: Version
    outcome: Outcome | None
    stage: str
    champion: bool
    tensors: int
    size_bytes: int
    stored_bytes: int
    taken_back: Message | None = None


def log(home: Home, model: str) -> list[Logged]:
    """The versions of a model, newest first."""
    champion = current(home, model).champion
    with home.journal.read() as reader:
        home.spec(reader, model)
        versions = reader.all(Version, model)
        updates = {update.id: update for update in reader.all(Update, model)}
        taken_back = _taken_back(reader, model)
    versions.sort(key=lambda version: version.number)
    stored = added_bytes(home.objects, [version.params for version in versions])
    rows = []
    for version, stored_bytes in zip(reversed(versions), reversed(stored), strict=True):
        manifest = load_manifest(home.objects, version.params)
        update = updates[version.update]
        rows.append(
            Logged(
                version=version,
                outcome=update.outcome,
                stage=update.stage,
                champion=version.number == champion,
                tensors=len(manifest.tensors),
                size_bytes=manifest.size_bytes,
                stored_bytes=stored_bytes,
                taken_back=taken_back.get(version.number),
            )
        )
    return rows


def _taken_back(reader: Reader, model: str) -> dict[int, Message]:
    """Versions that a person took out of production after their update had completed."""
    return {
        event.note["from"]: say(
            "rolled back by {person}: {reason}", person=event.actor, reason=event.note["reason"]
        )
        for event in reader.events(model=model)
        if event.kind == "release.rolled_back_by_hand"
    }


def stored_bytes(home: Home, name: str) -> int:
    """The bytes that a version added to those it was built on."""
    version = resolve(home, name)
    known = near(home, version.model, version.number)
    return added_bytes(home.objects, [*known, version.params])[-1]


def bring_in(
    home: Home,
    model: str,
    file: Path,
    reason: str,
    *,
    allow_nonfinite: bool = False,
    allow_other_structure: bool = False,
    repair: bool = False,
) -> Update:
    """A case file for the parameters in a safetensors file, which are stored as they are.

    ``repair`` reads what is stored already, and stores anew what is damaged of it.
    Raises Incompatible, with the differences spelled out, where tensors have other names, dtypes
    or shapes than those in production, unless ``allow_other_structure``.
    """
    with home.journal.read() as reader:
        home.require(reader, Role.PROPOSER)
        spec = home.spec(reader, model)
    if spec.trains:
        raise WrongUsage(
            "model '{model}' is trained here by {adapter}, and takes no parameter files",
            do="declare a model with 'adapter: tensors' for parameters that come from files",
            model=model,
            adapter=spec.adapter,
        )
    _check_local(file)
    _check_groups(spec, file)
    manifest = import_file(
        home.objects,
        file,
        near=near(home, model),
        allow_nonfinite=allow_nonfinite,
        repair=repair,
        progress=lambda done, total: home.progress(say("reading parameters"), done, total),
    )
    if not allow_other_structure:
        _check_structure(home, model, manifest)
    return open_update(
        home,
        model,
        reason=reason,
        source=manifest.id,
        source_file=file.name,
        requested="import",
    )


def _check_local(file: Path) -> None:
    """Raise WrongUsage for an address; a path has lost one of its two slashes by now."""
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(file)) and not file.exists():
        raise WrongUsage(
            "'{file}' is an address, and only files on this machine are imported",
            do="fetch it first, then import the file",
            file=file,
        )


def _check_groups(spec: ModelSpec, file: Path) -> None:
    """Raise WrongUsage where a group of the model file takes none of the file's tensors."""
    if not spec.groups:
        return
    with open_parameters(file) as opened:
        taken = members(spec.groups, opened.names)
    for group, pattern in spec.groups.items():
        if not taken[group]:
            raise WrongUsage(
                "group '{group}' of model '{model}' takes no tensor: '{pattern}' fits none in "
                "file '{file}' that an earlier group leaves",
                do="mend the pattern under 'groups' in the model file (* is any text, ? one "
                "character), and apply it again",
                group=group,
                model=spec.model,
                pattern=pattern,
                file=file,
            )


def _check_structure(home: Home, model: str, manifest: Manifest) -> None:
    """Raise Incompatible where ``manifest`` does not load where the champion does."""
    champion = current(home, model).champion
    if champion is None:
        return
    found = differences(manifest_of(home, f"{model}@{champion}"), manifest)
    if found:
        raise Incompatible(
            "these parameters do not fit where {version} is loaded: {differences}",
            do="correct the file; or, where the program that loads them changes too, say "
            "--allow-other-structure",
            version=f"{model}@{champion}",
            differences=[difference.model_dump() for difference in found],
        )


def checkout(home: Home, name: str, out: Path, tensors: Sequence[str] | None = None) -> int:
    """Write a version, or the named tensors of it, to a safetensors file; gives bytes written."""
    return write_file(
        home.objects,
        manifest_of(home, name),
        out,
        tensors or None,
        progress=lambda done, total: home.progress(say("writing parameters"), done, total),
    )


def proof_of(home: Home, name: str, tensors: Sequence[str] | None = None) -> Proof:
    """A proof that the named tensors, or all, are part of a version."""
    return prove(manifest_of(home, name), tensors or None)


def verify_file(file: Path, proof: Path, params: str) -> int:
    """How many tensors the file holds, all proved to be part of these parameters."""
    return check_file(file, read_proof(proof), params)


def compare(home: Home, old: str, new: str) -> list[TensorDiff]:
    """What changed from version ``old`` to ``new``, tensor by tensor."""
    return diff(
        home.objects,
        manifest_of(home, old),
        manifest_of(home, new),
        progress=lambda done, total: home.progress(say("comparing parameters"), done, total),
    )


def show(home: Home, name: str) -> tuple[Version, Manifest]:
    """A version and its content."""
    version = resolve(home, name)
    return version, load_manifest(home.objects, version.params)


def check(home: Home) -> list[Damage]:
    """Every damaged or missing byte of every version."""
    with home.journal.read() as reader:
        versions = [(version.name, version.params) for version in reader.all(Version)]
    return fsck(
        home.objects,
        versions,
        progress=lambda done, total: home.progress(say("checking parameters"), done, total),
    )


def collect(home: Home, grace_seconds: float) -> Freed:
    """Free parameters that no version and no open case file refers to."""
    with home.journal.read() as reader:
        home.require(reader, Role.ADMIN)
        live = {version.params for version in reader.all(Version)}
        live |= {update.source for update in reader.all(Update) if update.source is not None}
    return gc(home.objects, live, grace_seconds)


def summary_of(damages: Sequence[Damage]) -> Message:
    """What fsck found, in a sentence."""
    if not damages:
        return say("every byte of every version is as it was committed")
    hurt = by_object(damages)
    return say(
        "{count} damaged or missing object(s), {tensors} tensor(s) cannot be read",
        count=len(hurt),
        tensors=sum(one.tensors for one in hurt),
    )
