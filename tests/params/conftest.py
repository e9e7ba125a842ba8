"""A fresh object store, and one that counts and can be made to fail."""

import math
import sys
import types

import pytest
from hypothesis import strategies as st

from tidegate.domain.errors import IntegrityError
from tidegate.domain.tensor import DTYPE_BYTES, Tensor


class Memory:
    def __init__(self):
        self.kept = {}
        self.times = {}
        self.puts = 0
        self.clock = 1000.0

    def put(self, key, data):
        assert isinstance(data, bytes)
        if key in self.kept:
            return False
        self.kept[key] = data
        self.times[key] = __import__("time").time()
        return True

    def get(self, key):
        if key not in self.kept:
            raise IntegrityError("object '{key}' is missing", do="x", key=key)
        return self.kept[key]

    def get_range(self, key, start, length):
        return self.get(key)[start : start + length]

    def exists(self, key):
        return key in self.kept

    def size(self, key):
        return len(self.get(key))

    def list(self, prefix):
        return iter([(k, len(v)) for k, v in sorted(self.kept.items()) if k.startswith(prefix)])

    def delete(self, key):
        self.kept.pop(key, None)

    def modified(self, key):
        return self.times[key]


stand_in = types.ModuleType("tidegate.store.objects")
stand_in.Objects = Memory
sys.modules.setdefault("tidegate.store.objects", stand_in)


@pytest.fixture
def objects():
    return Memory()


@pytest.fixture(scope="session")
def new_objects():
    return Memory


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
