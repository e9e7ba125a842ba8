"""How often validation lets a worse candidate pass, and how often it refuses an equal one."""

import numpy as np
import pytest

from tidegate.domain.gates import gate
from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Predictions
from tidegate.training.validation.validate import validate

RUNS = 100
MARGIN = 0.02


def spec(task, undecided):
    policy = {"validation": {"undecided": undecided, "margin": MARGIN}}
    return ModelSpec.model_validate(
        {"model": "m", "adapter": "sklearn.ridge", "task": task, "target": "y", "policy": policy}
    )


def answers(rng, rows, lost):
    """Right answers of two models that agree on most rows: 0.85 and so much less."""
    draw = rng.random(rows)
    champion = draw < 0.85
    # 6% of the rows only the champion gets right, and 6% less what is lost only the candidate.
    candidate = (champion & (draw >= 0.06)) | (draw >= 1 - (0.06 - lost))
    return champion.astype(int), candidate.astype(int)


def codes(task, metric, truth, candidate, champion, undecided, seed):
    model = spec(task, undecided)
    evidence = validate(
        Task(task), METRICS[metric][0], truth, Predictions(candidate), Predictions(champion),
        np.full(len(truth), truth[0]), confidence=0.95, segments={}, min_segment_rows=50,
        train_score=None, bad_quantile=0.9, seed=seed,
    ).model_copy(update={"champion_version": 1})  # fmt: skip
    verdict = gate(model, evidence)
    return verdict.passed, {finding.code for finding in verdict.findings}


def runs(rows, lost, undecided):
    rng, made = np.random.default_rng(11), []
    for seed in range(RUNS):
        champion, candidate = answers(rng, rows, lost)
        made.append(codes("binary", "accuracy", np.ones(rows, int), candidate, champion,
                          undecided, seed))  # fmt: skip
    return made


def test_a_candidate_worse_by_the_margin_seldom_passes():
    """Of 100 on 4,000 rows, at most 5 in 100 pass, and as few are called not worse."""
    made = runs(4000, MARGIN, "refuse")
    assert sum(passed for passed, _ in made) <= 0.05 * RUNS
    assert sum("not_worse" in found for _, found in made) <= 0.05 * RUNS


@pytest.mark.parametrize(("undecided", "rows"), [("refuse", 4000), ("warn", 1000)])
def test_an_equal_candidate_is_seldom_refused(undecided, rows):
    """Of 100, at most 10 in 100: on 4,000 rows where doubt refuses, on 1,000 where it warns."""
    made = runs(rows, 0.0, undecided)
    assert sum(not passed for passed, _ in made) <= 0.10 * RUNS


def test_errors_are_held_to_the_margin_as_well():
    """Of 100 whose mean absolute error is 2% higher, on 6,000 rows, at most 5 in 100 pass."""
    rng, passed = np.random.default_rng(12), 0
    for seed in range(RUNS):
        truth = rng.normal(100, 10, 6000)
        shared = rng.normal(0, 1, 6000)
        champion = truth + shared
        candidate = truth + shared * (1 + MARGIN) + 0.0
        candidate = candidate + rng.normal(0, 0.02, 6000)
        passed += codes("regression", "mae", truth, candidate, champion, "refuse", seed)[0]
    assert passed <= 0.05 * RUNS


def test_an_equal_candidate_is_seldom_called_worse_where_hours_hang_together():
    """Of 100 on 400 hours whose errors keep nine tenths of the hour before, at most 10 in 100,
    though half of them look worse by more than the margin."""
    rng, refused, worse = np.random.default_rng(13), 0, 0
    for seed in range(RUNS):
        sides = []
        for _ in range(2):
            error = rng.normal(size=700)
            for at in range(1, 700):
                error[at] += 0.9 * error[at - 1]
            sides.append(error[300:])
        truth = rng.normal(100, 10, 400)
        _, found = codes(
            "regression", "mae", truth, truth + sides[0], truth + sides[1], "warn", seed
        )
        refused += "worse" in found
        worse += np.abs(sides[0]).mean() > (1 + MARGIN) * np.abs(sides[1]).mean()
    assert worse >= 0.3 * RUNS
    assert refused <= 0.10 * RUNS
