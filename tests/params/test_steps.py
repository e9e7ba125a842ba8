"""How far groups moved: as the definition says it, on values of any kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.commit import commit
from tidegate.params.diff import diff
from tidegate.params.steps import group_steps, square_norms

STRUCTURE = Structure(adapter="tensors")
VALUES = arrays(np.float32, 6, elements=st.floats(-8, 8, width=16))


def steps(objects, before, after, groups):
    old = commit(objects, STRUCTURE, before)
    new = commit(objects, STRUCTURE, after, [old.id])
    return group_steps(objects, old, new, diff(objects, old, new), groups)


@given(a=VALUES, b=VALUES, c=VALUES, d=VALUES)
def test_a_step_is_the_norm_of_the_difference_over_that_of_the_old(a, b, c, d, new_objects):
    before, after = ({"1": Tensor.of(x), "2": Tensor.of(y)} for x, y in ((a, b), (c, d)))
    (found,) = steps(new_objects(), before, after, {"g": ["1", "2"]})
    old, new = (np.concatenate(pair).astype(float) for pair in ((a, b), (c, d)))
    size = np.linalg.norm(old)
    if size:
        step = np.linalg.norm(new - old) / size
        assert found.relative_norm == pytest.approx(step, rel=1e-5, abs=1e-6)
    else:
        # From 0 to -0 the bits change, and nothing moves.
        assert found.relative_norm == (0.0 if np.array_equal(new, old) else None)


def test_what_cannot_be_measured_is_counted_all_the_same(new_objects):
    bits = np.arange(4, dtype=np.uint8).tobytes()
    before = {"f8": Tensor("F8_E4M3", (4,), bits), "shape": Tensor.of(np.ones(4)),
              "gone": Tensor.of(np.ones(2))}  # fmt: skip
    after = {"f8": Tensor("F8_E4M3", (4,), bits[::-1]), "shape": Tensor.of(np.ones(5)),
             "new": Tensor.of(np.ones(2))}  # fmt: skip
    (found,) = steps(new_objects(), before, after, {"g": ["f8", "shape", "gone", "new"]})
    assert (found.tensors, found.changed_tensors, found.added_tensors) == (3, 3, 1)
    assert found.relative_norm is None


def test_values_that_are_not_numbers_are_left_out(new_objects):
    before = {"a": Tensor.of(np.array([3.0, 4.0, np.nan]))}
    after = {"a": Tensor.of(np.array([3.0, 5.0, 1.0]))}
    (found,) = steps(new_objects(), before, after, {"g": ["a"]})
    assert found.relative_norm == pytest.approx(0.2)


def test_norms_of_large_tensors_are_summed_over_their_parts(new_objects):
    objects, rng = new_objects(), np.random.default_rng(0)
    large = rng.normal(size=3_000_000).astype("f2")
    manifest = commit(objects, STRUCTURE, {"large": Tensor.of(large), "n": Tensor.of(large[:3])})
    found = square_norms(objects, manifest, ["large"])
    assert list(found) == ["large"]
    assert found["large"] == pytest.approx(float(np.sum(large.astype(float) ** 2)))
