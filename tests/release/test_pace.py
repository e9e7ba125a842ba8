"""The rows of a call fit into its budget, whatever a row takes, and grow back."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.release.pace import Pace

BUDGET, MOST = 0.05, 512


def calls(pace, fixed, each, count=60):
    """Seconds of so many full calls of a model, one after the other."""
    took = []
    for _ in range(count):
        rows = pace.rows
        took.append(fixed + each * rows)
        pace.took(rows, took[-1])
    return took


@given(st.floats(0, 0.02), st.floats(1e-6, 0.2))
def test_calls_come_to_fit_and_stay_near_the_budget(fixed, each):
    pace = Pace(budget=BUDGET, most=MOST)
    took = calls(pace, fixed, each)[-20:]
    assert pace.rows >= 1
    if fixed + each <= BUDGET:
        assert sum(one <= BUDGET for one in took) >= 10
        assert max(took) <= 2 * BUDGET + fixed
        assert pace.rows == MOST or max(took) >= BUDGET / 3
    else:
        assert pace.rows == 1


def test_it_grows_back_when_calls_are_quick_again():
    pace = Pace(budget=BUDGET, most=MOST)
    calls(pace, 0.0, 0.01)
    assert pace.rows <= 5
    calls(pace, 0.0, 1e-6)
    assert pace.rows == MOST


def test_small_calls_say_nothing_of_large_ones():
    pace = Pace(budget=BUDGET, most=MOST)
    pace.took(512, 0.4)
    known = pace.rows
    for _ in range(100):
        pace.took(1, 0.001)
    assert pace.rows == known


def test_one_that_begins_small_grows_as_it_proves_quick():
    pace = Pace(budget=BUDGET, most=MOST, first=16)
    assert pace.rows == 16
    calls(pace, 0.0, 1e-6, count=5)
    assert pace.rows == MOST
