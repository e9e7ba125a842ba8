import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.split import split
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.model import ModelSpec


def _spec(task="regression", **given):
    adapter = "ridge" if task == "regression" else "logistic"
    return ModelSpec(model="m", adapter=adapter, task=task, target="y", **given)


DAYS = st.lists(st.none() | st.integers(1, 28), min_size=1, max_size=40)
SHARES = st.floats(0.05, 0.9)


def _both(parts):
    return sorted([*parts.train.tolist(), *parts.holdout.tolist()])


@given(DAYS, SHARES, st.data())
@settings(max_examples=150)
def test_by_time_the_newest_rows_are_kept_aside(days, share, data):
    labels = data.draw(st.lists(st.none() | st.just(1.0), min_size=len(days), max_size=len(days)))
    when = [None if day is None else f"2011-01-{day:02d}" for day in days]
    frame = pl.DataFrame({"y": labels, "t": when}, schema={"y": pl.Float64, "t": pl.String})
    parts = split(frame, _spec(time=["t"]), share, seed=0)
    labelled = [row for row, label in enumerate(labels) if label is not None]
    assert _both(parts) == labelled
    moments = {days[row] for row in labelled}
    assert parts.how == ("time" if len(moments) > 1 else "random")
    if parts.how == "random":
        return
    assert len(parts.train)
    assert len(parts.holdout)
    kept = [days[row] for row in parts.holdout]
    assert None not in kept
    trained = [days[row] for row in parts.train if days[row] is not None]
    assert not trained or max(trained) < min(kept)


def test_the_size_is_the_share_where_moments_differ():
    times = pl.datetime_range(
        pl.datetime(2011, 1, 1), pl.datetime(2011, 1, 9), "1h", eager=True
    ).dt.to_string("iso")
    shuffled = times.sample(fraction=1, shuffle=True, seed=3)
    frame = pl.DataFrame({"y": range(len(times)), "t": shuffled})
    parts = split(frame, _spec(time=["t"]), 0.2, seed=0)
    assert len(parts.holdout) == round(0.2 * len(times))
    assert shuffled[parts.train.tolist()].max() < shuffled[parts.holdout.tolist()].min()
    assert parts.train.tolist() == sorted(parts.train.tolist())


@given(DAYS, SHARES, st.sampled_from([0.5, 1.0, 3.0, 40.0]))
@settings(max_examples=150)
def test_rows_in_the_gap_before_the_hold_out_are_in_neither(days, share, gap):
    when = [None if day is None else f"2011-01-{day:02d}" for day in days]
    frame = pl.DataFrame({"y": [1.0] * len(days), "t": when}, schema_overrides={"t": pl.String})
    whole = split(frame, _spec(time=["t"]), share, seed=0)
    if whole.how != "time":
        return
    first = min(days[row] for row in whole.holdout)
    wanted = [row for row in whole.train if days[row] is None or first - days[row] >= gap]
    if not wanted:
        with pytest.raises(DataError, match=rf"gap of {gap:g} days.*begins at 2011-01-{first:02d}"):
            split(frame, _spec(time=["t"]), share, seed=0, gap_days=gap)
        return
    parts = split(frame, _spec(time=["t"]), share, seed=0, gap_days=gap)
    assert (parts.train.tolist(), parts.holdout.tolist()) == (wanted, whole.holdout.tolist())


KEYS = st.lists(st.none() | st.sampled_from("abcdefgh"), min_size=1, max_size=60)


@given(KEYS, SHARES, st.integers(0, 9), st.sampled_from(["regression", "multiclass"]))
@settings(max_examples=150)
def test_no_entity_is_on_both_sides(keys, share, seed, task):
    frame = pl.DataFrame(
        {"y": range(len(keys)), "user": keys}, schema_overrides={"user": pl.String}
    )
    parts = split(frame, _spec(task, key="user"), share, seed)
    assert _both(parts) == list(range(len(keys)))
    sizes = [keys.count(key) for key in set(keys) - {None}] + [1] * keys.count(None)
    if len(sizes) == 1 or max(sizes) == 1:
        assert parts.how == ("random" if task == "regression" else "stratified")
        return
    assert parts.how == "grouped"
    assert len(parts.train)
    assert len(parts.holdout)
    sides = [{keys[row] for row in side} - {None} for side in (parts.train, parts.holdout)]
    assert sides[0].isdisjoint(sides[1])
    # Whatever else had been put aside, one more would have missed the share by more.
    wanted = min(max(round(len(keys) * share), 1), len(keys) - 1)
    short = wanted - len(parts.holdout)
    trained = [keys.count(key) for key in sides[0]] + [1] * sum(
        keys[r] is None for r in parts.train
    )
    assert short <= 0 or all(abs(size - short) >= short or len(trained) == 1 for size in trained)


def test_entities_are_drawn_alike_whatever_the_order_of_the_rows():
    frame = pl.DataFrame({"y": range(60), "user": [row % 12 for row in range(60)]})
    turned = frame.reverse()
    there, back = (split(rows, _spec(key="user"), 0.25, seed=3) for rows in (frame, turned))
    assert set(frame["user"][there.holdout.tolist()]) == set(turned["user"][back.holdout.tolist()])
    assert len(there.holdout) == 15


def test_an_entity_of_nearly_all_rows_is_trained_on():
    frame = pl.DataFrame({"y": range(100), "user": ["big"] * 90 + ["a", "b"] * 5})
    for seed in range(10):
        parts = split(frame, _spec(key="user"), 0.1, seed)
        assert set(frame["user"][parts.holdout.tolist()]) == {"a", "b"}


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=60), SHARES, st.integers(0, 9))
@settings(max_examples=150)
def test_every_class_is_shared_out_alike(labels, share, seed):
    frame = pl.DataFrame({"y": labels}, schema={"y": pl.String})
    parts = split(frame, _spec("multiclass"), share, seed)
    assert _both(parts) == [row for row, label in enumerate(labels) if label is not None]
    assert parts.how == "stratified"
    for label in {"a", "b", "c"} & set(labels):
        rows = labels.count(label)
        kept = sum(labels[row] == label for row in parts.holdout)
        assert kept == (0 if rows == 1 else min(max(round(rows * share), 1), rows - 1))
    again = split(frame, _spec("multiclass"), share, seed)
    assert np.array_equal(parts.train, again.train)


def test_numbers_for_classes_are_shared_out_too():
    frame = pl.DataFrame({"y": [0] * 90 + [1] * 10})
    parts = split(frame, _spec("binary"), 0.2, seed=1)
    assert sum(row >= 90 for row in parts.holdout) == 2
    assert len(parts.holdout) == 20


@given(st.integers(0, 50), SHARES, st.integers(0, 9))
def test_a_draw_keeps_the_share(rows, share, seed):
    parts = split(pl.DataFrame({"y": [0.5] * rows}), _spec(), share, seed)
    assert _both(parts) == list(range(rows))
    wanted = min(max(round(rows * share), 1), rows - 1) if rows > 1 else 0
    assert (parts.how, len(parts.holdout)) == ("random", wanted)


def test_every_row_is_as_likely_to_be_kept():
    frame = pl.DataFrame({"y": [0.5] * 40})
    counts = np.zeros(40)
    for seed in range(500):
        counts[split(frame, _spec(), 0.25, seed).holdout] += 1
    # 125 expected, standard deviation 9.7: five of them either way, over 40 rows.
    assert np.abs(counts - 125).max() < 5 * 9.7


def test_a_draw_is_found_again_years_later():
    parts = split(pl.DataFrame({"y": range(12)}), _spec(), 0.25, seed=7)
    assert parts.holdout.tolist() == [3, 6, 11]


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_that_leaves_a_side_empty(share):
    with pytest.raises(WrongUsage, match="hold-out share"):
        split(pl.DataFrame({"y": [1.0]}), _spec(), share, seed=0)
