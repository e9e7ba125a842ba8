"""After the promotion: more bad answers than before are found, and as many seldom are."""

import numpy as np
import pytest

from tidegate.domain.rollout import Known
from tidegate.release.watch import MIN_KNOWN, watch_e_value

ALPHA, LINE, RUNS = 0.05, 20.0, 400
BEFORE = Known(labels=998, bad=149)  # 0.15 with one more of each kind


def reached(rate, labels, margin):
    """In how many runs the line was ever reached, looked at after each label."""
    rng = np.random.default_rng(1)
    bad = (rng.random((RUNS, labels)) < rate).cumsum(axis=1)
    steps = range(4, labels, 5)
    return np.mean(
        [
            any(
                watch_e_value(BEFORE, Known(labels=at + 1, bad=int(run[at])), margin) >= LINE
                for at in steps
            )
            for run in bad
        ]
    )


@pytest.mark.parametrize("rate", [0.15, 0.20])
def test_up_to_the_margin_it_is_seldom_taken_back(rate):
    assert reached(rate, 500, 0.05) <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


def test_twice_as_often_is_found():
    assert reached(0.30, 500, 0.05) > 0.9


def test_where_too_little_is_known_nothing_is_shown():
    after = Known(labels=500, bad=500)
    assert watch_e_value(None, after, 0.05) == 1.0
    assert watch_e_value(Known(labels=MIN_KNOWN - 1, bad=0), after, 0.05) == 1.0
    assert watch_e_value(Known(labels=MIN_KNOWN, bad=0), after, 0.05) > 1e6
    assert watch_e_value(Known(labels=1000, bad=980), after, 0.05) == 1.0


def test_no_answer_yet_is_no_evidence():
    assert watch_e_value(BEFORE, Known(), 0.05) == 1.0
