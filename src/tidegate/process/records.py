"""Gathers what an update's documents are written from."""

from enum import StrEnum

from tidegate.domain.update import Update
from tidegate.governance import record
from tidegate.governance.deployment import deployment_log
from tidegate.governance.page import page
from tidegate.process.deploying import log_of
from tidegate.process.home import Home
from tidegate.process.updates import describe


class Kind(StrEnum):
    """Documents that can be written."""

    RECORD = "record"
    DEPLOYMENT = "deployment"


class Format(StrEnum):
    """Formats they can be written in."""

    MD = "md"
    HTML = "html"


def document(home: Home, update: Update, kind: Kind, form: Format, lang: str) -> str:
    """A document of an update in ``lang``; raises Conflict where it has nothing to tell yet."""
    if kind is Kind.DEPLOYMENT:
        text = deployment_log(log_of(home, update), lang)
    else:
        text = update_record(home, update, lang)
    return page(text, lang) if form is Format.HTML else text


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
