"""Folds: every row told at most once, from rows that may tell it."""

import numpy as np
import polars as pl
import pytest

from tidegate.data.bands import bands
from tidegate.data.folds import folds
from tidegate.data.noise import shaken
from tidegate.data.replay import reservoir
from tidegate.domain.errors import DataError
from tidegate.domain.model import ModelSpec


def spec(**changed):
    facts = {"model": "m", "adapter": "sklearn.ridge", "task": "binary", "target": "y"}
    return ModelSpec.model_validate(facts | changed)


def frame(rows=120):
    rng = np.random.default_rng(0)
    return pl.DataFrame({
        "when": [f"2024-01-{1 + i // 10:02d}" for i in range(rows)],
        "who": [f"p{i % 17}" for i in range(rows)],
        "x": rng.normal(size=rows),
        "y": (rng.random(rows) < 0.1).astype(int),
    })  # fmt: skip


def test_in_time_every_fold_is_told_from_what_came_before():
    made = folds(frame(), spec(time=["when"]), 4, 0)
    days = frame()["when"].to_numpy()
    assert len(made) == 4
    assert [part.how for part in made] == ["time"] * 4
    for part in made:
        assert days[part.train].max() < days[part.holdout].min()
    told = np.concatenate([part.holdout for part in made])
    assert len(told) == len(set(told))
    assert told.max() == 119


def test_a_gap_is_left_out():
    policy = {"training": {"gap_days": 2}}
    for part in folds(frame(), spec(time=["when"], policy=policy), 3, 0):
        days = pl.Series(frame()["when"]).str.to_date().to_numpy()
        assert days[part.holdout].min() - days[part.train].max() > np.timedelta64(2, "D")


def test_entities_stay_together():
    who = frame()["who"].to_numpy()
    for part in folds(frame(), spec(key="who"), 5, 0):
        assert not set(who[part.train]) & set(who[part.holdout])


def test_classes_are_dealt_in_equal_shares():
    y = frame()["y"].to_numpy()
    counts = [int(y[part.holdout].sum()) for part in folds(frame(), spec(), 3, 0)]
    assert max(counts) - min(counts) <= 1
    told = np.concatenate([part.holdout for part in folds(frame(), spec(), 3, 0)])
    assert sorted(told) == list(range(120))


def test_the_seed_decides():
    first, again, other = (folds(frame(), spec(), 3, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.holdout, b.holdout) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].holdout, other[0].holdout)


@pytest.mark.parametrize("changed", [{"time": ["when"]}, {"key": "who"}])
def test_too_few_to_tell_apart(changed):
    with pytest.raises(DataError, match="not enough"):
        folds(frame(20), spec(**changed), 19, 0)


def test_bands_are_quarters_or_values():
    numbers = bands(pl.Series("x", list(range(100))))
    names, counts = np.unique(numbers, return_counts=True)
    assert len(names) == 4
    assert counts.min() >= 24
    assert bands(pl.Series("k", ["a", None])).tolist() == ["a", "(missing)"]
    assert set(bands(pl.Series("f", [0, 1, 1, 0]))) == {"0", "1"}
    assert len(set(bands(pl.Series("c", [7.0] * 9 + [1.0, 2.0, 3.0, 4.0])))) >= 1


def test_noise_moves_measurements_alone():
    rows = pl.DataFrame({"x": [1.0, 2.0, 3.0, None], "flag": [0, 1, 1, 0], "name": list("abcd")})
    noisy = shaken(rows, rows.columns, 0.05, 0)
    assert noisy["name"].to_list() == list("abcd")
    assert noisy["flag"].to_list() == [0, 1, 1, 0]
    assert noisy["x"][3] is None
    assert noisy["x"].to_list()[:3] != [1.0, 2.0, 3.0]
    assert (noisy["x"] - rows["x"]).abs().max() < 0.5


def test_a_reservoir_draws_evenly_from_all_frames():
    frames = [pl.DataFrame({"at": range(start, start + 100)}) for start in (0, 100, 200)]
    hits = np.zeros(300)
    for seed in range(400):
        drawn = reservoir(frames, 30, seed)["at"].to_numpy()
        assert len(set(drawn)) == 30
        assert (np.diff(drawn) > 0).all()
        hits[drawn] += 1
    thirds = hits.reshape(3, 100).sum(axis=1) / hits.sum()
    assert np.abs(thirds - 1 / 3).max() < 0.015
    assert reservoir(frames, 1000, 0).height == 300
    assert reservoir([], 5, 0) is None
    assert reservoir(frames, 0, 0) is None
