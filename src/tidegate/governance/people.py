"""Adding people, changing what they may do."""

from collections.abc import Sequence

from tidegate.domain.errors import Conflict, NotFound, WrongUsage
from tidegate.domain.people import Person, Role
from tidegate.domain.stage import Team
from tidegate.ledger.journal import Transaction


def new_person(name: str, team: Team, roles: Sequence[Role]) -> Person:
    """A person of that name; raises WrongUsage where it is no name."""
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise WrongUsage(
            "'{name}' is no name for a person",
            do="use 1 to 64 printable characters",
            name=name,
        )
    return Person(name=name, team=team, roles=sorted(set(roles)))


def add_person(tx: Transaction, name: str, team: Team, roles: Sequence[Role]) -> Person:
    """The new person; raises Conflict where the name is taken."""
    person = new_person(name, team, roles)
    if tx.get(Person, name) is not None:
        raise Conflict(
            "{person} is in this workspace already",
            do="change what they may do with: tidegate people set {person} --role ROLE",
            person=name,
        )
    tx.put(person, "person.added", note={"team": team, "roles": person.roles})
    return person


def change_person(
    tx: Transaction,
    name: str,
    *,
    team: Team | None = None,
    roles: Sequence[Role] | None = None,
    active: bool | None = None,
) -> Person:
    """The person with what is given changed; the last active administrator stays one."""
    person = tx.get(Person, name)
    if person is None:
        raise NotFound(
            "there is nobody called '{person}' in this workspace",
            do="see who is with: tidegate people list",
            person=name,
        )
    changed = person.model_copy(
        update={
            "team": team or person.team,
            "roles": sorted(set(roles)) if roles is not None else person.roles,
            "active": person.active if active is None else active,
        }
    )
    others = [p for p in tx.all(Person) if p.name != name and p.may(Role.ADMIN)]
    if person.may(Role.ADMIN) and not changed.may(Role.ADMIN) and not others:
        raise Conflict(
            "{person} is the last administrator",
            do="make someone else one first",
            person=name,
        )
    tx.put(changed, "person.changed", was=person, note={"roles": changed.roles})
    return changed
