"""Moves an update from gate to gate: each finished stage is one transaction, so a killed run
resumes at the stage it was in and never does a finished one twice."""

from collections.abc import Callable

from tidegate.domain.errors import Changed, Conflict, NotFound, TidegateError
from tidegate.domain.gates import gate
from tidegate.domain.messages import say
from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome, Update, Verdict, advance
from tidegate.process.case import Case, Done, First, Waiting
from tidegate.process.home import Home
from tidegate.process.stages import (
    approve,
    assess,
    observe,
    plan,
    prepare,
    release,
    train,
    validate,
)

STAGES: dict[Stage, Callable[[Case], Done | First | Waiting]] = {
    Stage.PREPARE: prepare.run,
    Stage.PLAN: plan.run,
    Stage.TRAIN: train.run,
    Stage.VALIDATE: validate.run,
    Stage.ASSESS: assess.run,
    Stage.APPROVE: approve.run,
    Stage.RELEASE: release.run,
    Stage.OBSERVE: observe.run,
}

#: How often in a row a stage may lose to other processes that write at the same moment.
MOST_LOST = 20

#: Called after each finished stage.
Watcher = Callable[[Update, Verdict], None]


def find_update(home: Home, update_id: str) -> Update:
    """The case file; raises NotFound."""
    with home.journal.read() as reader:
        update = reader.get(Update, update_id)
    if update is None:
        raise NotFound(
            "there is no update '{update}'",
            do="see those there are with: tidegate update list",
            update=update_id,
        )
    return update


def run(home: Home, update_id: str, watch: Watcher | None = None) -> Update:
    """The update, taken as far as it goes: to its end, or to where it must wait; by this process,
    or by another one that works on it at the same time: what that one wrote stands, and it goes on
    from there. Raises Changed where others are quicker again and again."""
    lost = 0
    while True:
        update = find_update(home, update_id)
        if update.outcome is not None:
            return update
        try:
            result = _stage(home, update)
            if isinstance(result, First):
                run(home, result.update, watch)
                continue
            if isinstance(result, Waiting):
                return _wait(home, update, result)
            update, lost = _finish(home, update, result), 0
        except Changed:
            lost += 1
            if lost > MOST_LOST:
                raise
            continue
        if watch is not None:
            watch(update, update.filed[-1].verdict)


def _stage(home: Home, update: Update) -> Done | First | Waiting:
    try:
        return STAGES[update.stage](Case(home, update))
    except Changed:
        raise
    except TidegateError as error:
        _note_failure(home, update, error)
        raise


def _finish(home: Home, update: Update, done: Done) -> Update:
    verdict = gate(update.spec, done.evidence)
    with home.journal.write(home.actor) as tx:
        moved = advance(update, done.evidence, verdict, tx.now)
        for write in done.writes:
            tx.put(write.document, write.event, was=write.was)
        tx.put(
            moved,
            "update.ended" if moved.outcome else "update.stage",
            was=update,
            evidence=[done.evidence],
            note={
                "stage": update.stage,
                "passed": verdict.passed,
                "findings": [f"{f.level}:{f.code}" for f in verdict.findings],
                "outcome": moved.outcome,
            },
        )
    return moved


def _note_failure(home: Home, update: Update, error: TidegateError) -> None:
    """Leave word in the case file, for whoever looks at it next; the error itself goes on."""
    why = say(
        "{stage} failed: {problem}. When that is mended: tidegate update resume {update}. A change "
        "to the model file needs a new update, as this one keeps the file it was opened with",
        stage=say(update.stage),
        problem=say(error.what, **error.values),
        update=update.id,
    )
    try:
        _wait(home, update, Waiting(why))
    except TidegateError:
        return  # the disk that is full takes no note either


def _wait(home: Home, update: Update, waiting: Waiting) -> Update:
    if update.waiting == waiting.why:
        return update
    changed = update.model_copy(update={"waiting": waiting.why})
    with home.journal.write(home.actor) as tx:
        tx.put(changed, "update.waiting", was=update, note={"stage": update.stage})
    return changed


def withdraw(home: Home, update_id: str, reason: str) -> Update:
    """End an update before its rollout has begun."""
    with home.journal.write(home.actor) as tx:
        update = tx.get(Update, update_id) or find_update(home, update_id)
        update.open_or_refuse()
        if update.stage in (Stage.RELEASE, Stage.OBSERVE):
            raise Conflict(
                "update {update} is on traffic",
                do="roll it back with: tidegate release rollback {model} --reason TEXT",
                update=update.id,
                model=update.model,
            )
        ended = update.model_copy(
            update={
                "outcome": Outcome.WITHDRAWN,
                "withdrawn_because": reason,
                "waiting": None,
                "changed_at": tx.now,
            }
        )
        tx.put(ended, "update.withdrawn", was=update, note={"reason": reason})
    return ended
