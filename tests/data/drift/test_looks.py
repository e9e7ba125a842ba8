"""Each way of looking at a column has a size and a certainty of its own."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tidegate.data.drift.drift import drift
from tidegate.data.drift.measures import Look, Measured, chi_square, measure, pooled, two_by_two
from tidegate.data.drift.novelty import novelty
from tidegate.data.drift.words import words
from tidegate.data.profile.profile import profile_of
from tidegate.domain.drift import Grade


def _report(a, b):
    sides = [pl.DataFrame({"x": side}, nan_to_null=True) for side in (a, b)]
    [column] = drift(profile_of(sides[0], "a"), profile_of(sides[1], "b")).columns
    return column


def test_size_and_certainty_are_of_one_look():
    # A large difference that may be chance, beside a sure one that is small.
    found = Measured([Look(0.3, 0.2), Look(0.01, 1e-9)])
    assert found.told(0.02, 0.001) == Look(0.3, 0.4)
    assert Measured([Look(0.3, 0.2), Look(0.05, 1e-9)]).told(0.02, 0.001) == Look(0.05, 2e-9)
    assert Measured([Look(0.9, 1e-9), Look(0.05, 0.0)]).told(0.02, 0.001) == Look(0.9, 2e-9)
    assert Measured([Look(0.01, 0.5)]).told(0.02, 0.001) == Look(0.01, 0.5)
    assert Measured([]).told(0.02, 0.001) == Look(0.0, 1.0)


@pytest.mark.parametrize(
    "table", [(0, 10, 5, 10), (60, 200_000, 1, 80), (3, 50, 3, 50), (1, 1, 0, 1), (40, 100, 2, 9)]
)
def test_few_rows_are_weighed_exactly(table):
    k, n, j, m = table
    less, more = (
        stats.fisher_exact([[k, n - k], [j, m - j]], alternative=side).pvalue
        for side in ("less", "greater")
    )
    assert two_by_two(*table) == pytest.approx(min(1, 2 * min(less, more)), rel=1e-6)


def test_many_rows_are_weighed_as_the_textbook_does():
    known = stats.chi2_contingency([[480, 520], [530, 470]], correction=False).pvalue
    assert two_by_two(480, 1000, 530, 1000) == pytest.approx(known, rel=0.01)
    assert two_by_two(0, 100, 0, 50) == two_by_two(100, 100, 50, 50) == 1


def test_cells_that_are_too_rare_stand_together():
    before, after = np.array([100_000, 50_000, 30, 20, 10]), np.array([60, 30, 1, 0, 0])
    a, b = pooled(before, after)
    assert (a.sum(), b.sum()) == (before.sum(), after.sum())
    assert np.all((a + b) * b.sum() / (a.sum() + b.sum()) >= 5)
    assert chi_square(a, b) > 0.01


def test_a_sentinel_amid_the_values_is_found():
    random = np.random.default_rng(0)
    for rows, share in ((5000, 0.03), (2000, 0.05), (500, 0.1)):
        a, b = random.normal(size=(2, rows))
        b[: int(share * rows)] = 0.0
        column = _report(a, b)
        assert column.drifted, rows
        assert column.effect == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros(5000), np.repeat([0.0, 1.0], 2500)),
        (np.arange(3000.0), np.where(np.arange(3000) < 60, np.arange(3000.0, 6000.0), np.nan)),
        (np.full(3000, 5.0), np.where(np.arange(3000) < 10, 5.0, 1e6)),
    ],
    ids=["a step", "a counter that is lost", "a jump"],
)
def test_what_goes_up_once_has_changed(a, b):
    column = _report(a, b)
    assert (column.drifted, column.judged) == (True, True)


def test_codes_that_turn_to_text_have_changed_their_kind():
    codes = np.random.default_rng(0).integers(10_000, 99_999, 30_000)
    a, b = pl.Series("x", codes), pl.Series("x", [*map(str, codes[1:]), "n.a."])
    found = drift(profile_of(a.to_frame(), "a"), profile_of(b.to_frame(), "b")).columns[0]
    assert (found.drifted, found.grade) == (True, Grade.LARGE)
    assert found.detail.text() == "it held numeric, and now categorical"


def test_a_catalogue_that_was_replaced_is_found_and_names_that_are_always_new_are_not():
    random = np.random.default_rng(1)

    def codes(prefix, many, rows=20_000):
        return [f"{prefix}{n}" for n in random.integers(0, many, rows)]

    assert _report(codes("a", 30_000), codes("b", 30_000)).grade in (Grade.MEDIUM, Grade.LARGE)
    assert not _report(codes("a", 30_000), codes("a", 30_000)).drifted
    ids = [f"u{n}" for n in range(40_000)]
    assert not _report(ids[:20_000], ids[20_000:]).drifted


def _most(trials, share):
    """Alarms that a true rate of ``share`` exceeds only once in 10,000 such tests."""
    return int(stats.binom.isf(1e-4, trials, share))


@pytest.mark.parametrize(("rows", "few"), [(50_000, 60), (50_000, 200), (3000, 3000)])
def test_looks_are_as_rarely_wrong_as_they_say(rows, few):
    random, trials, alarms = np.random.default_rng(few), 60, np.zeros(3, int)
    weights = 1 / np.arange(1, 3001)
    names = np.array([f"n{k}" for k in range(3000)])

    def column(kind, count):
        if kind == 0:
            values = random.normal(size=count)
            return np.where(random.random(count) < 0.001, np.nan, values)
        texts = names[random.choice(3000, count, p=weights / weights.sum())]
        if kind == 1:
            return [None if gone else text for text, gone in
                    zip(texts, random.random(count) < 0.2, strict=True)]  # fmt: skip
        said = random.choice(3000, (count, 8), p=weights / weights.sum())
        return [" ".join(names[row]) for row in said]

    for _ in range(trials):
        for kind in (0, 1):
            a, b = (profile_of(pl.DataFrame({"x": column(kind, count)}, nan_to_null=True), "t")
                    for count in (rows, few))  # fmt: skip
            alarms[kind] += measure(a.columns[0], b.columns[0]).p_value < 0.05
        a, b = (pl.Series(column(2, min(count, 2000))) for count in (rows, few))
        alarms[2] += words(a, b).p_value < 0.05
    assert alarms.max() <= _most(trials, 0.05)


def test_novelty_is_as_rarely_wrong_as_it_says():
    random, trials, alarms = np.random.default_rng(2), 200, np.zeros(2, int)
    names = np.array([f"n{k}" for k in range(30_000)])
    for _ in range(trials):
        a, b = (pl.Series(names[random.integers(0, 30_000, 5000)]) for _ in "ab")
        alarms += [look.p_value < 0.01 for look in novelty(a, b)]
    assert alarms.max() <= _most(trials, 0.01)
