"""Whether what a model calls 80% comes true 80 times in 100."""

import numpy as np

from tidegate.domain.metrics import alike
from tidegate.domain.predictor import Array, Predictions
from tidegate.domain.validation import Calibration, CalibrationBin

BINS = 10


def brier(truth: Array, said: Predictions) -> float | None:
    """Mean squared distance of the probabilities from what came true, over all classes halved, so
    that it is the same for two: 0 to 1 (Brier 1950). None without probabilities."""
    if said.probabilities is None or said.classes is None or len(truth) == 0:
        return None
    return float(np.mean(np.sum((said.probabilities - came_true(truth, said)) ** 2, axis=1)) / 2)


def calibration(truth: Array, said: Predictions) -> Calibration | None:
    """Promised and observed shares in bins of as many rows each; None without probabilities.

    With two classes of the probability of the second; with more, of the answer given being right
    (Guo et al. 2017, arXiv:1706.04599).
    """
    distance = brier(truth, said)
    if distance is None or said.probabilities is None:
        return None
    came = came_true(truth, said)
    if came.shape[1] == 2:
        promised, true = said.probabilities[:, 1], came[:, 1]
    else:
        top = np.argmax(said.probabilities, axis=1)
        promised, true = said.probabilities.max(axis=1), came[np.arange(len(top)), top]
    order = np.argsort(promised, kind="stable")
    bins = [
        CalibrationBin(
            rows=len(rows), promised=float(promised[rows].mean()), observed=float(true[rows].mean())
        )
        for rows in np.array_split(order, BINS)
        if len(rows)
    ]
    weights = [each.rows / len(truth) for each in bins]
    error = sum(w * abs(b.promised - b.observed) for w, b in zip(weights, bins, strict=True))
    # A share of n rows is off by this much on average though every promise is kept.
    chance = sum(
        w * np.sqrt(2 / np.pi * b.promised * (1 - b.promised) / b.rows)
        for w, b in zip(weights, bins, strict=True)
    )
    return Calibration(bins=bins, error=float(error), chance=float(chance), brier=distance)


def came_true(truth: Array, said: Predictions) -> Array:
    """Which class came true, bool ``(n_rows, n_classes)``."""
    labels, classes = alike(truth, np.asarray(said.classes or []))
    came: Array = labels[:, None] == classes[None, :]
    return came
