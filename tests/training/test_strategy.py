"""Which strategy 'auto' takes, and why."""

import pytest

from tidegate.domain.errors import WrongUsage
from tidegate.domain.strategy import Strategy
from tidegate.training.strategy import choose_strategy

ALL = [Strategy.FULL, Strategy.INCREMENTAL, Strategy.HYBRID]


def choose(requested="auto", **changed):
    facts = {
        "supported": ALL, "parent_exists": True, "drifted": False, "champion_drop": None,
        "new_rows": 100, "history_rows": 1000,
    }  # fmt: skip
    return choose_strategy(requested, **(facts | changed))


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        ({"parent_exists": False}, Strategy.FULL),
        ({}, Strategy.INCREMENTAL),
        ({"drifted": None}, Strategy.INCREMENTAL),
        ({"drifted": True}, Strategy.FULL),
        ({"drifted": True, "history_rows": 2000}, Strategy.HYBRID),
        ({"champion_drop": 0.05, "drifted": True, "history_rows": 9000}, Strategy.FULL),
        ({"new_rows": 500}, Strategy.FULL),
        ({"history_rows": 0}, Strategy.FULL),
        ({"supported": [Strategy.FULL]}, Strategy.FULL),
        ({"supported": [Strategy.FULL, Strategy.INCREMENTAL], "drifted": True,
          "history_rows": 2000}, Strategy.FULL),
    ],
)  # fmt: skip
def test_auto(facts, chosen):
    strategy, why = choose(**facts)
    assert strategy is chosen
    assert all(reason.text() for reason in why)


@pytest.mark.parametrize("strategy", ALL)
def test_a_wish_is_a_command(strategy):
    assert choose(str(strategy))[0] is strategy


def test_wishes_that_cannot_be():
    with pytest.raises(WrongUsage, match="incremental"):
        choose("incremntal")
    with pytest.raises(WrongUsage, match="cannot do"):
        choose("hybrid", supported=[Strategy.FULL])
    with pytest.raises(WrongUsage, match="moves on from a version"):
        choose("hybrid", parent_exists=False)
    with pytest.raises(WrongUsage, match="can do none"):
        choose(supported=[])
