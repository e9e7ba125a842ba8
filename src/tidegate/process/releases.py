"""What people do to a release by hand: promote it, or take it back."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tidegate.domain.errors import Conflict, WrongUsage
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Role
from tidegate.domain.rollout import Deployment, Release, ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome, Update
from tidegate.ledger.journal import Reader
from tidegate.monitoring.gateways import behind
from tidegate.process.history import find_version
from tidegate.process.home import Home


def promote(home: Home, model: str) -> str:
    """End the canary, or the observation, of the release under way; gives the update's id.

    The record keeps who did it. The runner finishes the stage.
    """
    with home.journal.write(home.actor) as tx:
        home.require(tx, Role.OPERATOR)
        home.spec(tx, model)
        deployment, release, update = _under_way(tx, model)
        if update.stage is Stage.RELEASE:
            change = {
                "status": ReleaseStatus.PROMOTED,
                "promoted_by": home.actor,
                "ended_at": tx.now,
            }
        else:
            change = {"closed_by": home.actor}
        changed = deployment.model_copy(update={"release": release.model_copy(update=change)})
        tx.put(changed, "release.promoted_by_hand", was=deployment, note={"update": update.id})
    return update.id


def clear_step(home: Home, model: str) -> str:
    """Let the next step of the canary begin, once it is due; gives the update's id.

    The record keeps who did it. The runner takes the step. Raises Conflict where the canary goes
    on by itself, or is over.
    """
    with home.journal.write(home.actor) as tx:
        home.require(tx, Role.OPERATOR)
        home.spec(tx, model)
        deployment, release, update = _under_way(tx, model)
        if not release.under_way or not update.spec.policy.rollout.by_hand:
            raise Conflict(
                "no step of model '{model}' waits for a person",
                do="leave out --step to end the canary, or the observation, by hand",
                model=model,
            )
        changed = deployment.model_copy(
            update={"release": release.model_copy(update={"cleared": release.step + 1})}
        )
        note = {"update": update.id, "step": release.step + 1}
        tx.put(changed, "release.step_cleared", was=deployment, note=note)
    return update.id


class RolledBack(Deployment):
    """What is in production after a rollback, and the version that was taken back."""

    taken_back: int | None = None


class Recorded(NamedTuple):
    """A rollback that is recorded: the version it takes back, and the update that thereby ends, to
    be finished by the runner; None where the champion was simply changed back."""

    taken_back: int | None
    update: str | None = None


def roll_back(home: Home, model: str, reason: str, to: int | None = None) -> Recorded:
    """Take the candidate off traffic, or go back to an earlier version.

    Raises Conflict where, without ``to``, the last release went back already.
    """
    with home.journal.write(home.actor) as tx:
        home.require(tx, Role.OPERATOR)
        home.spec(tx, model)
        deployment = tx.get(Deployment, model) or Deployment(model=model)
        update = _open_release(tx, deployment)
        if update is not None and deployment.release is not None and to is None:
            if deployment.release.status is ReleaseStatus.ROLLED_BACK:
                # That was recorded, and is to be finished.
                return Recorded(deployment.release.candidate, update.id)
            changed = _stopped(deployment, deployment.release, update, home.actor, reason, tx.now)
            tx.put(changed, "release.stopped_by_hand", was=deployment, note={"reason": reason})
            return Recorded(deployment.release.candidate, update.id)
        if update is not None:
            raise Conflict(
                "update {update} is on traffic",
                do="first roll it back, without --to",
                update=update.id,
            )
        if to is None:
            _check_not_back(deployment)
        target = _target(tx, deployment, to)
        changed = deployment.model_copy(update={"champion": target, "previous": None})
        note = {"reason": reason, "from": deployment.champion, "to": target}
        tx.put(changed, "release.rolled_back_by_hand", was=deployment, note=note)
    return Recorded(deployment.champion)


def _check_not_back(deployment: Deployment) -> None:
    """Raise Conflict where the last release went back: who says so again means that one."""
    release, champion = deployment.release, deployment.champion
    if release is None:
        return
    if release.status is ReleaseStatus.ROLLED_BACK or champion != release.candidate:
        raise Conflict(
            "version {version} was taken back already, and {champion} is in production",
            do="to go back further: tidegate release rollback {model} --to VERSION --reason TEXT",
            version=release.candidate,
            champion=f"{deployment.model}@{champion}" if champion else say("nothing"),
            model=deployment.model,
        )


def _stopped(
    deployment: Deployment, release: Release, update: Update, actor: str, reason: str, now: str
) -> Deployment:
    """The deployment with the release's version off traffic at once. What is known of it by then is
    brought on afterwards, by the runner."""
    stopped: dict[str, Any] = {
        "status": ReleaseStatus.ROLLED_BACK,
        "stopped_by": actor,
        "reason": say("{reason}", reason=reason),
    }
    if update.stage is Stage.RELEASE:
        stopped["ended_at"] = now
        return deployment.model_copy(update={"release": release.model_copy(update=stopped)})
    return deployment.model_copy(
        update={
            "champion": deployment.previous,
            "previous": None,
            "release": release.model_copy(update=stopped),
        }
    )


#: How long gateways are given to follow a rollback.
CONFIRM_SECONDS = 5.0


def confirm(home: Home, model: str, ran: Sequence[str] = ()) -> None:
    """Wait until every gateway routes a model by the record as it is; raises Conflict naming those
    that do not in time: they may still answer with what was taken back.

    ``ran``: gateways that ran when it was recorded. One that has fallen silent since is waited for
    as well, unless it has said that it stops.
    """
    with home.journal.read() as reader:
        size, deployment = reader.size(), reader.get(Deployment, model)
    late = behind(home.database, size, CONFIRM_SECONDS, deployment, ran)
    if late:
        raise Conflict(
            "the rollback is recorded, and these gateways have not followed it in {seconds:g} s: "
            "{names}",
            do="look after them: they may still answer with the version that was taken back",
            seconds=CONFIRM_SECONDS,
            names=late,
        )


def _under_way(reader: Reader, model: str) -> tuple[Deployment, Release, Update]:
    deployment = reader.get(Deployment, model) or Deployment(model=model)
    update = _open_release(reader, deployment)
    release = deployment.release
    if update is None or release is None or release.status is ReleaseStatus.ROLLED_BACK:
        spec = reader.get(ModelSpec, model)
        trains = spec is None or spec.trains
        raise Conflict(
            "model '{model}' has no release under way",
            do="start an update with: tidegate update start {model}"
            if trains
            else "bring new parameters in with: tidegate params import {model} FILE --reason TEXT",
            model=model,
        )
    return deployment, release, update


def _open_release(reader: Reader, deployment: Deployment) -> Update | None:
    if deployment.release is None:
        return None
    update = reader.get(Update, deployment.release.update)
    return update if update is not None and update.outcome is None else None


def _target(reader: Reader, deployment: Deployment, to: int | None) -> int:
    """The version to go back to: only one that was in production, by an update that completed or
    whose observation another release ended."""
    number = to if to is not None else deployment.previous
    if number is None:
        raise WrongUsage(
            "model '{model}' has no version to go back to",
            do="name one that was in production with --to",
            model=deployment.model,
        )
    update = reader.get(Update, find_version(reader, deployment.model, number).update)
    superseded = update is not None and update.outcome is None and update.stage is Stage.OBSERVE
    if update is None or not (superseded or update.outcome is Outcome.COMPLETED):
        raise Conflict(
            "version {version} was never in production by a completed update",
            do="only an approved version goes back to production; start an update instead",
            version=number,
        )
    return number
