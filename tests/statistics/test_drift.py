"""What the report on drift promises, by simulation: seeds are fixed, and each bound is stated."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tidegate.data.drift.drift import drift
from tidegate.data.drift.joint import separation
from tidegate.data.drift.measures import measure
from tidegate.data.profile.numbers import Numbers
from tidegate.data.profile.profile import profile_of

LEVEL = 0.05


def _table(random, rows, *, shift=0.0, share=0.05):
    """50 columns: 40 of numbers of many shapes, 10 of categories, from 2 to 185 of them.

    ``shift``: how many standard deviations the first column has moved; ``share``: of one category
    of the first column of texts.
    """
    numbers = {f"n{n}": random.standard_normal(rows) for n in range(30)}
    numbers |= {f"l{n}": random.lognormal(0, 1 + n, rows) for n in range(4)}
    numbers |= {f"i{n}": random.integers(0, 2 + 9 * n, rows).astype(float) for n in range(4)}
    numbers["gaps"] = np.where(random.random(rows) < 0.05, np.nan, random.standard_normal(rows))
    numbers["zeros"] = np.where(random.random(rows) < 0.3, 0.0, random.standard_normal(rows))
    numbers["n0"] = numbers["n0"] + shift
    texts = {"c0": random.choice(["a", "b"], rows, p=[share, 1 - share])}
    for n in range(1, 10):
        many = 5 + 20 * n
        weights = 1 / np.arange(1, many + 1)
        names = np.array([f"v{k}" for k in range(many)])
        texts[f"c{n}"] = names[random.choice(many, rows, p=weights / weights.sum())]
    return pl.DataFrame({**numbers, **texts}, nan_to_null=True)


def _compare(a, b):
    return drift(profile_of(a, "a"), profile_of(b, "b"))


def _most(trials, share):
    """Alarms that a true rate of ``share`` exceeds only once in 10,000 such tests."""
    return int(stats.binom.isf(1e-4, trials, share))


@pytest.mark.parametrize(("rows", "trials"), [(500, 100), (5000, 40), (100_000, 4), (1_000_000, 1)])
def test_without_drift_hardly_any_table_is_called_drifted(rows, trials):
    # Policy's level is one in a thousand; one in a hundred is what is promised. Each table is
    # compared with the one before it.
    random = np.random.default_rng(rows)
    profiles = (profile_of(_table(random, rows), "t") for _ in range(trials + 1))
    alarms = sum(drift(a, b).verdict == "drifted" for a, b in pairwise(profiles))
    assert alarms <= trials / 100


@pytest.mark.parametrize("moved", [{"shift": 0.1}, {"share": 0.1}], ids=str)
def test_one_column_of_fifty_that_moved_is_found_and_named(moved):
    # 0.1 standard deviations, or 5 against 10 percent of one category, at 100,000 rows. Five in
    # five at least one time in two only where 87 in 100 are found; the tests below look closer.
    random = np.random.default_rng(7)
    reference = profile_of(_table(random, 100_000), "reference")
    for _ in range(5):
        found = drift(reference, profile_of(_table(random, 100_000, **moved), "current"))
        named = [column.name for column in found.columns if column.drifted]
        assert (found.verdict, named) == ("drifted", ["n0" if "shift" in moved else "c0"])


def test_such_a_column_is_found_in_95_of_100():
    random, rows, found = np.random.default_rng(8), 100_000, np.zeros(2, int)
    for _ in range(100):
        for place, (a, b) in enumerate(
            (
                (random.standard_normal(rows), random.standard_normal(rows) + 0.1),
                *[[random.choice(["a", "b"], rows, p=[p, 1 - p]) for p in (0.05, 0.1)]],
            )
        ):
            [one], [other] = (profile_of(pl.DataFrame({"x": s}), "t").columns for s in (a, b))
            measured = measure(one, other)
            found[place] += measured.effect >= 0.02 and 51 * measured.p_value < 0.001
    assert found.min() >= 95


def test_a_hundredth_of_a_standard_deviation_at_ten_million_rows_is_no_alarm():
    # Significant by far, and too small for anyone to act on.
    random = np.random.default_rng(9)

    def side(shift):
        for _ in range(153):
            yield pl.DataFrame({"x": random.standard_normal(1 << 16) + shift})

    from tidegate.data.profile.profile import profile

    a, b = profile(side(0.0), "a"), profile(side(0.01), "b")
    assert a.rows > 10_000_000
    found = drift(a, b)
    assert found.verdict == "consistent"
    [column] = found.columns
    assert column.p_value < 1e-6
    assert column.effect == pytest.approx(0.004, abs=0.001)


def test_a_change_of_the_joint_distribution_alone_is_found():
    # Two columns of fifty change the sign of their correlation; every marginal stays what it was.
    random, found = np.random.default_rng(10), []
    for _ in range(10):
        a, b = _table(random, 5000), _table(random, 5000)
        a, b = (t.with_columns(n1=sign * 0.9 * t["n0"] + 0.436 * t["n1"])
                for t, sign in ((a, 1), (b, -1)))  # fmt: skip
        report = _compare(a, b)
        assert not any(column.drifted for column in report.columns)
        found.append(report.joint.drifted and set(report.joint.columns[:2]) == {"n0", "n1"})
    assert all(found)


@pytest.mark.parametrize(("rows", "trials"), [(200, 250), (20_000, 40)])
def test_p_values_without_drift_are_as_rare_as_they_say(rows, trials):
    random = np.random.default_rng(rows)
    alarms = np.zeros(50, int)
    for _ in range(trials):
        pair = [profile_of(_table(random, rows), "t").columns for _ in "ab"]
        alarms += [measure(a, b).p_value < LEVEL for a, b in zip(*pair, strict=True)]
    # Each of the 50 columns: no more than one in twenty.
    assert alarms.max() <= _most(trials, LEVEL)


def test_the_joint_test_is_as_rarely_wrong_as_it_says():
    random, trials = np.random.default_rng(3), 40
    columns = ["n0", "l0", "i1", "gaps", "c3"]
    found = [
        separation(_table(random, 200)[columns], _table(random, 200)[columns], columns)
        for _ in range(trials)
    ]
    assert sum(one.p_value < LEVEL for one in found) <= _most(trials, LEVEL)
    assert max(one.score for one in found) < 0.65


@pytest.mark.parametrize("rows", [(30_000, 30_000), (100_000, 3_000)])
def test_many_categories_raise_no_more_alarms(rows):
    random, trials, alarms = np.random.default_rng(4), 20, 0
    names = np.array([f"c{n}" for n in range(20_000)])
    for _ in range(trials):
        a, b = (
            profile_of(pl.DataFrame({"c": names[random.integers(0, 20_000, count)]}), "t")
            for count in rows
        )
        found = measure(a.columns[0], b.columns[0])
        alarms += found.p_value < LEVEL
        assert found.effect < 0.03
    assert alarms <= _most(trials, LEVEL)


def test_thinned_shares_are_not_biased():
    # Which row stands for its neighbours is drawn: over many batches the errors cancel.
    random = np.random.default_rng(5)
    stream, values = Numbers(), []
    for _ in range(60):
        batch = random.lognormal(0, 3, 1 << 14)
        stream.add(batch)
        values.append(batch)
    summary = stream.brief().summary
    true = np.sort(np.concatenate(values))
    ends = np.cumsum(summary.counts) / len(true)
    off = np.searchsorted(true, summary.values, side="right") / len(true) - ends
    assert abs(off.mean()) < 2e-4
