"""Gathers what a deployment log is written from: the record, and the log of predictions."""

from typing import TypeVar

from tidegate.domain.errors import Conflict
from tidegate.domain.evidence import ApproveEvidence, ObserveEvidence, ReleaseEvidence
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.rollout import Deployment, Release
from tidegate.domain.stage import Stage
from tidegate.domain.update import Finding, Update
from tidegate.governance.deployment import DeploymentLog, Named, StepLog
from tidegate.governance.record import Deed
from tidegate.ledger.event import Event
from tidegate.ledger.journal import Reader
from tidegate.monitoring.events import answered
from tidegate.process.canary import catch_up
from tidegate.process.following import BACK_BY_HAND, FOLLOWED, WENT_BACK
from tidegate.process.history import find_version
from tidegate.process.home import Home
from tidegate.process.updates import describe
from tidegate.release.judge import harm_e_value, shadow_e_value

E = TypeVar("E", bound=Frozen)

STARTED, STEP = "release.started", "release.step"
#: Events with which a canary's traffic ends.
_ENDS = ("release.promoted", "release.promoted_by_hand", *WENT_BACK)


def log_of(home: Home, update: Update) -> DeploymentLog:
    """What the deployment log of an update tells; raises Conflict where it was never released."""
    with home.journal.read() as reader:
        events = _of_release(reader, update)
        deployment = reader.get(Deployment, update.model) or Deployment(model=update.model)
    release = deployment.release
    if release is not None and release.update == update.id and update.outcome is None:
        release = catch_up(home, update.spec, release)
    with home.journal.read() as reader:
        return _log(home, reader, update, deployment, release, events)


def _of_release(reader: Reader, update: Update) -> list[Event]:
    """Events of the model's deployment, from this release's start to before the next one's."""
    events = reader.events(subject=("deployment", update.model))
    starts = [e for e in events if e.kind == STARTED]
    mine = next((e for e in starts if e.note.get("update") == update.id), None)
    if mine is None:
        raise Conflict(
            "update {update} has not been released, so there is no deployment to tell of",
            do="see where it stands with: tidegate update show {update}",
            update=update.id,
        )
    following = next((e.seq for e in starts if e.seq > mine.seq), None)
    return [e for e in events if mine.seq <= e.seq and (following is None or e.seq < following)]


def _log(
    home: Home, reader: Reader, update: Update, deployment: Deployment,
    release: Release | None, events: list[Event],
) -> DeploymentLog:  # fmt: skip
    told = _evidence(reader, update, Stage.RELEASE, ReleaseEvidence)
    told = told or _so_far(update, release)
    observed = _evidence(reader, update, Stage.OBSERVE, ObserveEvidence)
    if observed is not None and observed.tallies:  # with the labels that came after its promotion
        told = told.model_copy(update={"tallies": observed.tallies, "harm": observed.harm})
    before, now = told.champion, deployment.champion
    approved = _evidence(reader, update, Stage.APPROVE, ApproveEvidence)
    ended = next((e for e in events if e.kind in _ENDS), None)
    back = next((e for e in events if e.kind in WENT_BACK), None)
    followed = next((e for e in events if back and e.seq > back.seq and e.kind == FOLLOWED), None)
    return DeploymentLog(
        update=update,
        before=_named(reader, update.model, before) if before is not None else None,
        released=_named(reader, update.model, told.candidate),
        production=_named(reader, update.model, now) if now is not None else None,
        approved_digest=told.approved_digest,
        approvals=approved.approvals if approved else [],
        plan=told.steps,
        steps=_steps(home, update, told, events, ended),
        alpha=told.alpha or update.spec.policy.rollout.alpha,
        harm=told.harm,
        as_good=told.as_good,
        findings=_findings(update),
        observed=observed,
        began_at=events[0].at,
        ended_at=ended.at if ended else None,
        taken_back=_taken_back(reader, update),
        ended_by=next((e.actor for e in events if e.kind.endswith("_by_hand")), None),
        label_at=_last_label(home, update, told) if back and back is ended else None,
        back_at=back.at if back else None,
        followed_at=followed.at if followed else None,
        gateways=list(followed.note["gateways"]) if followed else [],
        standing=describe(home, update),
        history=[Deed(seq=e.seq, at=e.at, actor=e.actor, kind=e.kind) for e in events],
        ledger_root=reader.root(),
    )


def _taken_back(reader: Reader, update: Update) -> list[Message]:
    """Who went back from the version after its release had ended, to which one, and why."""
    events = reader.events(subject=("deployment", update.model))
    return [
        say(
            "{person} went back from it to {version}: {reason}",
            person=event.actor,
            version=f"{update.model}@{event.note['to']}",
            reason=event.note["reason"],
        )
        for event in events
        if event.kind == BACK_BY_HAND and event.note.get("from") == update.number
    ]


def _evidence(reader: Reader, update: Update, stage: Stage, type_: type[E]) -> E | None:
    digest = update.evidence_digest(stage)
    found = reader.evidence(digest) if digest else None
    return found if isinstance(found, type_) else None


def _so_far(update: Update, release: Release | None) -> ReleaseEvidence:
    """A release under way, as its evidence would tell it now."""
    assert release is not None  # noqa: S101 - it began and has not ended
    return ReleaseEvidence(
        candidate=release.candidate,
        champion=release.champion,
        approved_digest=update.case_digest,
        digest=update.case_digest,
        steps=release.steps,
        tallies=release.tallies,
        harm=release.harm,
        as_good=release.as_good,
        alpha=release.alpha,
    )


def _named(reader: Reader, model: str, number: int) -> Named:
    version = find_version(reader, model, number)
    return Named(name=version.name, params=version.params)


def _steps(
    home: Home, update: Update, told: ReleaseEvidence, events: list[Event], ended: Event | None
) -> list[StepLog]:
    begun = [e.at for e in events if e.kind in (STARTED, STEP)]
    ends = [*begun[1:], ended.at if ended else None]
    given = answered(home.database, update.id)
    return [
        StepLog(
            plan=told.steps[place],
            began_at=begun[min(place, len(begun) - 1)],
            ended_at=ends[min(place, len(ends) - 1)],
            answers=(given.get((place, "champion"), 0), given.get((place, "candidate"), 0)),
            tally=tally,
            harm=evidence(told.tallies[: place + 1]),
        )
        for place, tally in enumerate(told.tallies)
        for evidence in [shadow_e_value if tally.shadow else harm_e_value]
    ]


def _findings(update: Update) -> list[Finding]:
    """What the gates of the release and of the observation found."""
    live = [filed for filed in update.filed if filed.stage in (Stage.RELEASE, Stage.OBSERVE)]
    return [finding for filed in live for finding in filed.verdict.findings]


def _last_label(home: Home, update: Update, told: ReleaseEvidence) -> str | None:
    """When the last label that was judged came in; None where labels were judged by their age, as
    another order is theirs then, or where there was none."""
    count = sum(tally.labels for tally in told.tallies)
    if count == 0 or update.spec.policy.rollout.maturity_minutes is not None:
        return None
    labels = home.log.labelled(update.model, update_id=update.id, limit=count)
    *_, last = labels
    return last.at
