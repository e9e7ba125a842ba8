"""``tidegate people``: who is known here, and what they may do."""

import typer

from tidegate.apps.cli.session import Session, session
from tidegate.apps.cli.terminal import escape
from tidegate.domain.messages import say
from tidegate.domain.people import Person, Role
from tidegate.domain.stage import Team

group = typer.Typer(no_args_is_help=True, help="Who is known here, and what they may do.")

_ROLES = typer.Option(None, "--role", help="What they may do (repeatable) [viewer].")
_NEW_ROLES = typer.Option(
    None, "--role", help="What they may do from now on, and nothing else (repeatable)."
)


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.add_typer(group, name="people")


@group.command("add")
def add(
    context: typer.Context,
    name: str,
    role: list[Role] = _ROLES,
    team: Team = typer.Option(Team.BUSINESS, "--team"),
) -> None:
    """Add a person."""
    s = session(context)
    with s.workspace() as ws:
        person = ws.add_person(name, team, list(role or [Role.VIEWER]))
    _show(s, [person], person)


@group.command("set")
def set_(
    context: typer.Context,
    name: str,
    role: list[Role] = _NEW_ROLES,
    team: Team = typer.Option(None, "--team"),
    active: bool = typer.Option(None, "--active/--inactive"),
) -> None:
    """Change a person's roles or team, or switch them off."""
    s = session(context)
    with s.workspace() as ws:
        before = {person.name: person.roles for person in ws.people()}
        person = ws.change_person(
            name, team=team, roles=list(role) if role else None, active=active
        )
    _show(s, [person], person)
    lost = [say(old) for old in before[name] if old not in person.roles]
    if lost and not s.as_json:
        s.out.print("[yellow]![/] " + s.say("no longer: {roles}", roles=lost))


@group.command("list")
def list_(context: typer.Context) -> None:
    """Everyone known here."""
    s = session(context)
    with s.workspace() as ws:
        found = ws.people()
    _show(s, found, {"people": found})


def _show(s: Session, people: list[Person], document: object) -> None:
    table = s.table(say("Person"), say("Team"), say("Roles"), say("Active"))
    for person in people:
        roles = ", ".join(s.text(say(role)) for role in person.roles)
        active = s.say("yes") if person.active else s.say("no")
        table.add_row(escape(person.name), s.text(say(person.team)), roles, active)
    s.emit(document, lambda: s.out.print(table))
