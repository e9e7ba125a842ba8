"""Columns of an inference request as they are read."""

import polars as pl
import pytest

from tidegate.apps.api.inference import Tensor, _of_one_length, _series
from tidegate.domain.errors import DataError


def _read(shape, data, datatype="FP64"):
    tensors = _of_one_length([Tensor(name="v", shape=shape, datatype=datatype, data=data)])
    return _series(tensors[0])


def test_a_column_of_vectors_is_flat_or_a_list_a_row():
    flat = _read([2, 3], [1, 2, 3, 4, None, 6])
    assert flat.dtype == pl.Array(pl.Float64, 3)
    assert flat.to_list() == [[1, 2, 3], [4, None, 6]]
    assert _read([2, 3], [[1, 2, 3], [4, None, 6]]).to_list() == flat.to_list()
    assert _read([2, 2], [[1, 2], None]).to_list() == [[1, 2], [None, None]]


def test_a_column_of_one_number_a_row_is_no_vector():
    for shape, data in (([2], [1, None]), ([2, 1], [1, None]), ([2, 1], [[1], None])):
        assert _read(shape, data).to_list() == [1, None]


@pytest.mark.parametrize(
    ("shape", "data"),
    [([2, 2], [1, 2, 3]), ([2, 0], []), ([1, 2, 2], [1, 2, 3, 4]), ([2, 2], [[1, 2], [3]])],
)
def test_what_does_not_fit_its_shape_is_refused(shape, data):
    with pytest.raises(DataError, match="has shape"):
        _read(shape, data)
