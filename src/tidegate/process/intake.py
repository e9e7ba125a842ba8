"""Taking data in: files become an immutable snapshot, and are looked at on arrival."""

from collections.abc import Sequence
from pathlib import Path

from tidegate.data.contract.contract import require_columns
from tidegate.data.contract.text import contract_to_yaml
from tidegate.data.profile.json_file import keep
from tidegate.data.profile.profile import profile_of
from tidegate.data.read import read_files
from tidegate.data.snapshot import add_snapshot, load_snapshot
from tidegate.data.table import canonical
from tidegate.domain.errors import NotFound, WrongUsage
from tidegate.domain.evidence import PrepareEvidence
from tidegate.domain.gates import gate
from tidegate.domain.messages import Frozen, say
from tidegate.domain.people import Role
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.update import Verdict
from tidegate.process.history import learned_from
from tidegate.process.home import Home
from tidegate.process.stages.prepare import contract_for, examine, known_profile
from tidegate.process.stages.release import current


class Arrival(Frozen):
    """A snapshot as it was taken in, and what prepare's gate would say of it today."""

    snapshot: Snapshot
    found: PrepareEvidence
    verdict: Verdict
    new: bool


def add_data(home: Home, model: str, files: Sequence[Path]) -> Arrival:
    """The snapshot of these files, stacked in the order given; the same rows are the same one."""
    with home.journal.read() as reader:
        home.require(reader, Role.PROPOSER)
        spec = home.spec(reader, model)
        history = learned_from(reader, model, current(home, model).champion)
    if not spec.trains:
        raise WrongUsage(
            "model '{model}' is not trained here",
            do="bring its parameters with: tidegate params import {model} FILE --reason TEXT",
            model=model,
        )
    frame = read_files(files, lambda done, total: home.progress(say("reading"), done, total))
    require_columns(frame, spec, ", ".join(file.name for file in files))
    now = home.journal.now()
    snapshot = add_snapshot(
        home.objects,
        frame,
        model=model,
        target=spec.target,
        time=spec.time,
        sources=[file.name for file in files],
        at=now,
        by=home.actor,
    )
    found_so_far = profile_of(canonical(frame), ", ".join(file.name for file in files))
    snapshot = snapshot.model_copy(update={"profile": keep(home.objects, found_so_far)})
    with home.journal.write(home.actor) as tx:
        known = tx.get(Snapshot, snapshot.id)
        if known is None:
            tx.put(snapshot, "snapshot.added", note={"rows": snapshot.rows})
    past = [earlier for earlier in history if earlier.id != snapshot.id]
    reference = load_snapshot(home.objects, past[-1]) if past else None
    found = examine(
        spec,
        known or snapshot,
        frame,
        reference,
        reference_id=past[-1].id if past else None,
        now=now,
        known=known_profile(home, past[-1]) if past else None,
        progress=home.progress,
    )
    return Arrival(
        snapshot=known or snapshot, found=found, verdict=gate(spec, found), new=known is None
    )


def contract_text(home: Home, model: str) -> str:
    """The contract in force as YAML: the model file's, else inferred from the champion's data."""
    with home.journal.read() as reader:
        spec = home.spec(reader, model)
        history = learned_from(reader, model, current(home, model).champion)
        known = history or reader.all(Snapshot, model)
    reference = load_snapshot(home.objects, known[-1]) if known else None
    contract = contract_for(spec, reference)
    if contract is None:
        raise NotFound(
            "model '{model}' has no data yet to infer a contract from",
            do="add some with: tidegate data add {model} FILE",
            model=model,
        )
    return contract_to_yaml(contract)
