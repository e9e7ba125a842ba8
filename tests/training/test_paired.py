"""Two models on the same rows: exact tests, areas under curves, and intervals that cover."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.predictor import Predictions
from tidegate.training.validation.calibration import brier
from tidegate.training.validation.paired import area_difference, area_interval, areas, mcnemar
from tidegate.training.validation.validate import found_segments, validate


@pytest.mark.parametrize(("better", "worse"), [(3, 7), (0, 5), (12, 12), (1, 0)])
def test_mcnemar_is_a_coin_thrown_for_every_row_that_differs(better, worse):
    expected = stats.binomtest(better, better + worse).pvalue
    assert mcnemar(better, worse) == pytest.approx(expected)


def test_mcnemar_keeps_its_level():
    """2,000 pairs of equally good models: a p-value below 5% in at most 5 of 100."""
    rng = np.random.default_rng(1)
    flips = rng.binomial(60, 0.5, 2000)
    assert np.mean([mcnemar(int(b), 60 - int(b)) < 0.05 for b in flips]) <= 0.05


def scores(rng, truth, shift):
    return rng.normal(truth * shift, 1)


def test_areas_are_those_of_scikit_learn_ties_included():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    both = np.stack([scores(rng, truth, 1.0), np.round(scores(rng, truth, 0.5), 1)])
    found = areas(truth, both)
    assert found.values == pytest.approx([roc_auc_score(truth, row) for row in both])


def test_the_interval_of_an_area_covers():
    """500 samples of 200 rows with a true area of 0.76; nominal 95%, at least 92%."""
    rng, true = np.random.default_rng(2), stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for _ in range(500):
        truth = np.arange(200) < 60
        found = areas(truth, scores(rng, truth, 1.0)[None])
        interval = area_interval(found.values[0], found.covariance[0, 0], 60, 0.95)
        covered += interval.low <= true <= interval.high
    assert covered / 500 >= 0.92


def test_the_difference_of_two_equal_areas_keeps_its_level():
    """600 pairs of correlated scores that are equally good: below 5% in at most 7 of 100."""
    rng, below = np.random.default_rng(3), 0
    for _ in range(600):
        truth = np.arange(300) < 100
        shared = rng.normal(truth * 0.8, 1)
        both = np.stack([shared + rng.normal(0, 0.5, 300) for _ in range(2)])
        below += area_difference(areas(truth, both), 0.95)[1] < 0.05
    assert below / 600 <= 0.07


def test_a_perfect_curve_still_has_an_interval():
    truth = np.arange(20) < 10
    found = areas(truth, truth[None].astype(float))
    interval = area_interval(found.values[0], found.covariance[0, 0], 10, 0.95)
    assert interval.value == interval.high == 1
    assert 0.5 < interval.low < 0.8


@pytest.mark.parametrize("truth", [[True, False], [True] + [False] * 200, [False] + [True] * 9])
def test_one_row_of_a_class_says_nothing_of_a_difference(truth):
    truth = np.array(truth)
    both = np.stack([truth.astype(float), 1 - truth.astype(float)])
    interval, p = area_difference(areas(truth, both), 0.95)
    assert (interval.value, interval.low, interval.high, p) == (1.0, -1.0, 1.0, 1.0)


def test_labels_that_are_numbers_are_compared_as_numbers():
    said = Predictions(np.array([0, 1, 1]), [0, 1], np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    whole, broken = np.array([0, 1, 0]), np.array([0.0, 1.0, 0.0])
    assert brier(broken, said) == brier(whole, said) == pytest.approx((0.01 + 0.04 + 0.36) / 3)
    assert METRICS["f1"][1](broken, said.values) == METRICS["f1"][1](whole, said.values) > 0.5


def predictions(probability):
    return Predictions(
        np.where(probability > 0.5, "yes", "no"), ["no", "yes"],
        np.column_stack([1 - probability, probability]),
    )  # fmt: skip


def judged(truth, candidate, champion):
    return validate(
        Task.BINARY, METRICS["accuracy"][0], truth, candidate, champion, np.full(len(truth), "no"),
        confidence=0.95, segments={}, min_segment_rows=20, train_score=None, bad_quantile=0.9,
        seed=0,
    )  # fmt: skip


def test_evidence_pairs_rows_areas_and_promises():
    rng = np.random.default_rng(4)
    chance = rng.random(2000)
    truth = np.where(rng.random(2000) < chance, "yes", "no")
    bold = np.clip(0.5 + (chance - 0.5) * 3 + rng.normal(0, 0.5, 2000), 0.01, 0.99)
    evidence = judged(truth, predictions(chance), predictions(bold))
    assert evidence.paired.better > evidence.paired.worse
    assert evidence.paired.p_value < 0.05
    assert evidence.paired.auc.low > 0
    assert evidence.candidate["auc"].value > evidence.champion["auc"].value
    # Promised as it comes, and promised too boldly.
    assert evidence.calibration.error < 3 * evidence.calibration.chance
    assert evidence.champion_calibration.error > 5 * evidence.champion_calibration.chance
    assert evidence.calibration.brier < evidence.champion_calibration.brier


def test_without_probabilities_there_is_no_area():
    truth = np.array(["yes", "no"] * 50)
    evidence = judged(truth, Predictions(truth), Predictions(truth[::-1].copy()))
    assert "auc" not in evidence.candidate
    assert evidence.paired.better == 100
    assert evidence.calibration is None


COLUMNS = {
    "place": ("north", "south", "east", "west"),
    "kind": ("a", "b", "c"),
    "noise": ("0", "1", "2", "3", "4"),
}


def world(rng, rows):
    return {name: rng.choice(values, rows) for name, values in COLUMNS.items()}


def searched(rng, worse_where=None, rows=4000):
    columns = world(rng, rows)
    truth = np.zeros(rows, int)
    champion = (rng.random(rows) < 0.1).astype(int)
    candidate = (rng.random(rows) < 0.1).astype(int)
    if worse_where is not None:
        here = worse_where(columns)
        candidate[here] = rng.random(int(here.sum())) < 0.35
    return found_segments(
        Task.BINARY, METRICS["accuracy"][0], truth, candidate, champion, columns, min_rows=50,
        seed=0,
    )  # fmt: skip


def test_a_segment_nobody_declared_is_found_by_name():
    rng = np.random.default_rng(5)
    found = searched(rng, lambda c: (c["place"] == "south") & (c["kind"] == "b"))
    names = {frozenset(one.segment.split(" & ")) for one in found}
    assert frozenset({"place=south", "kind=b"}) in names
    worst = min(found, key=lambda one: one.difference)
    assert worst.difference < -0.1
    assert worst.p_value < 0.001


def test_segments_are_seldom_found_where_there_are_none():
    """200 pairs of equally good models: a segment told in at most 7 of 100 (nominal 5)."""
    rng = np.random.default_rng(6)
    told = sum(bool(searched(rng, rows=1500)) for _ in range(200))
    assert told / 200 <= 0.07
