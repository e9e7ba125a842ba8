"""Observe: whether the promoted version keeps on live traffic what validation promised."""

from datetime import datetime

from tidegate.domain.evidence import ObserveEvidence, ValidateEvidence
from tidegate.domain.gates import gate
from tidegate.domain.messages import Message, say
from tidegate.domain.rollout import Deployment, Release, ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.validation import Interval
from tidegate.process.case import Case, Done, Waiting, Write
from tidegate.process.live import first_labelled, live_score
from tidegate.process.stages.release import current
from tidegate.process.watch import watched


def run(case: Case) -> Done | Waiting:
    """Whether harm shows after all, and the live metric against the expected one, once enough
    labels are in."""
    update, policy = case.update, case.update.spec.policy.observe
    deployment = current(case.home, update.model)
    release = deployment.release
    assert release is not None  # noqa: S101 - the release stage wrote it
    if release.update != update.id:  # what was seen until then went with its release
        return Done(ObserveEvidence(superseded_by=release.candidate))
    evidence = ObserveEvidence(
        closed_by=release.closed_by,
        superseded_by=release.superseded_by,
        stopped_by=release.stopped_by,
        reason=release.reason,
    )
    stopped = release.stopped_by is not None
    # Behind a first version there is nothing to fall back to, so a watch could decide nothing.
    before = release.champion if stopped else deployment.previous
    if not update.spec.trains or policy.min_labels == 0 or before is None:
        return _done(case, deployment, release, evidence)
    late, after = watched(case.home, update.spec, release)
    evidence = evidence.model_copy(
        update={
            "harm": late.harm,
            "harm_in": late.harm_in,
            "alpha": release.alpha,
            "tallies": late.tallies,
            "before": release.before,
            "after": after,
        }
    )
    if not gate(update.spec, evidence).passed:
        return _done(case, deployment, late, evidence)
    first = first_labelled(case.home, update, release)
    waits = _waits(case, release, len(first))
    if waits is not None and release.closed_by is None and release.superseded_by is None:
        return Waiting(waits)
    nulls = sum(answer.prediction is None for answer in first)
    evidence = evidence.model_copy(update={"nulls": nulls})
    live = live_score(update, first)
    if live is not None:
        evidence = _compared(case, evidence, live, len(first) - nulls)
    return _done(case, deployment, late, evidence)


def _waits(case: Case, release: Release, labels: int) -> Message | None:
    """What the watch still waits for."""
    policy, version = case.update.spec.policy.observe, case.update.number
    if labels < policy.min_labels:
        return say(
            "version {version} is in production, watched until {needed} answers are labelled",
            version=version,
            needed=policy.min_labels,
        )
    began = release.ended_at or release.started_at
    now, since = (datetime.fromisoformat(at) for at in (case.home.journal.now(), began))
    if (now - since).total_seconds() < 60 * policy.min_minutes:
        return say(
            "version {version} is in production, watched for {minutes:g} minutes at least",
            version=version,
            minutes=policy.min_minutes,
        )
    return None


def _compared(
    case: Case, evidence: ObserveEvidence, live: Interval, labels: int
) -> ObserveEvidence:
    """The evidence with the live metric over so many labelled answers."""
    expected, metric = case.earlier(Stage.VALIDATE, ValidateEvidence), case.update.spec.metric
    return evidence.model_copy(
        update={
            "labels": labels,
            "metric": metric.name,
            "greater_is_better": metric.greater_is_better,
            "live": live,
            "expected": expected.candidate[metric.name].value,
        }
    )


def _done(case: Case, deployment: Deployment, release: Release, evidence: ObserveEvidence) -> Done:
    """The evidence; where the gate will refuse it, with the version before put back, unless a
    person did that already."""
    seen = deployment.model_copy(update={"release": release})
    if gate(case.update.spec, evidence).passed:
        if release.closed_by is None or seen == deployment:
            return Done(evidence)
        return Done(evidence, [Write(seen, "release.observed", was=deployment)])
    if release.status is ReleaseStatus.ROLLED_BACK:
        return Done(evidence, [Write(seen, "release.rolled_back", was=deployment)])
    back = deployment.model_copy(
        update={
            "champion": deployment.previous,
            "previous": None,
            "release": release.model_copy(update={"status": ReleaseStatus.ROLLED_BACK}),
        }
    )
    return Done(evidence, [Write(back, "release.rolled_back", was=deployment)])
