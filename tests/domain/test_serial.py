"""How many neighbours are drawn together, and that intervals over them hold what they promise."""

import numpy as np
import pytest

from tidegate.domain.intervals import deal, draws, percentile
from tidegate.domain.serial import block_length


def walk(rng, rows, stays):
    """A stationary series in which each value keeps a share of the one before."""
    made = np.empty(rows + 300)
    made[0] = rng.normal()
    for at, new in enumerate(rng.normal(size=rows + 299), start=1):
        made[at] = stays * made[at - 1] + new
    return made[300:]


@pytest.mark.parametrize("rows", [30, 200, 1000])
def test_independent_rows_are_drawn_one_by_one(rows):
    rng = np.random.default_rng(1)
    alone = [block_length(rng.normal(size=rows)) == 1 for _ in range(200)]
    assert np.mean(alone) >= 0.95


def test_the_longer_they_hang_together_the_more_are_drawn_together():
    rng = np.random.default_rng(2)
    lengths = [
        np.median([block_length(walk(rng, 1000, stays)) for _ in range(40)])
        for stays in (0.0, 0.5, 0.9)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] == 1
    assert lengths[2] >= 20


@pytest.mark.parametrize("values", [[], [1.0], [2.0] * 100, [1.0, -1.0] * 50])
def test_what_says_nothing_of_its_neighbours_is_drawn_one_by_one(values):
    assert block_length(np.array(values)) == 1


def covered(rows, stays, together):
    rng, hits = np.random.default_rng(3), 0
    for seed in range(100):
        series = walk(rng, rows, stays)
        block = deal(rows, seed, block_length(series) if together else 1)
        sums = np.column_stack([np.bincount(block), np.bincount(block, weights=series)])
        drawn = draws(sums.astype(float), seed)
        found = percentile(series.mean(), drawn[:, 1] / drawn[:, 0], 0.95, int(block.max()) + 1)
        hits += found.low <= 0 <= found.high
    return hits / 100


def test_the_interval_of_a_mean_of_neighbours_covers():
    """Nominal 95%, 1,000 rows that keep nine tenths of the one before: at least 88%; drawn one by
    one, as if they were independent, less than half."""
    assert covered(1000, 0.9, together=True) >= 0.88
    assert covered(1000, 0.9, together=False) < 0.5


def test_blocks_hold_neighbours_and_differ_by_one_at_most():
    block = deal(103, 0, 10)
    assert (np.diff(block) >= 0).all()
    sizes = np.bincount(block)
    assert len(sizes) == 10
    assert sizes.max() - sizes.min() <= 1
