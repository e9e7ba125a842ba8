"""Cutting a version into blocks: a pure function of its tensors' names, dtypes and sizes."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from tidegate.domain.tensor import DTYPE_BYTES
from tidegate.domain.version import TensorInfo
from tidegate.params.packed.codec import MAX_BLOCK_BYTES

#: Tensors up to this size share a block with their neighbours by name.
SMALL_BYTES = 64 << 10
#: A shared block is closed at the first name that says so beyond the least size, and at the most.
_LEAST, _MOST, _ONE_IN = 64 << 10, 256 << 10, 32


class Span(NamedTuple):
    """A block's place: ``size`` bytes from ``start`` of one tensor, or some small ones whole.

    ``members`` are positions among the version's tensors in the order of their names.
    """

    members: tuple[int, ...]
    start: int
    size: int


def element_width(dtype: str) -> int:
    """Bytes of the integers that an element's bits are coded as; C64 is two F32."""
    return 4 if dtype == "C64" else DTYPE_BYTES[dtype]


def cut(tensors: Sequence[TensorInfo]) -> list[Span]:
    """Every byte of every tensor in exactly one span; a span holds one dtype only.

    Where small tensors part is decided by their names alone, so that one tensor more or less
    moves few neighbours into other blocks.
    """
    spans: list[Span] = []
    open_: dict[str, tuple[list[int], int]] = {}
    for position, info in enumerate(tensors):
        if info.size_bytes > SMALL_BYTES:
            spans += (
                Span((position,), start, min(MAX_BLOCK_BYTES, info.size_bytes - start))
                for start in range(0, info.size_bytes, MAX_BLOCK_BYTES)
            )
        elif info.size_bytes:
            members, size = open_.setdefault(info.dtype, ([], 0))
            members.append(position)
            size += info.size_bytes
            if size >= _MOST or (size >= _LEAST and _parts(info.name)):
                spans.append(Span(tuple(members), 0, size))
                members, size = [], 0
            open_[info.dtype] = members, size
    spans += (Span(tuple(members), 0, size) for members, size in open_.values() if members)
    return sorted(spans)


def _parts(name: str) -> bool:
    return zlib.crc32(name.encode()) % _ONE_IN == 0
