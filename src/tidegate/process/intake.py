"""Taking data in: rows become an immutable snapshot, and are looked at on arrival."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import polars as pl

from tidegate.data.contract.contract import require_columns
from tidegate.data.contract.text import contract_to_yaml
from tidegate.data.profile.json_file import keep
from tidegate.data.profile.profile import profile_source
from tidegate.data.snapshot import SnapshotSource, add_snapshot, load_snapshot
from tidegate.data.source import open_source
from tidegate.domain.errors import Conflict, NotFound, WrongUsage
from tidegate.domain.evidence import PrepareEvidence
from tidegate.domain.gates import gate
from tidegate.domain.messages import Frozen, say
from tidegate.domain.people import Role
from tidegate.domain.snapshot import Sensitivity, Snapshot
from tidegate.domain.update import Verdict
from tidegate.process.history import find_snapshot, learned_from
from tidegate.process.home import Home
from tidegate.process.stages.prepare import contract_for, examine, known_profile
from tidegate.process.stages.release import current


class Arrival(Frozen):
    """A snapshot as it was taken in, and what prepare's gate would say of it today."""

    snapshot: Snapshot
    found: PrepareEvidence
    verdict: Verdict
    new: bool


def add_data(
    home: Home,
    model: str,
    given: Any,
    *,
    licence: str | None = None,
    sensitivity: str | None = None,
    parents: Sequence[str] = (),
) -> Arrival:
    """The snapshot of files, folders, a table in memory or a ``Source``; see ``open_source``.

    The same rows are the same snapshot, and what was said of it when they first came stands:
    raises Conflict where something else is said now. ``parents`` are snapshots that this one was
    derived from or follows.
    """
    known_as = _labels(licence, sensitivity)
    with home.journal.read() as reader:
        home.require(reader, Role.PROPOSER)
        spec = home.spec(reader, model)
        history = learned_from(reader, model, current(home, model).champion)
        parents = [find_snapshot(reader, parent).id for parent in dict.fromkeys(parents)]
    if not spec.trains:
        raise WrongUsage(
            "model '{model}' is not trained here",
            do="bring its parameters with: tidegate params import {model} FILE --reason TEXT",
            model=model,
        )
    source = open_source(given, partial(home.progress, say("reading", unit="rows")))
    require_columns(pl.DataFrame(schema=source.schema), spec, source.name)
    now = home.journal.now()
    snapshot = add_snapshot(
        home.objects,
        source,
        model=model,
        target=spec.target,
        time=spec.time,
        sources=_names(given) or [source.name],
        at=now,
        by=home.actor,
        parents=parents,
        progress=partial(home.progress, say("storing", unit="rows")),
        **known_as,
    )
    recorded, new = _recorded(home, snapshot)
    if not new:
        _check_labels(recorded, snapshot)
    frame = load_snapshot(home.objects, recorded)
    past = [earlier for earlier in history if earlier.id != recorded.id]
    reference = load_snapshot(home.objects, past[-1]) if past else None
    found = examine(
        spec,
        recorded,
        frame,
        reference,
        reference_id=past[-1].id if past else None,
        now=now,
        known=known_profile(home, past[-1]) if past else None,
        progress=home.progress,
    )
    return Arrival(snapshot=recorded, found=found, verdict=gate(spec, found), new=new)


def _recorded(home: Home, snapshot: Snapshot) -> tuple[Snapshot, bool]:
    """A snapshot as it stands in the record, now with a profile; and whether it is new there."""
    with home.journal.read() as reader:
        known = reader.get(Snapshot, snapshot.id)
    if known is not None:
        return known, False
    found = profile_source(
        SnapshotSource(home.objects, snapshot),
        ", ".join(snapshot.sources),
        partial(home.progress, say("profiling", unit="rows")),
    )
    snapshot = snapshot.model_copy(update={"profile": keep(home.objects, found)})
    with home.journal.write(home.actor) as tx:
        known = tx.get(Snapshot, snapshot.id)  # added by someone else meanwhile
        if known is None:
            tx.put(snapshot, "snapshot.added", note={"rows": snapshot.rows})
    return known or snapshot, known is None


def _labels(licence: str | None, sensitivity: str | None) -> dict[str, Any]:
    if sensitivity is not None and sensitivity not in get_args(Sensitivity):
        raise WrongUsage(
            "'{sensitivity}' says nothing of how closely rows are kept",
            do="use one of: {known}",
            sensitivity=sensitivity,
            known=list(get_args(Sensitivity)),
        )
    return {"licence": licence, "sensitivity": sensitivity}


def _names(given: Any) -> list[str]:
    """What files were given, by name alone; empty where it was something else."""
    paths = [given] if isinstance(given, (str, Path)) else given
    if not isinstance(paths, (list, tuple)):
        return []
    return [Path(one).name for one in paths if isinstance(one, (str, Path))]


def _check_labels(known: Snapshot, now: Snapshot) -> None:
    """Raises Conflict where rows that are here already are called something else now."""
    for label in ("licence", "sensitivity", "parents"):
        before, said = getattr(known, label), getattr(now, label)
        if said and said != before:
            raise Conflict(
                "snapshot {snapshot} was here already, with {label} {before} and not {said}",
                do="leave the label out; what was said first stands",
                snapshot=known.id,
                label=say(label),
                before=before or "-",
                said=said,
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
