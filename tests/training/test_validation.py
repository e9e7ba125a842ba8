"""A candidate against the champion on the same rows: paired, with intervals that cover."""

import numpy as np
import pytest

from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.predictor import Predictions
from tidegate.training.validation.validate import validate

ACCURACY = METRICS["accuracy"][0]


def judged(truth, candidate, champion, **changed):
    facts = {
        "confidence": 0.95, "segments": {}, "min_segment_rows": 20, "train_score": 0.9,
        "bad_quantile": 0.9, "seed": 0,
    }  # fmt: skip
    metric = changed.pop("metric", ACCURACY)
    task = changed.pop("task", Task.BINARY)
    constant = np.full(len(truth), truth[0])
    return validate(
        task, metric, truth, Predictions(candidate),
        None if champion is None else Predictions(champion), constant, **(facts | changed),
    )  # fmt: skip


def answers(rng, truth, right):
    return np.where(rng.random(len(truth)) < right, truth, 1 - truth)


def test_the_interval_of_the_difference_covers():
    """300 pairs of arms that differ by five points; nominal 95%, at least 90%."""
    rng, covered = np.random.default_rng(5), 0
    for seed in range(300):
        truth = rng.integers(0, 2, 300)
        evidence = judged(truth, answers(rng, truth, 0.85), answers(rng, truth, 0.8), seed=seed)
        covered += evidence.difference.low <= 0.05 <= evidence.difference.high
    assert covered / 300 >= 0.90


def test_the_same_answers_differ_by_nothing():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 100)
    said = answers(rng, truth, 0.8)
    evidence = judged(truth, said, said)
    assert (evidence.difference.low, evidence.difference.high) == (0, 0)
    assert evidence.negative_flips == 0


def test_negative_flips_count_what_was_right_and_is_wrong():
    truth = np.zeros(10, int)
    champion, candidate = np.zeros(10, int), np.zeros(10, int)
    candidate[:3] = 1
    champion[3:5] = 1
    evidence = judged(truth, candidate, champion)
    assert evidence.negative_flips == pytest.approx(0.3)
    assert evidence.difference.value == pytest.approx(-0.1)


def test_a_segment_that_loses_is_seen_though_the_whole_gains():
    truth = np.zeros(200, int)
    where = np.array(["north"] * 150 + ["south"] * 50)
    champion = np.where(np.arange(200) % 5 == 0, 1, 0)
    candidate = np.where(where == "north", 0, np.arange(200) % 2)
    evidence = judged(truth, candidate, champion, segments={"place": where})
    worst = min(evidence.segments, key=lambda segment: segment.difference)
    assert "south" in worst.segment
    assert worst.difference < 0 < evidence.difference.value


def test_errors_are_told_as_a_share_of_the_champions():
    rng = np.random.default_rng(0)
    truth = rng.normal(10, 3, 400)
    evidence = judged(
        truth, truth + 1.0, truth + 2.0, task=Task.REGRESSION, metric=METRICS["mae"][0],
        train_score=1.0,
    )  # fmt: skip
    assert evidence.difference.value == pytest.approx(0.5)  # half the error: better is positive
    assert evidence.bad_above == pytest.approx(2.0)


def test_a_first_version_is_held_against_a_constant():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    evidence = judged(truth, answers(rng, truth, 0.95), None)
    assert evidence.champion == {}
    assert evidence.difference.low > 0
