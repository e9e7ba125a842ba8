import numpy as np
import polars as pl
import pytest

from tidegate.data.leakage import leaks
from tidegate.data.split import split
from tidegate.domain.model import ModelSpec


def _found(frame, task="binary", **spec):
    adapter = "ridge" if task == "regression" else "logistic"
    spec = ModelSpec(model="m", adapter=adapter, task=task, target="y", **spec)
    return leaks(frame, split(frame, spec, 0.25, seed=0), spec)


def _rows(seed=0, count=400):
    rng = np.random.default_rng(seed)
    return pl.DataFrame({"y": np.arange(count) % 2, "x": rng.normal(size=count)})


def test_honest_rows_leak_nothing():
    rng = np.random.default_rng(1)
    honest = _rows().with_columns(
        good=pl.col("y") + pl.Series(rng.normal(0, 0.3, 400)),
        city=pl.Series(rng.choice(["Rome", "Oslo"], 400)),
        id=pl.Series([f"u{n}" for n in range(400)]),
        none=pl.lit(None, pl.Float64),
        same=pl.lit(1),
    )
    assert _found(honest) == []
    assert _found(honest.with_columns(y=pl.col("x") * 3 + pl.col("good")), "regression") == []


COPIES = {
    "the same": pl.col("y"),
    "another unit": 3.5 - 2 * pl.col("y"),
    "a text": pl.when(pl.col("y") == 1).then(pl.lit("paid")).otherwise(pl.lit("open")),
    "filled for one class": pl.when(pl.col("y") == 1).then(pl.col("x")),
    "text for one class": pl.when(pl.col("y") == 1).then(pl.lit("closed")),
    "ranges apart": pl.col("x") + 100 * pl.col("y"),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("rows", [400, 9000])
def test_a_column_that_tells_the_class_is_named(how, rows):
    [leak] = _found(_rows(count=rows).with_columns(copy=COPIES[how]))
    assert (leak.kind, leak.column, leak.share) == ("target_copy", "copy", 1.0)
    assert "column 'copy' tells the target 'y' without fail" in leak.message.text()


def test_one_exception_in_many_rows_is_no_copy():
    almost = _rows(count=9000).with_columns(copy=pl.when(pl.col("x") == pl.col("x").max())
                                            .then(1 - pl.col("y")).otherwise("y"))  # fmt: skip
    assert _found(almost) == []


def test_a_rare_class_is_told_too_and_too_rare_a_one_is_chance():
    for rare, told in ((8, 1), (4, 0)):
        y = pl.Series([1] * rare + [0] * (9000 - rare)).sample(fraction=1, shuffle=True, seed=2)
        frame = _rows(count=9000).with_columns(y=y)
        assert len(_found(frame.with_columns(copy=pl.col("y") * 5 + 1))) == told


def test_many_classes():
    rng = np.random.default_rng(0)
    y = pl.Series(rng.choice(["a", "b", "c"], 300))
    rows = pl.DataFrame({"y": y, "code": y.replace_strict({"a": 7, "b": 1, "c": 3})})
    assert [leak.column for leak in _found(rows, "multiclass")] == ["code"]
    # Two of three classes share a range: some of it is told, and that is what columns are for.
    mixed = rows.with_columns(code=y.replace_strict({"a": 7, "b": 1, "c": 1}))
    assert _found(mixed, "multiclass") == []


@pytest.mark.parametrize("scale", [1, 1e200, 1e-200])
def test_a_number_that_is_the_target_in_another_unit(scale):
    rows = _rows().with_columns(y=pl.col("x") * scale, fahrenheit=pl.col("x") * 1.8 + 32).drop("x")
    [leak] = _found(rows, "regression")
    assert leak.column == "fahrenheit"
    half = rows.with_columns(fahrenheit=pl.when(pl.int_range(pl.len()) % 3 == 0).then("fahrenheit"))
    assert _found(half, "regression") == []


def test_rows_that_are_on_both_sides():
    frame = _rows(count=400)
    twice = pl.concat([frame, frame[:40]])
    [leak] = _found(twice)
    assert leak.kind == "repeats"
    holdout = split(twice, ModelSpec(model="m", adapter="l", task="binary", target="y"), 0.25, 0)
    both = set(holdout.holdout.tolist())
    pairs = [(n, 400 + n) for n in range(40) if (n in both) != (400 + n in both)]
    assert leak.share == pytest.approx(len(pairs) / len(holdout.holdout))
    assert set(leak.rows) <= {n if n in both else m for n, m in pairs}
    assert _found(twice.rename({"x": "row"})) == [leak]  # whatever its columns are named
    # Few values make rows alike by nature.
    coarse = pl.DataFrame({"y": [0, 1] * 200, "x": [1, 2, 3, 1] * 100})
    assert _found(coarse) == []


def test_times_after_the_rows_own():
    rows = _rows(count=60).with_columns(
        day=pl.Series([f"2026-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(60)])
    )
    known = rows.with_columns(opened=pl.col("day").shift(5), note=pl.lit("2026 was good"))
    assert _found(known, time=["day"]) == []
    late = known.with_columns(closed=pl.col("day").shift(-2))
    [leak] = _found(late, time=["day"])
    assert (leak.kind, leak.column) == ("future", "closed")
    assert leak.share == pytest.approx(58 / 60)
    assert leak.rows == [0, 1, 2, 3, 4]
    assert _found(late) == []  # without a time of the row's own, nothing is late


@pytest.mark.parametrize("rows", [0, 1, 2, 29])
def test_too_few_rows_to_tell(rows):
    frame = _rows().with_columns(copy=pl.col("y"))[:rows]
    assert _found(frame) == []
    assert _found(frame.with_columns(y=pl.lit(None, pl.Int64))) == []
