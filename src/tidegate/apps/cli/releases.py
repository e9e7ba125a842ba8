"""``tidegate release`` and ``monitor``: what is in production, and how it fares."""

import re
from collections.abc import Sequence

import typer

from tidegate.apps.cli.session import Session, plain, session, when
from tidegate.apps.cli.updates import show_standing
from tidegate.domain.messages import Message, say
from tidegate.domain.rollout import Deployment, ReleaseStatus
from tidegate.monitoring.gateways import Running

group = typer.Typer(no_args_is_help=True, help="What is in production; promote and roll back.")


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.add_typer(group, name="release")
    app.command("monitor")(monitor)


@group.command("status")
def status(context: typer.Context, model: str) -> None:
    """What answers for a model, and how its release stands."""
    s = session(context)
    with s.workspace() as ws:
        deployment = ws.deployment_now(model)
        served, gateways = ws.model(model).trains, ws.gateways(model)
        progress = ws.progress(deployment)
    _show(s, deployment, served=served, gateways=gateways, progress=progress)


def _show(
    s: Session,
    deployment: Deployment,
    *,
    served: bool,
    gateways: Sequence[Running] | None = None,
    progress: Sequence[Message] = (),
    first: Message | None = None,
) -> None:
    def shown() -> None:
        if first is not None:
            s.out.print(s.text(first))
        _show_standing()
        for gateway in gateways or ():
            for note in gateway.notes:
                told = s.say("gateway {name}: {note}", name=gateway.name, note=note.text)
                s.out.print(f"[{'red' if note.refused else 'yellow'}]![/] {told}")

    def _show_standing() -> None:
        champion = deployment.champion
        name = f"{deployment.model}@{champion}" if champion else s.say("nothing")
        s.out.print(s.say("in production: {version}", version=name))
        release = deployment.release
        if release is None:
            return
        s.out.print(s.text(_standing(deployment, served=served)))
        if release.reason is not None:
            s.out.print(f"  {s.text(release.reason)}")
        for sentence in progress:
            s.out.print(f"  {s.text(sentence)}")
        table = s.table(say("Share"), say("Champion"), say("Candidate"), right=(0, 1, 2))
        for tally in release.tallies:
            table.add_row(
                s.say("shadow") if tally.shadow else f"{tally.share:.0%}",
                f"{tally.champion_bad} / {tally.champion_labels}",
                f"{tally.candidate_bad} / {tally.candidate_labels}",
            )
        if release.tallies:
            s.out.print(s.say("bad answers / labelled ones:"))
            s.out.print(table)

    document = plain(deployment)
    if gateways is not None:
        document = {**document, "progress": plain(progress), "gateways": plain(gateways)}
    s.emit(document, shown)


def _standing(deployment: Deployment, *, served: bool) -> Message:
    """How the newest release stands; one that was taken back is on no traffic any more."""
    release = deployment.release
    assert release is not None  # noqa: S101 - the caller looked
    if release.status is ReleaseStatus.PROMOTED and deployment.champion != release.candidate:
        return say(
            "version {candidate} was promoted, and rolled back since", candidate=release.candidate
        )
    if not served:
        return say(
            "release of version {candidate}: {status}; nothing is served here",
            candidate=release.candidate,
            status=say(release.status),
        )
    if release.status is ReleaseStatus.SHADOW:
        return say(
            "release of version {candidate}: shadow, it answers unseen beside the champion",
            candidate=release.candidate,
        )
    return say(
        "release of version {candidate}: {status}, {share:.0%} of requests",
        candidate=release.candidate,
        status=say(release.status),
        share=release.share,
    )


@group.command("verdict")
def verdict(
    context: typer.Context,
    model: str,
    step: int = typer.Option(None, "--step", min=1, help="Whether this step may be left."),
    version: int = typer.Option(None, "--version", min=1, help="Whose release is meant."),
) -> None:
    """The release in one word, for scripts: promote, hold, or rollback (exit code 3)."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.verdict(model, step=step, version=version)
    about = "" if found.candidate is None else f"{found.model}@{found.candidate}: "
    s.emit(found, lambda: s.out.print(f"{found.verdict}: {about}{s.text(found.reason)}"))
    raise typer.Exit(3 if found.verdict == "rollback" else 0)


@group.command("promote")
def promote(
    context: typer.Context,
    model: str,
    step: bool = typer.Option(False, "--step", help="Only let the next step begin, once due."),
) -> None:
    """End the canary by hand, or after it the observation; the record keeps who did.

    A second call ends the observation that the first one began.
    """
    s = session(context)
    with s.workspace() as ws:
        code = show_standing(s, ws, ws.promote(model, step=step))
    raise typer.Exit(code)


@group.command("rollback")
def rollback(
    context: typer.Context,
    model: str,
    reason: str = typer.Option(..., "--reason"),
    to: str = typer.Option(None, "--to", help="An earlier version: a number, or MODEL@NUMBER."),
) -> None:
    """Take the candidate off traffic, or go back to an earlier version."""
    s = session(context)
    number = None
    if to is not None:
        digits = to.rpartition("@")[2]
        if re.fullmatch("[0-9]{1,9}", digits) is None:
            raise typer.BadParameter("a version is a number, or MODEL@NUMBER", param_hint="--to")
        number = int(digits)
    with s.workspace() as ws:
        deployment = ws.rollback(model, reason=reason, to=number)
        served = ws.model(model).trains
    champion = deployment.champion
    told = say(
        "{taken} was taken back; {champion} is in production",
        taken=f"{model}@{deployment.taken_back}" if deployment.taken_back else say("nothing"),
        champion=f"{model}@{champion}" if champion else say("nothing"),
    )
    _show(s, deployment, served=served, first=told)


def monitor(
    context: typer.Context,
    model: str,
    window: int = typer.Option(200, "--window", min=1, help="Labelled answers a window."),
) -> None:
    """Windows of live metrics."""
    s = session(context)
    with s.workspace() as ws:
        report = ws.monitor(model, window)

    def shown() -> None:
        s.out.print(
            s.say(
                "{answers:,} answers, {labelled:,} labelled",
                answers=report.answers,
                labelled=report.labelled,
            )
        )
        names = list(report.windows[0].metrics) if report.windows else []
        table = s.table(
            say("From"), say("To"), say("Versions"), say("Rows"), *[say(name) for name in names],
            right=tuple(range(3, 4 + len(names))),
        )  # fmt: skip
        for window_ in report.windows:
            table.add_row(
                when(window_.from_),
                when(window_.to),
                ", ".join(map(str, window_.versions)),
                str(window_.rows),
                *[f"{window_.metrics[name]:.4g}" for name in names],
            )
        s.out.print(table)
        for alert in report.alerts:
            s.out.print(f"[yellow]![/] {s.text(alert)}")

    s.emit(report, shown)
