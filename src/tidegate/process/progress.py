"""How far a release has come, in sentences for whoever waits for it."""

from datetime import datetime, timedelta

from tidegate.domain.evidence import ValidateEvidence
from tidegate.domain.messages import Message, say
from tidegate.domain.rollout import Deployment, Release
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.ledger.journal import Reader
from tidegate.process.home import Home
from tidegate.process.live import first_labelled, live_score


def progress(home: Home, deployment: Deployment) -> list[Message]:
    """What is in of what the present step, or the observation, needs; empty where none goes on.

    ``deployment``: counted up to the newest label.
    """
    release = deployment.release
    if release is None:
        return []
    with home.journal.read() as reader:
        update = reader.get(Update, release.update)
        expected = _expected(reader, update) if update is not None else None
    if update is None or update.outcome is not None or not update.spec.trains:
        return []
    if release.under_way:
        waits = [release.waits] if release.waits is not None else []
        return [_step(release), *waits, *_unripe(home, update, release)]
    if update.stage is not Stage.OBSERVE or deployment.previous is None:
        return []
    return [_observed(home, update, release, expected)]


def _step(release: Release) -> Message:
    step, tally = release.steps[release.step], release.tallies[release.step]
    values = {
        "step": release.step + 1,
        "steps": len(release.steps),
        "labels": tally.told,
        "needed": step.min_labels,
    }
    if step.shadow:
        return say(
            "step {step} of {steps}: {labels} of {needed} labelled requests that both answered",
            **values,
        )
    return say("step {step} of {steps}: {labels} of {needed} labelled answers", **values)


def _unripe(home: Home, update: Update, release: Release) -> list[Message]:
    """How many labels are in and wait for the age of their answers."""
    minutes = update.spec.policy.rollout.maturity_minutes
    if minutes is None:
        return []
    window, now = timedelta(minutes=minutes), _time(home.journal.now())
    since = release.since.labels if release.since is not None else 0
    waiting = sum(
        _time(one.at) <= _time(one.answered_at) + window > now
        for one in home.log.labelled(update.model, update_id=update.id, after=since)
    )
    if not waiting:
        return []
    return [
        say(
            "{count} labels wait until their answers are {minutes:g} minutes old",
            count=waiting,
            minutes=minutes,
        )
    ]


def _observed(home: Home, update: Update, release: Release, expected: float | None) -> Message:
    """The first labelled answers after the promotion: those that the observation goes by."""
    needed, metric = update.spec.policy.observe.min_labels, update.spec.metric
    first = first_labelled(home, update, release)
    live = live_score(update, first) if expected is not None else None
    if live is None:
        return say(
            "observation: {labels} of {needed} labelled answers", labels=len(first), needed=needed
        )
    return say(
        "observation: {labels} of {needed} labelled answers; {metric} {live:.4g} so far, "
        "{expected:.4g} was expected",
        labels=len(first),
        needed=needed,
        metric=say(metric.name),
        live=live.value,
        expected=expected,
    )


def _expected(reader: Reader, update: Update) -> float | None:
    """The score of validation."""
    digest = update.evidence_digest(Stage.VALIDATE)
    found = reader.evidence(digest) if digest and update.spec.trains else None
    if not isinstance(found, ValidateEvidence):
        return None
    return found.candidate[update.spec.metric.name].value


def _time(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
