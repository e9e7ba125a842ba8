"""Gathers what an update's documents are written from."""

from tidegate.domain.update import Update
from tidegate.governance import record
from tidegate.process.home import Home
from tidegate.process.updates import describe


def update_record(home: Home, update: Update, lang: str = "en") -> str:
    """The update record as Markdown in ``lang``."""
    with home.journal.read() as reader:
        evidence = {filed.stage: reader.evidence(filed.evidence) for filed in update.filed}
        version = f"{update.model}@{update.number}"
        events = [
            *reader.events(subject=("update", update.id)),
            *reader.events(subject=("version", version)),
        ]
        root = reader.root()
    history = [
        record.Deed(seq=event.seq, at=event.at, actor=event.actor, kind=event.kind)
        for event in sorted(events, key=lambda event: event.seq)
    ]
    dossier = record.Dossier(
        update=update,
        evidence=evidence,
        history=history,
        standing=describe(home, update),
        ledger_root=root,
    )
    return record.update_record(dossier, lang)
