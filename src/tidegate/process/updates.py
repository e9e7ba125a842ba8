"""Case files: opening one, signing it, refusing it, and finding them again."""

from tidegate.domain.errors import Conflict, Forbidden, WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Approval, Person, Role
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Update
from tidegate.ledger.journal import Reader, Transaction
from tidegate.process.history import find_snapshot
from tidegate.process.home import Home
from tidegate.process.runner import find_update
from tidegate.process.stages.release import current, overtaken_by


def open_update(
    home: Home,
    model: str,
    *,
    reason: str,
    snapshot: str | None = None,
    source: str | None = None,
    source_file: str | None = None,
    requested: str = "auto",
) -> Update:
    """A new case file for a snapshot, or for imported parameters (``source``, a manifest id)."""
    allowed = ["auto", *(s for s in Strategy if s is not Strategy.IMPORT)]
    if source is None and requested not in allowed:
        raise WrongUsage(
            "'{strategy}' is no strategy",
            do="use one of {known}",
            strategy=requested,
            known=[str(s) for s in allowed],
        )
    if not reason.strip():
        raise WrongUsage("an update needs a reason", do="say why with --reason TEXT")
    champion = current(home, model).champion
    with home.journal.write(home.actor) as tx:
        home.require(tx, Role.PROPOSER)
        spec = home.spec(tx, model)
        if snapshot is not None:
            _check_snapshot(tx, spec, snapshot)
        number = len(tx.all(Update, model)) + 1
        update = Update(
            id=f"{model}-{number}",
            model=model,
            number=number,
            spec=spec,
            proposer=home.actor,
            reason=reason,
            requested=requested,
            snapshot=snapshot,
            source=source,
            source_file=source_file,
            opened_at=tx.now,
            changed_at=tx.now,
            champion=champion,
        )
        tx.put(update, "update.opened", note={"reason": reason})
    return update


def _check_snapshot(tx: Transaction, spec: ModelSpec, snapshot_id: str) -> None:
    if not spec.trains:
        raise WrongUsage(
            "model '{model}' is not trained here",
            do="bring its parameters with: tidegate params import {model} FILE --reason TEXT",
            model=spec.model,
        )
    if find_snapshot(tx, snapshot_id).model != spec.model:
        raise WrongUsage(
            "snapshot '{snapshot}' belongs to another model",
            do="add the data to '{model}' with: tidegate data add {model} FILE",
            snapshot=snapshot_id,
            model=spec.model,
        )


def approve(home: Home, update_id: str, comment: str = "") -> Update:
    """The update with the acting person's approval of the case file as it stands.

    Raises Conflict where another version went into production since it was proposed: the
    signature would come to nothing.
    """
    update = find_update(home, update_id)
    with home.journal.read() as reader:
        _signatory(home, reader, update)
    _check_not_overtaken(home, update)
    with home.journal.write(home.actor) as tx:
        update = tx.get(Update, update_id) or update  # the worker writes what it waits for
        person = _signatory(home, tx, update)
        if any(
            a.person == person.name and a.digest == update.case_digest for a in update.approvals
        ):
            return update
        approval = Approval(
            person=person.name,
            team=person.team,
            digest=update.case_digest,
            at=tx.now,
            comment=comment,
        )
        signed = update.model_copy(update={"approvals": [*update.approvals, approval]})
        note = {"digest": update.case_digest, "comment": comment}
        tx.put(signed, "update.approved", was=update, note=note)
    return signed


def reject(home: Home, update_id: str, reason: str) -> Update:
    """The update with the acting person's refusal; the approve gate will end it."""
    with home.journal.write(home.actor) as tx:
        update = tx.get(Update, update_id) or find_update(home, update_id)
        person = _signatory(home, tx, update)
        refusal = Approval(
            person=person.name,
            team=person.team,
            digest=update.case_digest,
            at=tx.now,
            comment=reason,
        )
        refused = update.model_copy(update={"refusal": refusal})
        tx.put(refused, "update.refused", was=update, note={"reason": reason})
    return refused


def _signatory(home: Home, reader: Reader, update: Update) -> Person:
    update.open_or_refuse()
    person = home.require(reader, Role.APPROVER)
    if person.name == update.proposer:
        raise Forbidden(
            "{person} proposed update {update} and cannot sign it as well",
            do="ask someone else who holds the role approver",
            person=person.name,
            update=update.id,
        )
    if update.stage is not Stage.APPROVE:
        raise Conflict(
            "update {update} stands before {stage}, not before approval",
            do="run it that far with: tidegate update resume {update}",
            update=update.id,
            stage=say(update.stage),
        )
    return person


def _check_not_overtaken(home: Home, update: Update) -> None:
    """Raise Conflict where a signature would come too late."""
    late = _too_late(home, update)
    if late is not None:
        raise Conflict(
            "update {update} cannot be approved any more: {why}",
            do="end it with: tidegate update withdraw {update} --reason TEXT",
            update=update.id,
            why=late,
        )


def _too_late(home: Home, update: Update) -> Message | None:
    """Why an open update can no longer be released, and what to do instead; None where it can.

    From release on, the runner and the gate see to it.
    """
    if update.outcome is not None or update.stage in (Stage.RELEASE, Stage.OBSERVE):
        return None
    champion = overtaken_by(home, update)
    if champion is None:
        return None
    again = (
        f"params import {update.model} {update.source_file or 'FILE'} --reason TEXT"
        if update.source is not None
        else f"update start {update.model} --data {update.snapshot} --reason TEXT"
    )
    before = f"{update.model}@{update.champion}" if update.champion is not None else say("nothing")
    return say(
        "{champion} went into production after this was proposed against {before}; propose it "
        "again with: tidegate {again}",
        champion=f"{update.model}@{champion}",
        before=before,
        again=again,
    )


def open_updates(home: Home, model: str | None = None) -> list[Update]:
    """Case files that have not ended."""
    with home.journal.read() as reader:
        return [update for update in reader.all(Update, model) if update.outcome is None]


def _signed(update: Update) -> Message:
    """An import in a line: why it came, and who agreed."""
    people = [approval.person for approval in update.approvals]
    if not people:
        return say("{reason}", reason=update.reason)
    return say("{reason} (approved by {people})", reason=update.reason, people=people)


def describe(home: Home, update: Update) -> Message:
    """Where an update stands, in a sentence."""
    late = _too_late(home, update)
    if late is not None:
        return late
    if update.outcome is not None:
        last = update.filed[-1].verdict if update.filed else None
        refused = [f for f in last.findings if f.level == "refuse"] if last else []
        if refused:
            return refused[0].message
        if update.withdrawn_because is not None:
            return say("{reason}", reason=update.withdrawn_because)
        if update.source is not None:
            return _signed(update)
        notes = [
            f
            for filed in update.filed
            if filed.stage is Stage.VALIDATE
            for f in filed.verdict.findings
        ]
        return notes[0].message if notes else say("all eight gates passed")
    return update.waiting or say("ready to go on with {stage}", stage=say(update.stage))
