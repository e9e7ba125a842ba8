"""The update record: one document that tells what changed, why, and who agreed (rules P4, G2)."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from tidegate.domain.evidence import Evidence
from tidegate.domain.messages import Frozen, Message, render, say
from tidegate.domain.stage import CHARTERS, Stage
from tidegate.domain.update import Update


class Deed(Frozen):
    """Who did what, when: one line of the ledger that concerns the update."""

    seq: int
    at: str
    actor: str
    kind: str


class Dossier(Frozen):
    """All that a record is written from."""

    update: Update
    evidence: dict[Stage, Evidence]
    history: list[Deed]
    standing: Message
    ledger_root: str


def update_record(dossier: Dossier, lang: str = "en") -> str:
    """The record as Markdown in ``lang`` (``en`` or ``zh``), the same for the same dossier."""
    return template("record.md.j2").render(
        d=dossier,
        u=dossier.update,
        e={str(stage): evidence for stage, evidence in dossier.evidence.items()},
        charters={str(stage): charter for stage, charter in CHARTERS.items()},
        t=lambda text, **values: render(text, values, lang),
        m=lambda message: message.text(lang),
        cell=cell,
        colon=colon(lang),
        number=number,
    )


@cache
def template(name: str) -> jinja2.Template:
    """A document's template, for Markdown: what people wrote goes through ``cell``."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tidegate.governance"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML; cells are escaped by cell
    )
    return environment.get_template(name)


def cell(value: Any) -> str:
    """``value`` made safe for one cell of a Markdown table, or one line of text."""
    text = str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(text.split())


def colon(lang: str) -> str:
    """What stands between a label and its value."""
    return "：" if lang == "zh" else ": "


def number(value: float | None) -> str:
    """A number to four digits, a dash for none."""
    return "-" if value is None else f"{value:.4g}"


#: Headings and labels of the document.
LABELS: Mapping[str, Message] = {
    label.template: label
    for label in (
        say("Update record"),
        say("Model"),
        say("Reason"),
        say("Proposed by"),
        say("Opened"),
        say("Outcome"),
        say("open, before {stage}"),
        say("Version before"),
        say("Version made"),
        say("none"),
        say("Case file digest"),
        say("Team"),
        say("Takes"),
        say("Gives"),
        say("The gate asks"),
        say("Verdict"),
        say("passed"),
        say("refused"),
        say("Evidence"),
        say("not reached"),
        say("Data"),
        say("Rows"),
        say("labelled"),
        say("trained on"),
        say("kept for validation"),
        say("Drift by column"),
        say("Column"),
        say("Effect"),
        say("p (corrected)"),
        say("Drift"),
        say("not judged"),
        say("yes"),
        say("no"),
        say("Strategy"),
        say("Trained on snapshots"),
        say("Parameters"),
        say("Group"),
        say("Frozen"),
        say("Tensors"),
        say("Changed"),
        say("Added"),
        say("Relative step"),
        say("Settings"),
        say("Strategies that compete"),
        say("Trial"),
        say("Window"),
        say("Score"),
        say("Parts"),
        say("Trained on rows"),
        say("Score on them"),
        say("Score on the hold-out"),
        say("Seed"),
        say("Environment"),
        say("Metric"),
        say("Before"),
        say("Now"),
        say("Interval"),
        say("Negative flips"),
        say("Risk"),
        say("Likelihood"),
        say("Impact"),
        say("Why"),
        say("Measure"),
        say("Contingency"),
        say("Approvals"),
        say("Person"),
        say("When"),
        say("Comment"),
        say("Share"),
        say("shadow"),
        say("Champion's answers (bad / labelled)"),
        say("Candidate's answers (bad / labelled)"),
        say("Who did what, when"),
        say("Ledger"),
        say("update.opened"),
        say("update.stage"),
        say("update.waiting"),
        say("update.approved"),
        say("update.refused"),
        say("update.withdrawn"),
        say("update.ended"),
        say("version.created"),
        say("What"),
        say("Root of the ledger when this was written"),
        say("prepare"),
        say("plan"),
        say("train"),
        say("validate"),
        say("assess"),
        say("approve"),
        say("release"),
        say("observe"),
        say("completed"),
        say("rejected"),
        say("rolled_back"),
        say("withdrawn"),
        say("data"),
        say("algorithm"),
        say("engineering"),
        say("business"),
        say("performance"),
        say("reach"),
        say("security"),
        say("reversal"),
        say("full"),
        say("incremental"),
        say("hybrid"),
        say("import"),
        say("note"),
        say("warn"),
        say("refuse"),
    )
}
