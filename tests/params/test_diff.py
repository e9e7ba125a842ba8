"""Differences: the laws, the figures against plain numpy, and None where nothing can be told."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tidegate.domain.errors import IntegrityError
from tidegate.domain.tensor import DTYPE_BYTES, OPAQUE, Tensor
from tidegate.domain.version import Structure
from tidegate.params import tally as module
from tidegate.params.commit import commit
from tidegate.params.diff import diff
from tidegate.params.rows import DIFFS, Status

STRUCTURE = Structure(adapter="tensors")
UNDEFINED = dict.fromkeys(
    ["changed_share", "max_step", "mean_step", "max_ulp_step", "norm_ratio", "cosine"]
)
OPPOSITE = {Status.ADDED: Status.REMOVED, Status.REMOVED: Status.ADDED}


def compared(objects, old, new, **options):
    tensors = [{"w": t} if isinstance(t, Tensor) else t for t in (old, new)]
    return diff(objects, *(commit(objects, STRUCTURE, t) for t in tensors), **options)


def figures(row):
    return {name: getattr(row, name) for name in UNDEFINED}


@given(data=st.data())
def test_a_version_does_not_differ_from_itself(data, new_objects, any_tensors):
    objects, tensors = new_objects(), data.draw(any_tensors)
    rows = compared(objects, tensors, tensors)
    assert [row.name for row in rows] == sorted(tensors)
    assert all(row.status is Status.SAME and row.changed_share == 0.0 for row in rows)


@given(data=st.data())
def test_laws_between_any_two_versions(data, new_objects, any_tensors):
    objects, old, new = new_objects(), data.draw(any_tensors), data.draw(any_tensors)
    new |= {name: old[name] for name in list(old)[:1]}
    there, back = compared(objects, old, new), compared(objects, new, old)
    assert [row.name for row in there] == sorted(old.keys() | new.keys())
    for row, mirrored in zip(there, back, strict=True):
        assert mirrored.status is OPPOSITE.get(row.status, row.status)
        same = old.get(row.name) == new.get(row.name)
        assert (row.status is Status.SAME) == same
        for name in ("changed_share", "max_step", "mean_step", "max_ulp_step"):
            assert getattr(row, name) == getattr(mirrored, name)
        assert row.cosine == (mirrored.cosine and pytest.approx(mirrored.cosine, abs=1e-6))
        if row.status is Status.CHANGED and row.changed_share is not None:
            assert 0 < row.changed_share <= 1
    json.dumps([row._asdict() for row in there], allow_nan=False)


PAIR = hnp.arrays(
    np.float32,
    st.tuples(st.just(2), st.integers(1, 40)),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


def ordered(value):
    """The float's place among all floats, zero being 0 from both sides."""
    bits = int(np.float32(value).view(np.uint32))
    return bits if bits < 1 << 31 else -(bits & 0x7FFFFFFF)


@given(pair=PAIR)
def test_figures_are_those_of_plain_numpy(pair, new_objects):
    old, new = pair
    (row,) = compared(new_objects(), Tensor.of(old), Tensor.of(new))
    if row.status is Status.SAME:
        return
    x, y = old.astype(np.float64), new.astype(np.float64)
    assert row.changed_share == np.mean(old.view(np.uint32) != new.view(np.uint32))
    assert row.max_step == pytest.approx(np.abs(y - x).max(), rel=1e-7)
    assert row.mean_step == pytest.approx(np.abs(y - x).mean(), rel=1e-6)
    assert row.max_ulp_step == max(
        abs(ordered(b) - ordered(a)) for a, b in zip(old, new, strict=True)
    )
    if np.any(x):
        assert row.norm_ratio == pytest.approx(np.linalg.norm(y) / np.linalg.norm(x), rel=1e-6)
    else:
        assert row.norm_ratio is None
    if np.any(x) and np.any(y):
        cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
        assert row.cosine == pytest.approx(cosine, abs=1e-6)
    else:
        assert row.cosine is None


def test_parts_add_up(objects, monkeypatch):
    rng = np.random.default_rng(1)
    old = rng.normal(size=1000)
    new = old + rng.normal(scale=1e-3, size=1000) * (rng.random(1000) < 0.3)
    (whole,) = compared(objects, Tensor.of(old), Tensor.of(new))
    monkeypatch.setattr(module, "_PART", 7)
    (parts,) = compared(objects, Tensor.of(old), Tensor.of(new))
    assert whole.changed_share == parts.changed_share == np.mean(old != new)
    assert (whole.max_step, whole.max_ulp_step) == (parts.max_step, parts.max_ulp_step)
    for name in ("mean_step", "norm_ratio", "cosine"):
        assert getattr(whole, name) == pytest.approx(getattr(parts, name), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1e-3, 0.1, 1.0, 30.0])
def test_small_steps_keep_their_digits_in_float32(objects, scale):
    rng = np.random.default_rng(1)
    old = rng.normal(scale=0.02, size=200_000).astype(np.float32)
    new = (old + rng.normal(scale=0.02 * scale, size=old.size)).astype(np.float32)
    (row,) = compared(objects, Tensor.of(old), Tensor.of(new))
    x, y = old.astype(np.float64), new.astype(np.float64)
    ratio = math.sqrt(y @ y) / math.sqrt(x @ x)
    assert row.norm_ratio - 1 == pytest.approx(ratio - 1, rel=1e-3, abs=1e-9)
    apart = 1 - x @ y / math.sqrt(x @ x) / math.sqrt(y @ y)
    assert 1 - row.cosine == pytest.approx(apart, rel=1e-3, abs=1e-13)


@given(data=st.data())
def test_what_a_commit_kept_is_what_a_comparison_finds(data, new_objects, any_tensors):
    old, new = data.draw(any_tensors), data.draw(any_tensors)
    new |= {name: old[name] for name in list(old)[:1]}
    near, far = new_objects(), new_objects()
    first = commit(near, STRUCTURE, old)
    second = commit(near, STRUCTURE, new, [first.id])
    if not list(near.list(DIFFS)):
        return
    assert diff(near, first, second) == compared(far, old, new)


@pytest.mark.parametrize("size", [3, 900, 9000, 40_000])
@pytest.mark.parametrize("beside", [1.0, np.nan])
def test_kept_and_compared_are_the_same_to_the_bit(new_objects, size, beside):
    objects = new_objects()
    rng = np.random.default_rng(2)
    tensors = {f"t{i}": rng.normal(size=size).astype(np.float32) for i in range(7)}
    moved = {n: t + rng.normal(scale=0.1, size=size).astype(np.float32) for n, t in tensors.items()}
    tensors["t3"][0], moved["t3"][0] = 0.5, beside
    old, new = ({n: Tensor.of(t) for n, t in side.items()} for side in (tensors, moved))
    first = commit(objects, STRUCTURE, old)
    second = commit(objects, STRUCTURE, new, [first.id])
    found = diff(objects, first, second)
    for key, _ in list(objects.list(DIFFS)):
        objects.delete(key)
    assert diff(objects, first, second) == found
    assert [row.new_nonfinite for row in found].count(1) == np.isnan(beside)


@pytest.mark.parametrize("dtype", [np.float32, "bf16"])
@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-23, 1e-20, 1e-15, 1e15, 1e17, 1e19, 1e30, 1e37])
@pytest.mark.parametrize("step", [0.01, 1.0])
@pytest.mark.parametrize("size", [100, 100_000])
def test_small_and_large_values_keep_their_digits(new_objects, dtype, scale, step, size):
    """Their squares are beyond float32."""
    rng = np.random.default_rng(3)
    old = rng.normal(size=size)
    new = (1 + step) * old + step * rng.normal(size=size)
    old, new = ((scale * x).astype(np.float32) for x in (old, new))
    tensors = [Tensor.of(x) for x in (old, new)]
    if dtype == "bf16":
        cut = [x.view(np.uint32) >> 16 for x in (old, new)]
        tensors = [Tensor("BF16", (size,), x.astype("<u2").tobytes()) for x in cut]
        old, new = ((x << 16).astype(np.uint32).view(np.float32) for x in cut)
    (row,) = compared(new_objects(), *tensors)
    x, y = (side.astype(np.float64) / scale for side in (old, new))
    ratio = math.sqrt(y @ y) / math.sqrt(x @ x)
    assert row.norm_ratio == pytest.approx(ratio, rel=1e-6)
    cosine = x @ y / math.sqrt(x @ x) / math.sqrt(y @ y)
    assert 1 - row.cosine == pytest.approx(1 - cosine, rel=1e-5, abs=1e-7)
    assert row.mean_step == pytest.approx(scale * np.abs(y - x).mean(), rel=1e-4)


def test_a_commit_keeps_what_changed_from_its_parent(objects):
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=50_000) for name in "abc"}
    old = {name: Tensor.of(value) for name, value in values.items()} | {"s": Tensor.of(np.ones(3))}
    new = old | {"b": Tensor.of(values["b"] * 1.001), "s": Tensor.of(np.zeros(3))}
    first = commit(objects, STRUCTURE, old)
    second = commit(objects, STRUCTURE, new, [first.id])
    ((key, _),) = objects.list(DIFFS)
    rows = diff(objects, first, second)
    assert [row.status for row in rows] == ["same", "changed", "same", "changed"]
    raw = objects.get(key)
    objects.delete(key)
    assert diff(objects, first, second) == rows
    objects.put(key, raw[:-2] + b"x]")  # damaged: told anew
    assert diff(objects, first, second) == rows


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_every_dtype_has_a_changed_share(dtype, objects):
    size = DTYPE_BYTES[dtype]
    old, new = bytes(4 * size), bytes(3 * size) + b"\1" + bytes(size - 1)
    (row,) = compared(objects, Tensor(dtype, (4,), old), Tensor(dtype, (4,), new))
    assert (row.status, row.changed_share) == ("changed", 0.25)
    told = dtype not in OPAQUE
    assert (row.max_step is not None) == told
    assert row.norm_ratio is None  # from zeros
    if told:
        assert row.max_step > 0
        assert row.mean_step == row.max_step / 4


def test_bfloat16_steps_are_those_of_its_values(objects):
    one, one_and_a_bit = 0x3F80, 0x3F81  # 1 and 1 + 2**-7
    old, new = (np.array([one, b], "<u2").tobytes() for b in (one, one_and_a_bit))
    (row,) = compared(objects, Tensor("BF16", (2,), old), Tensor("BF16", (2,), new))
    assert (row.max_step, row.mean_step) == (2**-7, 2**-8)


def test_bits_count_where_values_are_equal(objects):
    (row,) = compared(objects, Tensor.of(np.array([0.0, 1.0])), Tensor.of(np.array([-0.0, 1.0])))
    assert (row.changed_share, row.max_step) == (0.5, 0.0)


def test_nan_and_infinity_are_counted_and_left_out(objects):
    nan, inf = math.nan, math.inf
    old = np.array([1.0, nan, inf, 2.0, 3.0])
    new = np.array([nan, nan, 5.0, -inf, 4.0])
    (row,) = compared(objects, Tensor.of(old), Tensor.of(new))
    assert row.new_nonfinite == 2  # positions 0 and 3
    assert (row.max_step, row.mean_step, row.changed_share) == (1.0, 1.0, 0.8)
    assert row.norm_ratio == pytest.approx(4 / 3)
    (row,) = compared(objects, Tensor.of(old[:1]), Tensor.of(new[:1]))
    assert figures(row) == UNDEFINED | {"changed_share": 1.0}


def test_added_removed_and_reshaped(objects):
    x = Tensor.of(np.array([1.0, math.nan]))
    flat, square = Tensor.of(np.ones(4)), Tensor.of(np.full((2, 2), math.inf))
    rows = compared(objects, {"gone": x, "w": flat}, {"new": x, "w": square})
    assert [(row.name, row.status, row.new_nonfinite) for row in rows] == [
        ("gone", "removed", 0),
        ("new", "added", 1),
        ("w", "changed", 4),
    ]
    assert all(figures(row) == UNDEFINED for row in rows)
    assert (rows[2].shape, rows[2].old_shape, rows[2].old_dtype) == ([2, 2], [4], "F64")


def test_to_zero_has_a_ratio_and_no_direction(objects):
    (row,) = compared(objects, Tensor.of(np.ones(3)), Tensor.of(np.zeros(3)))
    assert (row.norm_ratio, row.cosine) == (0.0, None)


@pytest.mark.parametrize("scale", [1e-200, 1e-310, 1e200, 1.7e308])
def test_beyond_float64_nothing_is_invented(objects, scale):
    (row,) = compared(objects, Tensor.of(np.array([scale])), Tensor.of(np.array([-scale])))
    assert row.max_step == (None if scale > 1e308 else 2 * scale)
    assert (row.norm_ratio, row.cosine) == (None, None)


def test_equal_tensors_are_never_read_and_others_are_verified(objects):
    rng = np.random.default_rng(0)
    same, old, new = (Tensor.of(rng.normal(size=9000)) for _ in range(3))
    first = commit(objects, STRUCTURE, {"same": same, "w": old})
    second = commit(objects, STRUCTURE, {"same": same, "w": new})
    told = []
    rows = diff(objects, first, second, progress=lambda *now: told.append(now))
    assert [row.status for row in rows] == ["same", "changed"]
    assert told[-1] == (72_000, 72_000)
    for key, size in list(objects.list("params/packs/")):
        raw = bytearray(objects.get(key))
        for place in (size // 4, size * 3 // 4):  # one in each tensor, whichever came first
            raw[place] ^= 1
        objects.delete(key)
        objects.put(key, bytes(raw))
    with pytest.raises(IntegrityError, match="'w' is damaged"):
        diff(objects, first, second)


def small(**values):
    return {name: Tensor.of(np.full(8, value)) for name, value in values.items()}


def test_a_kept_diff_is_from_the_parent_whatever_a_block_was_built_on(new_objects):
    """The parent's small tensors share other blocks than the grandparent's and the new one's."""
    objects = new_objects()
    first = commit(objects, STRUCTURE, small(a=1.0, b=1.0))
    parent = commit(objects, STRUCTURE, small(a=3.0, b=1.0, c=1.0), [first.id])
    new = commit(objects, STRUCTURE, small(a=4.0, b=1.0), [parent.id, first.id])
    steps = {row.name: row.max_step for row in diff(objects, parent, new)}
    assert steps == {"a": 1.0, "b": 0.0, "c": None}


def test_a_parent_that_is_gone_is_not_the_one_a_kept_diff_is_from(new_objects):
    objects = new_objects()
    first = commit(objects, STRUCTURE, small(a=1.0))
    new = commit(objects, STRUCTURE, small(a=4.0), ["0" * 64, first.id])
    assert [key for key, _ in objects.list("params/diffs/")] == [
        f"params/diffs/{new.id}/{first.id}"
    ]
    assert [row.max_step for row in diff(objects, first, new)] == [3.0]


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_small_tensors_are_told_of_together_as_each_alone(dtype, finite, objects):
    rng = np.random.default_rng(1)
    # 0xBF leaves out the largest exponents and 0x30 the smallest, whose squares are no float32.
    mask = 1 if dtype == "BOOL" else 0xBF if finite else 0xFF
    least = 0x30 if finite and dtype != "BOOL" else 0
    old, new = {}, {}
    for index, elements in enumerate([1, 300, 300, 7, 2]):
        values = rng.integers(0, 256, elements * DTYPE_BYTES[dtype], np.uint8) & mask | least
        old[f"t{index}"] = Tensor(dtype, (elements,), values.tobytes())
        values[-1] ^= index and mask
        new[f"t{index}"] = Tensor(dtype, (elements,), values.tobytes())
    first = commit(objects, STRUCTURE, old)
    second = commit(objects, STRUCTURE, new, [first.id])
    together = diff(objects, first, second)
    ((key, _),) = objects.list(DIFFS)
    objects.delete(key)
    for row, alone in zip(together, diff(objects, first, second), strict=True):
        for name, value in alone._asdict().items():
            found = getattr(row, name)
            assert found == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)
