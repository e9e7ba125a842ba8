"""Which strategy 'auto' takes, and why."""

import pytest

from tidegate.domain.errors import WrongUsage
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import TrainingPolicy
from tidegate.training.strategy import Facts, choose_strategy

ALL = [Strategy.FULL, Strategy.INCREMENTAL, Strategy.HYBRID]


def choose(requested="auto", *, supported=ALL, parent_exists=True, policy=None, **changed):
    facts = {"drifted": False, "new_rows": 100, "history_rows": 1000}
    return choose_strategy(
        requested, Facts(**(facts | changed)), supported=supported, parent_exists=parent_exists,
        policy=policy or TrainingPolicy(),
    )  # fmt: skip


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
        ({"full_seconds": 30.0, "since_full": 0}, Strategy.FULL),
        ({"full_seconds": 31.0, "since_full": 0}, Strategy.INCREMENTAL),
        ({"full_seconds": 31.0, "since_full": 8}, Strategy.FULL),
        ({"full_seconds": 31.0, "since_full": 3, "drifted": True, "history_rows": 2000},
         Strategy.HYBRID),
        ({"full_seconds": 3.0, "since_full": 3, "drifted": True, "history_rows": 2000},
         Strategy.FULL),
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
    with pytest.raises(WrongUsage, match="move on from a version"):
        choose("hybrid", parent_exists=False)
    with pytest.raises(WrongUsage, match="can do none"):
        choose(supported=[])


def test_why_is_said_in_two_sentences():
    _, why = choose(full_seconds=60.0, since_full=2)
    assert [reason.text() for reason in why] == [
        "the data is consistent with the 1,000 rows before, so 100 new rows move the parameters "
        "on: an incremental update",
        "a full one would take about 60 s; the last was 2 update(s) ago",
    ]
