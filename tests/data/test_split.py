import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.split import split
from tidegate.domain.errors import WrongUsage
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


def test_file_order_where_it_is_time_order():
    parts = split(pl.DataFrame({"y": range(10)}), _spec(), 0.3, seed=0, ordered=True)
    assert (parts.how, parts.holdout.tolist()) == ("order", [7, 8, 9])


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
