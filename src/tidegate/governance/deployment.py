"""The deployment log: how a release went, step by step, and what ended it (rules S4, G2)."""

from collections.abc import Mapping
from datetime import datetime

from tidegate.domain.evidence import ObserveEvidence
from tidegate.domain.messages import Frozen, Message, render, say
from tidegate.domain.people import Approval
from tidegate.domain.rollout import Step, Tally
from tidegate.domain.update import Finding, Update
from tidegate.governance.record import Deed, cell, colon, number, template

#: Who does what no person has asked for: the record holds whom the program ran as.
_BY_ITSELF = {
    "release.step": "the judge, run by {person}",
    "release.promoted": "the judge, run by {person}",
    "release.rolled_back": "the judge, run by {person}",
    "release.followed": "a gateway, run by {person}",
}

_MORE = (
    "The candidate answered {answered:,} requests. Of {labelled:,} that were labelled, {bad:,} "
    "were bad: {excess:,} more than the champion's answers say its share would have brought. It "
    "failed {failed:,}, which the champion answered."
)
_FEWER = (
    "The candidate answered {answered:,} requests. Of {labelled:,} that were labelled, {bad:,} "
    "were bad: {excess:,} fewer than the champion's answers say its share would have brought. It "
    "failed {failed:,}, which the champion answered."
)
_UNSEEN = (
    "In its shadow it met nobody: of {pairs:,} labelled requests that both answered, {ours:,} of "
    "its answers were bad and {theirs:,} of the champion's. It failed {failed:,}."
)


class Named(Frozen):
    """A version and the id of its parameters."""

    name: str
    params: str


class StepLog(Frozen):
    """A step that was begun: when, what it saw, and the evidence of harm up to it, of a shadow's
    pairs or of the answers on traffic.

    ``answers`` counts those given, champion's and candidate's; ``tally`` those with a label.
    """

    plan: Step
    began_at: str
    ended_at: str | None
    answers: tuple[int, int]
    tally: Tally
    harm: float


class DeploymentLog(Frozen):
    """All that a deployment log is written from; times are ISO 8601, None where unknown.

    ``harm`` is the e-value that counts, ``line`` the one that policy acts at. ``ended_at``: when
    the canary ended, either way; ``label_at``: when the label that rolled it back came in;
    ``taken_back``: who went back from the version after that, and why; ``back_at``: when the record
    took it off traffic, then or later; ``followed_at``: when every gateway that ran routed by that.
    """

    update: Update
    before: Named | None
    released: Named
    production: Named | None
    approved_digest: str
    approvals: list[Approval]
    plan: list[Step]
    steps: list[StepLog]
    alpha: float
    harm: float
    as_good: float | None
    findings: list[Finding]
    observed: ObserveEvidence | None
    began_at: str
    ended_at: str | None
    ended_by: str | None
    taken_back: list[Message]
    label_at: str | None
    back_at: str | None
    followed_at: str | None
    gateways: list[str]
    standing: Message
    history: list[Deed]
    ledger_root: str

    @property
    def line(self) -> float:
        """The e-value that policy acts at."""
        return 1 / self.alpha

    @property
    def excess(self) -> float:
        """Bad answers of the candidate beyond what the champion's say its share would bring."""
        return sum(step.tally.excess for step in self.steps)

    def met(self) -> list[Message]:
        """Whom the candidate answered, and how well; of its shadow, which met nobody, apart."""
        told = list[Message]()
        live = [step for step in self.steps if not step.tally.shadow]
        if live:
            tallies = [step.tally for step in live]
            values = {
                "answered": sum(step.answers[1] for step in live),
                "labelled": sum(tally.candidate_labels for tally in tallies),
                "bad": sum(tally.candidate_bad for tally in tallies),
                "excess": abs(round(self.excess)),
                "failed": sum(tally.candidate_failures for tally in tallies),
            }
            told.append(say(_MORE if round(self.excess) >= 0 else _FEWER, **values))
        unseen = [step.tally for step in self.steps if step.tally.shadow]
        if unseen:
            values = {
                "pairs": sum(tally.told for tally in unseen),
                "ours": sum(tally.candidate_bad for tally in unseen),
                "theirs": sum(tally.champion_bad for tally in unseen),
                "failed": sum(tally.candidate_failures for tally in unseen),
            }
            told.append(say(_UNSEEN, **values))
        return told

    def doer(self, deed: Deed) -> Message:
        """Who did it: a person; or Tidegate by itself, run by somebody.

        What follows at once from a person's word is that person's deed.
        """
        told = [one for one in self.history if one.kind != "release.followed"]
        before = [one for one in told if one.seq < deed.seq][-1:]
        asked = deed in told and any(
            one.kind.endswith("_by_hand") and one.actor == deed.actor for one in before
        )
        template = "{person}" if asked else _BY_ITSELF.get(deed.kind, "{person}")
        return say(template, person=deed.actor)


def deployment_log(log: DeploymentLog, lang: str = "en") -> str:
    """The log as Markdown in ``lang`` (``en`` or ``zh``), the same for the same release."""
    return template("deployment.md.j2").render(
        d=log,
        u=log.update,
        t=lambda text, **values: render(text, values, lang),
        m=lambda message: message.text(lang),
        cell=cell,
        number=number,
        share=lambda of: render("shadow", {}, lang) if of.shadow else f"{of.share:.0%}",
        colon=colon(lang),
        moment=moment,
        after=after,
    )


def moment(at: str | None) -> str:
    """A time of the record to the millisecond, in UTC.

    >>> moment("2026-03-01T08:15:00.250+00:00")
    '2026-03-01 08:15:00.250'
    """
    return "-" if at is None else at.partition("+")[0].replace("T", " ")


def after(one: str | None, other: str | None) -> str:
    """How long after ``one`` the ``other`` is.

    >>> after("2026-03-01T08:15:00.250+00:00", "2026-03-01T08:15:00.275+00:00")
    '0.025 s'
    """
    if one is None or other is None:
        return "-"
    gone = datetime.fromisoformat(other) - datetime.fromisoformat(one)
    return f"{gone.total_seconds():.3f} s"


#: Headings and labels of the document, beside those it shares with the update record.
LABELS: Mapping[str, Message] = {
    label.template: label
    for label in (
        say("Deployment log"),
        say("Version released"),
        say("In production now"),
        say("Began"),
        say("Ended"),
        say("approved by no one: policy lets a tier this low pass"),
        say("They signed the case file {digest}; at the release it was {now}."),
        say("Plan"),
        say("Step"),
        say("Labels it needs"),
        say("Minutes at least"),
        say(
            "It goes back when the evidence of harm reaches {line:g} to 1, which a harmless "
            "version does with a chance of at most {alpha:.2%}, however often one looks."
        ),
        say("Steps"),
        say("Answers given (champion + candidate)"),
        say("Requests it failed"),
        say("Evidence of harm"),
        say(
            "Evidence of harm: by how much the labelled answers of all steps up to this one speak "
            "for harm, to 1; in a shadow, those that both gave. Late labels count for their step. "
            "The evidence at the end is the mean of the shadow's and of that on traffic, and of "
            "that by segment, latency and kind of answer where policy asks for them."
        ),
        say("no step: there was no traffic to compare on"),
        say("What ended it"),
        say("By hand"),
        say("not ended: it is on traffic"),
        say(
            "At the end the evidence of harm was {harm:.3g} to 1; policy acts at {line:g} to 1. "
            "The evidence that it is no worse was {as_good}."
        ),
        say("not asked for"),
        say("Who met it"),
        say("Way back"),
        say("The last label that was judged came in"),
        say("The record took it off traffic"),
        say("Every gateway routed by that"),
        say("not confirmed: no gateway ran, or one has not followed"),
        say("After it"),
        say("release.started"),
        say("release.step"),
        say("release.step_cleared"),
        say("release.promoted"),
        say("release.promoted_by_hand"),
        say("release.rolled_back"),
        say("release.stopped_by_hand"),
        say("release.rolled_back_by_hand"),
        say("release.followed"),
        say("Observation"),
        say("live {metric} {live:.4g} over {labels:,} labels; {expected:.4g} was expected"),
    )
}
