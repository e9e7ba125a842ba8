"""Metrics agree with scikit-learn, and their intervals cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from tidegate.domain.intervals import interval_of, wilson
from tidegate.domain.metrics import METRICS, Task, losses, scores

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)
NUMBERS = st.lists(st.tuples(st.floats(-99, 99), st.floats(-99, 99)), min_size=2, max_size=60)


@given(PAIRS)
def test_classification(pairs):
    truth, said = map(np.array, zip(*pairs, strict=True))
    found = scores(Task.MULTICLASS, truth, said)
    options = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, said))
    for name in ("precision", "recall", "f1"):
        expected = getattr(reference, f"{name}_score")(truth, said, **options)
        assert found[name] == pytest.approx(expected)
    assert losses(Task.MULTICLASS, truth, said).mean() == pytest.approx(1 - found["accuracy"])


@given(NUMBERS)
def test_regression(pairs):
    truth, said = map(np.array, zip(*pairs, strict=True))
    found = scores(Task.REGRESSION, truth, said)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, said))
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(truth, said))
    if np.ptp(truth) > 1e-6:
        assert found["r2"] == pytest.approx(reference.r2_score(truth, said), rel=1e-6, abs=1e-6)


def test_words_and_numbers_are_classes_alike():
    truth, said = np.array(["up", "down", "up"]), np.array(["up", "up", "up"])
    assert scores(Task.BINARY, truth, said)["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("share", "n"), [(0.02, 60), (0.5, 30), (0.9, 200)])
def test_wilson_covers(share, n):
    """Exactly: the coverage at 95% summed over all outcomes stays above 92%."""
    from scipy.stats import binom

    covered = 0.0
    for k in range(n + 1):
        interval = wilson(k, n, 0.95)
        covered += binom.pmf(k, n, share) * (interval.low <= share <= interval.high)
    assert covered > 0.92


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_the_bootstrap_covers(metric):
    """200 draws of 150 normal errors; nominal 95%, at least 89% (four standard errors)."""
    rng, covered = np.random.default_rng(1), 0
    expected = {"mae": np.sqrt(2 / np.pi), "rmse": 1.0}[metric]
    for seed in range(200):
        truth = rng.normal(size=150)
        interval = interval_of(
            metric, Task.REGRESSION, truth, truth + rng.normal(size=150), confidence=0.95, seed=seed
        )
        covered += interval.low <= expected <= interval.high
    assert covered / 200 >= 0.89


@given(PAIRS, st.sampled_from(["accuracy", "precision", "recall", "f1"]))
def test_an_interval_holds_its_value(pairs, metric):
    truth, said = map(np.array, zip(*pairs, strict=True))
    interval = interval_of(metric, Task.MULTICLASS, truth, said, confidence=0.9, seed=0)
    assert interval.low <= interval.value <= interval.high
    assert interval.value == pytest.approx(METRICS[metric][1](truth, said))
