"""How often drift is seen where there is none, by simulation; seeds are fixed."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tidegate.data.distribution import distribution
from tidegate.data.drift import EFFECT, consistency, effect_size, holm, p_value
from tidegate.data.joint import separation
from tidegate.data.profile import compare_profiles, profile

LEVEL = 0.05


def _frame(random, rows):
    x = random.normal(size=rows)
    city = random.choice([f"c{n}" for n in range(12)], rows, p=np.arange(1, 13) / 78)
    return pl.DataFrame(
        {
            "gaps": np.where(random.random(rows) < 0.1, np.nan, x),
            "few": random.integers(0, 4, rows),
            "skewed": random.lognormal(0, 2, rows),
            "city": city,
        }
    )


def _most(trials, share):
    """Alarms that a true rate of ``share`` exceeds only once in 10,000 such tests."""
    return int(stats.binom.isf(1e-4, trials, share))


@pytest.mark.parametrize(("rows", "trials"), [(200, 250), (20_000, 40)])
def test_p_values_without_drift_are_as_rare_as_they_say(rows, trials):
    random = np.random.default_rng(rows)
    alarms, reported, effects = np.zeros(5, int), 0, []
    for _ in range(trials):
        a, b = _frame(random, rows), _frame(random, rows)
        pairs = [(distribution(a[name]), distribution(b[name])) for name in a.columns]
        p_values = [p_value(*pair) for pair in pairs]
        alarms += [*(p < LEVEL for p in p_values), min(holm(p_values)) < LEVEL]
        reported += consistency(pairs, None, EFFECT, 0.01, 0.0).verdict == "drifted"
        effects.append([effect_size(*pair) for pair in pairs])
    # Each column alone, and any of them once corrected: no more than one in twenty.
    assert alarms.max() <= _most(trials, LEVEL)
    # Reports ask for an effect too: no more than one in a hundred.
    assert reported <= _most(trials, 0.01)
    # Freed of its bias the index is near nothing; a raw one would be about 9 (2 / rows).
    assert np.mean(effects) < 5 / rows


def test_the_joint_test_is_as_rarely_wrong_as_it_says():
    random, trials = np.random.default_rng(3), 30
    found = [separation(_frame(random, 200), _frame(random, 200), ["gaps", "few", "skewed", "city"])
             for _ in range(trials)]  # fmt: skip
    assert sum(one.p_value < LEVEL for one in found) <= _most(trials, LEVEL)
    assert max(one.score for one in found) < 0.65


@pytest.mark.parametrize("rows", [(20_000, 20_000), (100_000, 2_000)])
def test_profiles_of_many_categories_raise_no_more_alarms(rows):
    random, trials = np.random.default_rng(4), 20
    names = np.array([f"c{n}" for n in range(400)])
    alarms = 0
    for _ in range(trials):
        a, b = (
            profile(pl.DataFrame({"c": names[random.integers(0, 400, count)]}), "a")
            for count in rows
        )
        [column] = compare_profiles(a, b).columns
        alarms += column.p_value < LEVEL
        assert column.effect < 0.05
    assert alarms <= _most(trials, LEVEL)
