"""``tidegate update``, ``approve`` and ``reject``: case files."""

import time

import typer

from tidegate.apps.cli.session import Session, session, when
from tidegate.apps.cli.terminal import escape
from tidegate.domain.messages import say
from tidegate.domain.stage import CHARTERS, Stage
from tidegate.domain.update import Outcome, Update
from tidegate.process.workspace import Workspace

group = typer.Typer(no_args_is_help=True, help="Case files: start, watch, replay, reproduce.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.add_typer(group, name="update")
    app.command("approve")(approve)
    app.command("reject")(reject)


def show_standing(s: Session, ws: Workspace, update: Update) -> int:
    """Print where an update stands; gives the exit code: 3 where a gate refused it."""
    document = {
        "update": update.id,
        "stage": update.stage,
        "outcome": update.outcome,
        "reason": ws.describe(update).text(s.lang),
    }
    state = say(update.outcome) if update.outcome else say(update.stage)
    s.emit(
        document,
        lambda: s.out.print(f"[bold]{update.id}[/] {s.text(state)}: {s.text(ws.describe(update))}"),
    )
    return 3 if update.outcome in (Outcome.REJECTED, Outcome.ROLLED_BACK) else 0


@group.command("start")
def start(
    context: typer.Context,
    model: str,
    data: str = typer.Option(..., "--data", help="The snapshot to learn from."),
    reason: str = typer.Option(..., "--reason", help="Why this update is made."),
    strategy: str = typer.Option("auto", "--strategy", help="auto, full, incremental or hybrid."),
    wait: bool = typer.Option(
        True, "--wait/--no-wait", help="Run it now; or leave it to the worker of 'tidegate up'."
    ),
) -> None:
    """Open a case file and run it as far as it goes."""
    s = session(context)
    with s.workspace() as ws:
        if wait:
            update = ws.start_update(model, data=data, reason=reason, strategy=strategy)
        else:
            update = ws.open_update(model, data=data, reason=reason, strategy=strategy)
        code = show_standing(s, ws, update)
    raise typer.Exit(code)


@group.command("list")
def list_(context: typer.Context, model: str = typer.Argument(None)) -> None:
    """Case files, in the order they were opened."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.updates(model)
        table = s.table(say("Update"), say("Stage"), say("Outcome"), say("Proposed by"), say("Why"))
        for update in found:
            table.add_row(
                update.id,
                s.text(say(update.stage)),
                s.text(say(update.outcome)) if update.outcome else s.say("open"),
                escape(update.proposer),
                s.text(ws.describe(update)),
            )
        rows = [
            {
                "update": update.id,
                "model": update.model,
                "stage": update.stage,
                "outcome": update.outcome,
                "proposer": update.proposer,
                "reason": update.reason,
                "standing": ws.describe(update).text(s.lang),
            }
            for update in found
        ]
    s.emit({"updates": rows}, lambda: s.out.print(table))


@group.command("show")
def show(context: typer.Context, update: str) -> None:
    """One case file: every stage, what its gate said, and where it stands."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.update(update)
        _show(s, ws, found)


def _show(s: Session, ws: Workspace, update: Update) -> None:
    def shown() -> None:
        head = s.say("Reason") + f": {escape(update.reason)}  "
        head += f"({escape(update.proposer)}, {when(update.opened_at)})"
        s.out.print(f"[bold]{update.id}[/]  {update.spec.adapter}\n{head}\n")
        filed = {f.stage: f for f in update.filed}
        for stage in Stage:
            team = s.text(say(CHARTERS[stage].team))
            title = f"{s.text(say(stage))}  [dim]{team}[/]"
            if stage in filed:
                mark = "[green]✓[/]" if filed[stage].verdict.passed else "[red]✗[/]"
                s.out.print(f"{mark} [bold]{title}")
                s.show_findings(s.out, filed[stage].verdict)
            else:
                s.out.print(f"[dim]·[/] {title}")
        state = say(update.outcome) if update.outcome else say("open")
        s.out.print(f"\n[bold]{s.text(state)}[/]: {s.text(ws.describe(update))}")

    document = update.model_dump(mode="json", exclude={"spec"}) | {
        "update": update.id,
        "case_digest": update.case_digest,
        "standing": ws.describe(update).text(s.lang),
    }
    s.emit(document, shown)


@group.command("watch")
def watch(
    context: typer.Context,
    update: str,
    seconds: float = typer.Option(3600, "--seconds", help="Give up watching after so long."),
) -> None:
    """Follow a case file until it ends."""
    s = session(context)
    seen, until = 0, time.monotonic() + seconds
    with s.workspace() as ws:
        while True:
            found = ws.update(update)
            for filed in found.filed[seen:]:
                s.watch(found, filed.verdict)
            seen = len(found.filed)
            if found.outcome is not None or time.monotonic() > until:
                raise typer.Exit(show_standing(s, ws, found))
            time.sleep(0.5)


@group.command("resume")
def resume(context: typer.Context, update: str) -> None:
    """Run a case file on from where it stands."""
    s = session(context)
    with s.workspace() as ws:
        code = show_standing(s, ws, ws.resume(update))
    raise typer.Exit(code)


@group.command("withdraw")
def withdraw(
    context: typer.Context, update: str, reason: str = typer.Option(..., "--reason")
) -> None:
    """End a case file that is not yet on traffic."""
    s = session(context)
    with s.workspace() as ws:
        show_standing(s, ws, ws.withdraw(update, reason))


@group.command("replay")
def replay(context: typer.Context, update: str) -> None:
    """Derive every verdict again from the record; exit 3 where one differs."""
    s = session(context)
    with s.workspace() as ws:
        verdicts = ws.replay(update)
    same = all(verdict.same for verdict in verdicts)
    table = s.table(say("Stage"), say("Recorded"), say("Derived now"), say("Same"))
    for verdict in verdicts:
        table.add_row(
            s.text(say(verdict.stage)),
            s.say("passed" if verdict.recorded.passed else "refused"),
            s.say("passed" if verdict.derived.passed else "refused"),
            s.say("yes") if verdict.same else f"[red]{s.say('no')}[/]",
        )
    rows = [
        {
            "stage": v.stage,
            "recorded": v.recorded.passed,
            "derived": v.derived.passed,
            "same": v.same,
        }
        for v in verdicts
    ]
    s.emit({"update": update, "same": same, "verdicts": rows}, lambda: s.out.print(table))
    raise typer.Exit(0 if same else 3)


@group.command("reproduce")
def reproduce(context: typer.Context, update: str) -> None:
    """Run the training again from the record; exit 3 where other parameters come out."""
    s = session(context)
    with s.workspace() as ws:
        result = ws.reproduce(update)

    def shown() -> None:
        if result.same:
            s.out.print(s.say("the same parameters came out: {digest}", digest=result.derived))
            return
        s.out.print(
            s.say(
                "other parameters came out: {derived}, recorded {recorded}",
                derived=result.derived,
                recorded=result.recorded,
            )
        )
        if not result.deterministic:
            s.out.print(s.say("the adapter says that it does not give the same bits every time"))
        for change in result.environment_changes:
            s.out.print(f"  {change}", markup=False)

    s.emit({**result.model_dump(), "same": result.same}, shown)
    raise typer.Exit(0 if result.same else 3)


def approve(
    context: typer.Context, update: str, comment: str = typer.Option("", "--comment")
) -> None:
    """Sign a case file as it stands, and run it on."""
    s = session(context)
    with s.workspace() as ws:
        code = show_standing(s, ws, ws.approve(update, comment))
    raise typer.Exit(code)


def reject(
    context: typer.Context, update: str, reason: str = typer.Option(..., "--reason")
) -> None:
    """Refuse a case file, which ends it."""
    s = session(context)
    with s.workspace() as ws:
        show_standing(s, ws, ws.reject(update, reason))
