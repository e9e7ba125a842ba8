"""A fresh object store, and tensors and names of every kind."""

import math

import pytest
from hypothesis import strategies as st
from obstore.store import MemoryStore

from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.store.objects import Objects


@pytest.fixture(scope="session")
def new_objects():
    """Makes stores in memory, one for each example of a property."""
    return lambda: Objects(MemoryStore(), None)


def _tensors():
    """Tensors of every dtype with any bits at all: NaN payloads, -0.0, BOOL bytes above 1."""
    shape = st.lists(st.integers(0, 4), max_size=3).map(tuple)

    def filled(dtype_and_shape):
        dtype, shape = dtype_and_shape
        size = math.prod(shape) * DTYPE_BYTES[dtype]
        return st.binary(min_size=size, max_size=size).map(lambda raw: Tensor(dtype, shape, raw))

    return st.tuples(st.sampled_from(sorted(DTYPE_BYTES)), shape).flatmap(filled)


def _names():
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return text.filter(lambda name: name != "__metadata__")


@pytest.fixture(scope="session")
def any_tensor():
    return _tensors()


@pytest.fixture(scope="session")
def any_tensors():
    return st.dictionaries(_names(), _tensors(), max_size=5)


@pytest.fixture(scope="session")
def any_metadata():
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return st.none() | st.dictionaries(text, text, max_size=3)
