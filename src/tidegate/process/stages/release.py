"""Release: the approved version meets real traffic, a growing share at a time."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tidegate.domain.compatibility import differences
from tidegate.domain.errors import Incompatible
from tidegate.domain.evidence import (
    ApproveEvidence,
    ReleaseEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.messages import Message, say
from tidegate.domain.metrics import Task
from tidegate.domain.rollout import Deployment, Release, ReleaseStatus, promoted
from tidegate.domain.segments import Segment, as_segment
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.monitoring import events
from tidegate.params.checkout import load_manifest
from tidegate.params.repack import shorten
from tidegate.process.canary import catch_up
from tidegate.process.case import Case, Done, First, Waiting, Write
from tidegate.process.history import find_version
from tidegate.process.home import Home
from tidegate.process.ready import ready
from tidegate.process.standing import waiting_for
from tidegate.process.watch import known_before
from tidegate.release.controller import Move, apply, decide, start
from tidegate.release.signals import classes, edges, segments, slow_above

#: Fewer answers of the champion do not tell where its slowest, or rarest, hundredth begins.
MIN_KNOWN = 500


def run(case: Case) -> Done | First | Waiting:
    """Starts the release, judges what traffic has shown since, and ends it when decided."""
    home, update = case.home, case.update
    deployment = current(home, update.model)
    release = deployment.release
    if release is None or release.update != update.id:
        if release is not None and release.under_way:
            return Waiting(say("update {other} is on traffic; one at a time", other=release.update))
        other = _unfinished(home, release)
        if other is not None and other.stage is Stage.RELEASE:
            return First(other.id)  # a person ended it, and that is to be brought to its end
        approved = case.earlier(Stage.APPROVE, ApproveEvidence).digest == update.case_digest
        unfit = _unfit(case) if approved else []
        if overtaken_by(home, update) is not None or not approved or unfit:
            # The gate will say why; nothing goes on traffic.
            return Done(_evidence(case, None, deployment.champion, unfit))
        if other is not None:
            _supersede(case, deployment)
            return First(other.id)
        deployment = _start(case, deployment)
    assert deployment.release is not None  # noqa: S101 - just started, or found
    judged = _judged(case, deployment.release)
    if not judged.under_way:
        return _end(case, deployment, judged)
    if judged.step != deployment.release.step:
        with home.journal.write(home.actor) as tx:
            moved = deployment.model_copy(update={"release": judged})
            tx.put(moved, "release.step", was=deployment, note={"step": judged.step})
    return Waiting(waiting_for(judged))


def _unfinished(home: Home, release: Release | None) -> Update | None:
    """The update of the last release, where it has not ended."""
    if release is None:
        return None
    with home.journal.read() as reader:
        other = reader.get(Update, release.update)
    return other if other is not None and other.outcome is None else None


def _supersede(case: Case, deployment: Deployment) -> None:
    """End the observation of the version in production: another one's release begins."""
    release = deployment.release
    assert release is not None  # noqa: S101 - it is what is observed
    if release.superseded_by is None and release.status is ReleaseStatus.PROMOTED:
        ended = release.model_copy(update={"superseded_by": case.update.number})
        with case.home.journal.write(case.home.actor) as tx:
            changed = deployment.model_copy(update={"release": ended})
            note = {"update": release.update, "by": case.update.id}
            tx.put(changed, "release.superseded", was=deployment, note=note)


def _judged(case: Case, release: Release) -> Release:
    """The release after every label; one that a person ended keeps what was known when they did.

    A version that a person promotes goes back all the same where the labels until then say so.
    """
    home, spec = case.home, case.update.spec
    judged = catch_up(home, spec, release, late=not release.under_way)
    if judged.status is ReleaseStatus.PROMOTED and judged.tallies:
        now = home.journal.now()
        decision = decide(judged, spec.policy.rollout, now)
        if decision.move is Move.ROLL_BACK:
            return apply(judged, decision, now)
    return judged


def _unfit(case: Case) -> list[Message]:
    """Why the candidate cannot answer here; empty where it can, and then it is at hand.

    What is on traffic, and what was before, must be back at once: its blocks are stored no more
    than one difference away from an anchor.
    """
    home, update = case.home, case.update
    trained = case.earlier(Stage.TRAIN, TrainEvidence)
    try:
        if update.spec.trains:
            ready(home, update.model, update.number)
    except Incompatible as problem:
        return [say(problem.what, **problem.values)]
    if not update.spec.trains and trained.parent_params is not None:
        was, now = (load_manifest(home.objects, p) for p in (trained.parent_params, trained.params))
        unfit = [each for each in differences(was, now) if each not in trained.differences]
        if unfit:
            return unfit
    shorten(home.objects, trained.params)
    return []


def current(home: Home, model: str) -> Deployment:
    """What is in production for a model."""
    with home.journal.read() as reader:
        return reader.get(Deployment, model) or Deployment(model=model)


def overtaken_by(home: Home, update: Update) -> int | None:
    """The version that went into production since the update was opened, if one did.

    None where it has the parameters of the one before: what was compared still holds.
    """
    champion = current(home, update.model).champion
    if champion == update.champion or _same_parameters(home, update, champion):
        return None
    return champion


def _same_parameters(home: Home, update: Update, champion: int | None) -> bool:
    if champion is None or update.champion is None:
        return False
    with home.journal.read() as reader:
        one, other = (
            find_version(reader, update.model, number) for number in (champion, update.champion)
        )
    return one.params == other.params


def _start(case: Case, deployment: Deployment) -> Deployment:
    update = case.update
    validated = case.earlier(Stage.VALIDATE, ValidateEvidence)
    before = deployment.release
    with case.home.journal.write(case.home.actor) as tx:
        release = start(
            update.id,
            candidate=update.number,
            # Parameters that nothing serves meet no traffic, so no champion is compared with.
            champion=update.champion if update.spec.trains else None,
            policy=update.spec.policy.rollout,
            bad_above=validated.bad_above,
            now=tx.now,
            spent=before.spent if before is not None else 0.0,
            slow_above=_slow_above(case),
            bands=_bands(case),
            since=case.home.log.places(),
            segments=_segments(case, validated),
        )
        started = deployment.model_copy(update={"release": release})
        was = deployment if tx.get(Deployment, update.model) is not None else None
        tx.put(started, "release.started", was=was, note={"update": update.id})
    return started


def _slow_above(case: Case) -> list[float]:
    """Limits of latency, from the champion's answers so far; none where those are too few."""
    update = case.update
    if not update.spec.policy.rollout.latency or update.champion is None:
        return []
    known = events.latencies(case.home.database, update.model, update.champion)
    return slow_above(known) if len(known) >= MIN_KNOWN else []


def _bands(case: Case) -> list[Any]:
    """Classes, or edges of ranges, of the champion's answers so far; none where those are few."""
    update = case.update
    if update.spec.policy.rollout.answers_beyond is None or update.champion is None:
        return []
    known = events.answers(case.home.database, update.model, update.champion)
    if len(known) < MIN_KNOWN:
        return []
    return edges(known) if update.spec.task is Task.REGRESSION else classes(known)


def _segments(case: Case, validated: ValidateEvidence) -> list[Segment]:
    """Segments that are judged alone: of the champion's answers so far, or where these are few, of
    the hold-out. None where a splitter outside sends the requests: they take the share."""
    update, columns = case.update, case.update.spec.segments
    if not columns or update.champion is None or not update.spec.policy.rollout.shares_known:
        return []
    known = events.features(case.home.database, update.model, update.champion)
    if len(known) >= MIN_KNOWN:
        rows = [json.loads(row) for row in known]
        return segments({c: Counter(as_segment(row.get(c)) for row in rows) for c in columns})
    held_out = {
        column: {
            as_segment(score.segment.removeprefix(f"{column}=")): score.rows
            for score in validated.segments
            if score.segment.startswith(f"{column}=")
        }
        for column in columns
    }
    return segments(held_out)


def _end(case: Case, deployment: Deployment, release: Release) -> Done:
    if release.status is ReleaseStatus.PROMOTED:
        before = known_before(case.home, case.update.spec, release)
        release = release.model_copy(update={"before": before})
        ended = promoted(deployment.model_copy(update={"release": release}))
    else:
        ended = deployment.model_copy(update={"release": release})
    event = f"release.{release.status}"
    evidence = _evidence(case, release, deployment.champion)
    return Done(evidence, [Write(ended, event, was=deployment)])


def _evidence(
    case: Case, release: Release | None, champion: int | None, unfit: Sequence[Message] = ()
) -> ReleaseEvidence:
    update: Update = case.update
    approved = case.earlier(Stage.APPROVE, ApproveEvidence)
    facts: dict[str, Any] = {
        "candidate": update.number,
        "champion": champion,
        "validated_against": update.champion,
        "same_champion": champion != update.champion
        and _same_parameters(case.home, update, champion),
        "approved_digest": approved.digest,
        "digest": update.case_digest,
        "incompatible": list(unfit),
    }
    if release is not None:
        facts |= {
            "steps": release.steps,
            "tallies": release.tallies,
            "harm": release.harm,
            "harm_in": release.harm_in,
            "segments": release.segments,
            "as_good": release.as_good,
            "alpha": release.alpha,
            "promoted_by": release.promoted_by,
            "stopped_by": release.stopped_by,
            "reason": release.reason,
        }
    return ReleaseEvidence.model_validate(facts)
