"""What most requests hold, floats and nothing missing, read at once.

None for all else, and for what is wrong: that takes a second look, see ``requests``.
"""

from typing import Any

import numpy as np

from tidegate.apps.gateway.tensors import NUMBERS
from tidegate.domain.answer import Asked

_FLOATS = frozenset({"FP64", "FP32"})
_NUMBERS, _TEXT, _ONE_ROW = frozenset({float, int}), frozenset({str}), [1]


def plain_row(tensors: list[dict[str, Any]]) -> Asked | None:
    """One row, a tensor a column."""
    try:
        names = tuple([one["name"] for one in tensors])
        shapes, kinds = [one["shape"] for one in tensors], {one["datatype"] for one in tensors}
        data = [one["data"] for one in tensors]
        row = [value for (value,) in data]
        columns = dict(zip(names, data, strict=True))
    except (KeyError, TypeError, ValueError):
        return None
    if (
        len(columns) < len(names)
        or shapes.count(_ONE_ROW) < len(shapes)
        or not kinds <= _FLOATS
        or not _NUMBERS.issuperset(map(type, row))
        or not _TEXT.issuperset(map(type, names))
    ):
        return None
    return Asked(names, 1, columns=columns, block=np.array([row], np.float64))


def plain_block(tensor: dict[str, Any], inputs: tuple[str, ...] | None) -> Asked | None:
    """All columns, which are ``inputs``, as one tensor whose data is one list, row by row."""
    try:
        name, shape = tensor["name"], tensor["shape"]
        kind, data = tensor["datatype"], tensor["data"]
        rows, width = shape
        plain = kind in _FLOATS and _NUMBERS.issuperset(map(type, data))
    except (KeyError, TypeError, ValueError):
        return None
    if (
        not plain
        or inputs is None
        or name in inputs
        or type(name) is not str
        or type(rows) is not int
        or type(width) is not int
        or type(data) is not list
        or width != len(inputs)
        or rows * width != len(data)
    ):
        return None
    return Asked(inputs, rows, block=np.array(data, np.float64).reshape(rows, width))


def plain_bytes(tensors: list[dict[str, Any]], tail: bytes) -> Asked | None:
    """Rows, a tensor a column, all of them as bytes."""
    try:
        names = tuple([one["name"] for one in tensors])
        shapes, kinds = [one["shape"] for one in tensors], [one["datatype"] for one in tensors]
        sizes = [one["parameters"]["binary_data_size"] for one in tensors]
        (rows,), kind, known = shapes[0], kinds[0], set(names)
    except (KeyError, TypeError, ValueError):
        return None
    if (
        kind not in ("FP64", "FP32")
        or kinds.count(kind) < len(kinds)
        or type(rows) is not int
        or rows < 1
        or shapes.count([rows]) < len(shapes)
        or sizes.count(rows * int(kind[2:]) // 8) < len(sizes)
        or sum(sizes) != len(tail)
        or len(known) < len(names)
        or not _TEXT.issuperset(map(type, names))
        or any("data" in one for one in tensors)
    ):
        return None
    block = np.frombuffer(tail, NUMBERS[kind]).reshape(len(names), rows).T
    return None if np.isinf(block).any() else Asked(names, rows, block=block.astype(np.float64))
