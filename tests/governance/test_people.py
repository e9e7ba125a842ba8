"""Roles: what each allows, and that somebody always holds the keys."""

import pytest

from tidegate import Workspace
from tidegate.domain.errors import Conflict, Forbidden, NotFound, WrongUsage
from tidegate.domain.people import Person, Role
from tidegate.domain.stage import Team


@pytest.fixture
def ws(tmp_path):
    with Workspace.init(tmp_path / "ws", actor="ada") as opened:
        yield opened


def test_an_administrator_may_all_but_approve():
    admin = Person(name="ada", team=Team.ENGINEERING, roles=[Role.ADMIN])
    assert [role for role in Role if not admin.may(role)] == [Role.APPROVER]


def test_who_was_switched_off_may_nothing(ws):
    ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
    ws.change_person("wei", active=False)
    assert not any(ws.people()[1].may(role) for role in Role)
    with ws.acting_as("wei") as wei, pytest.raises(Forbidden):
        wei.add_person("x", Team.DATA, [])


def test_the_last_administrator_stays(ws):
    for change in ({"active": False}, {"roles": [Role.VIEWER]}):
        with pytest.raises(Conflict, match="last administrator"):
            ws.change_person("ada", **change)
    ws.add_person("bo", Team.DATA, [Role.ADMIN])
    assert not ws.change_person("ada", active=False).active


def test_only_administrators_change_people(ws):
    ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
    with ws.acting_as("wei") as wei:
        for act in (
            lambda: wei.add_person("x", Team.DATA, []),
            lambda: wei.change_person("wei", roles=[Role.ADMIN]),
            lambda: wei.apply_model({"model": "t", "adapter": "tensors"}),
        ):
            with pytest.raises(Forbidden):
                act()


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\x1b[31m"])
def test_names_are_names(ws, name):
    with pytest.raises(WrongUsage, match="no name"):
        ws.add_person(name, Team.DATA, [])


def test_taken_and_unknown_names(ws):
    with pytest.raises(Conflict):
        ws.add_person("ada", Team.DATA, [])
    with pytest.raises(NotFound):
        ws.change_person("nobody", active=False)
