"""People, their teams and roles, and the approval rule."""

from enum import StrEnum

from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.stage import Team


class Role(StrEnum):
    """What a person may do."""

    ADMIN = "admin"  # people and models
    PROPOSER = "proposer"  # data, updates, imports
    APPROVER = "approver"  # approve and reject
    OPERATOR = "operator"  # promote and roll back
    VIEWER = "viewer"  # read


class Person(Frozen):
    """Someone who acts. ``name`` is how ``--as`` calls them."""

    name: str
    team: Team
    roles: list[Role]
    active: bool = True

    def may(self, role: Role) -> bool:
        """Whether this person holds the role; an administrator holds every role but approver."""
        if not self.active:
            return False
        return role in self.roles or (Role.ADMIN in self.roles and role is not Role.APPROVER)


class Approval(Frozen):
    """One signature under a case file: bound to ``digest``, the case file's at that moment."""

    person: str
    team: Team
    digest: str
    at: str
    comment: str = ""


def missing_approvals(
    approvals: list[Approval],
    *,
    proposer: str,
    digest: str,
    approvers_needed: int,
    distinct_teams: bool,
) -> list[Message]:
    """What still stands between these approvals and the rule; empty where nothing does.

    Approvals by the proposer, of another digest, or twice by one person do not count.
    """
    counted = {a.person: a for a in approvals if a.person != proposer and a.digest == digest}
    gaps: list[Message] = []
    if len(counted) < approvers_needed:
        gaps.append(
            say(
                "{needed} approval(s) by someone other than {proposer} are needed, {given} stand",
                needed=approvers_needed,
                proposer=proposer,
                given=len(counted),
            )
        )
    elif distinct_teams and len({a.team for a in counted.values()}) < approvers_needed:
        gaps.append(
            say("the {needed} approvals must come from different teams", needed=approvers_needed)
        )
    return gaps
