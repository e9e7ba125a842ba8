"""A search: repeatable, within its budget, and no worse than what it began with."""

import pytest

from tidegate.domain.errors import WrongUsage
from tidegate.domain.evidence import Trial
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range, SearchPolicy
from tidegate.training.search import behind, search

SPACE = {"x": Range(low=-3.0, high=3.0), "n": Range(low=1, high=64, log=True),
         "how": Range(choices=["plain", [1, 2]])}  # fmt: skip
DEFAULTS = {"x": 2.0, "n": 10, "how": "plain", "other": True}
FULL = [Strategy.FULL]


def value(settings):
    return -((settings["x"] - 1) ** 2) - abs(settings["n"] - 20) / 50


def tries(log=None, parts=1):
    def attempt(proposals):
        made = []
        for one in proposals:
            score = value({**DEFAULTS, **one.settings}) + (one.window or 0)
            seen = []
            for _ in range(parts):
                seen.append(score)
                if behind(seen, one.least):
                    break
            state = "complete" if len(seen) == parts else "pruned"
            made.append(Trial(settings=one.settings, strategy=one.strategy, state=state,
                              window=one.window, score=score, merits=seen))  # fmt: skip
            if log is not None:
                log.append(one)
        return made

    return attempt


def run(policy=None, *, space=SPACE, known=(), attempt=None, seed=0, strategies=FULL,
        windows=(None,)):  # fmt: skip
    return search(
        policy or SearchPolicy(trials=24), space, DEFAULTS, strategies, windows, [DEFAULTS, *known],
        attempt or tries(), seed=seed, progress=lambda _done, _total: None,
    )  # fmt: skip


def test_it_finds_better_settings_and_begins_with_the_models_own():
    found = run()
    first, best = found.trials[0], found.trials[found.best]
    assert first.settings == {"x": 2.0, "n": 10, "how": "plain"}
    assert best.score > first.score + 0.5
    assert isinstance(best.settings["n"], int)
    assert len(found.trials) == 24
    assert found.repeatable


def test_the_same_seed_finds_the_same():
    assert run() == run()
    assert run() != run(seed=1)


def test_what_won_is_tried_on_the_other_windows_last():
    found = run(windows=[2, 1, 4])
    before, last = found.trials[:22], found.trials[22:]
    assert {trial.window for trial in before} == {2}
    won = max(before, key=lambda trial: trial.merit)
    assert [(t.window, t.settings) for t in last] == [(1, won.settings), (4, won.settings)]
    assert found.best == 23  # by this measure, more is better
    assert run(windows=[4, 2]).trials[-1].window == 2
    few = run(SearchPolicy(trials=2), windows=[2, 1, 4])  # no room for them: the first one stands
    assert {trial.window for trial in few.trials} == {2}


def test_what_falls_behind_ends_early_and_is_never_the_best():
    found = run(attempt=tries(parts=3))
    states = [trial.state for trial in found.trials]
    assert "pruned" in states[1:]
    assert states[0] == "complete"
    assert all(len(t.merits) > 1 for t in found.trials)  # one part ends nothing
    assert found.trials[found.best].state == "complete"
    assert all(len(t.merits) < 3 for t in found.trials if t.state == "pruned")


def test_known_settings_are_tried_where_they_lie_within():
    log = []
    run(known=[{"x": 1.0, "n": 20, "how": [1, 2]}, {"x": 99.0, "n": 20}], attempt=tries(log))
    assert log[1].settings == {"x": 1.0, "n": 20, "how": [1, 2]}
    assert log[2].settings["n"] == 20
    assert -3 <= log[2].settings["x"] <= 3


def test_strategies_are_searched_as_well():
    log = []
    run(strategies=[Strategy.FULL, Strategy.INCREMENTAL], attempt=tries(log))
    assert {one.strategy for one in log} == {Strategy.FULL, Strategy.INCREMENTAL}


def test_a_budget_in_seconds_ends_it_and_is_not_repeatable():
    found = run(SearchPolicy(trials=1000, seconds=1e-9))
    assert len(found.trials) == 1  # one round
    assert not found.repeatable


def test_all_failing():
    def attempt(proposals):
        return [Trial(settings=p.settings, strategy=p.strategy, state="failed", why="no rows")
                for p in proposals]  # fmt: skip

    with pytest.raises(WrongUsage, match=r"all 24 trials .* no rows"):
        run(attempt=attempt)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"lr": Range(low=0.1, high=1.0)}, "names 'lr'"),
        ({"how": Range(low=0.1, high=1.0)}, "no number"),
        ({"other": Range(low=0.1, high=1.0)}, "no number"),
        ({"n": Range(low=3.6, high=4.4)}, "no two whole numbers"),
        ({}, "nothing to search"),
    ],
)
def test_spaces_that_cannot_be(space, says):
    with pytest.raises(WrongUsage, match=says):
        run(space=space)


@pytest.mark.parametrize(
    "wrong",
    [{"low": 1, "high": 1}, {"low": 2, "high": 1}, {"choices": ["one"]}, {"choices": []}, {},
     {"choices": [31, 31]}, {"low": float("nan"), "high": 1}, {"low": 1, "high": float("inf")},
     {"low": 1}, {"low": 0, "high": 1, "log": True}, {"low": 1, "high": 2, "choices": [1, 2]}],
)  # fmt: skip
def test_ranges_of_one_point_or_none(wrong):
    with pytest.raises(ValueError, match=r"range|choices|finite"):
        Range(**wrong)


@pytest.mark.parametrize("nothing", ["trials", "seconds", "folds", "budget_seconds"])
def test_budgets_of_nothing(nothing):
    with pytest.raises(ValueError, match="greater than"):
        SearchPolicy(**{nothing: 0})
