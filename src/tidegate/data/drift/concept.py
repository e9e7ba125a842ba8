"""Whether what is to be learned has changed: how the current version errs on the new rows."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegate.domain.drift import ConceptDrift, grade_of
from tidegate.domain.metrics import Task
from tidegate.domain.policy import DataPolicy
from tidegate.domain.validation import Interval

#: Fewer labelled rows say too little of how a version errs.
MIN_ROWS = 50


def concept_drift(
    task: Task,
    before: Interval,
    rows_before: int,
    confidence: float,
    losses: NDArray[np.float64],
    policy: DataPolicy,
) -> ConceptDrift | None:
    """The version's errors on its hold-out against those on new rows; None on too few rows.

    ``before``: its accuracy there, or for regression its mean absolute error, with an interval of
    ``confidence``; ``losses``: of each new row, 1 where a class is wrong, or the absolute error.
    Shares are compared by a test of two proportions, errors by one of two means of unequal spread
    (Welch 1947, normal, as both sides are large). It has drifted where that is surer than policy's
    significance and the share of errors, or the error relative to before, moved by policy's effect.
    """
    n, m = rows_before, len(losses)
    if min(n, m) < MIN_ROWS:
        return None
    now = float(losses.mean())
    if task is Task.REGRESSION:
        was, effect = before.value, abs(now - before.value) / (before.value or 1.0)
        # Half an interval is so many standard errors wide.
        wide = float(special.ndtri((1 + confidence) / 2))
        spread = math.hypot(
            (before.high - before.low) / 2 / wide, float(losses.std()) / math.sqrt(m)
        )
    else:
        was, effect = 1 - before.value, abs(now - (1 - before.value))
        middle = (was * n + now * m) / (n + m)
        spread = math.sqrt(middle * (1 - middle) * (1 / n + 1 / m))
    p = 2 * float(special.ndtr(-abs(now - was) / spread)) if spread else float(now == was)
    drifted = p < policy.significance and effect >= policy.drift_effect
    return ConceptDrift(
        drifted=drifted,
        metric="mae" if task is Task.REGRESSION else "error",
        before=was,
        now=now,
        rows_before=n,
        rows_now=m,
        p_value=p,
        grade=grade_of(effect) if drifted else None,
    )
