"""Encoding a block of elements, alone or against the same block of an earlier version.

Every encoding is exact and gives back the very bits. Which one is used is chosen for each block
by compressing a sample of it in every way that applies; the smallest wins. The compressed form
is the Blosc 1 format with zstd inside, byte or bit planes apart (https://github.com/Blosc/c-blosc,
the default of Zarr), which numcodecs reads and writes.
"""

import struct
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

# Blosc's own threads would be taken by one block after another; here each thread has its block.
blosc.use_threads = False

#: Elements whose bits are treated as unsigned integers of their width.
Bits = NDArray[np.unsignedinteger[Any]]

#: A block is never longer, whatever a sheet says: this bounds the memory of a reader.
MAX_BLOCK_BYTES = 4 << 20
#: Nor is a frame, encoded.
MAX_FRAME_BYTES = 2 * MAX_BLOCK_BYTES

#: zstd's level, and how many bytes it sees at a time.
_LEVEL, _INNER = 1, 1 << 20
#: Bytes of a Blosc header, which of them holds the flags, and the flag that bit planes are apart.
_HEADER, _FLAGS, _BIT_PLANES = 16, 2, 4
#: Elements handled at a time: small enough for a cache, long enough for two threads to overlap.
_STEP = 1 << 18
#: Elements that are compared first: two blocks that differ seldom begin alike.
_GLANCE = 1 << 12
#: The sample that chooses, in runs spread over the block. In less than 512 KiB zstd does worse with
#: byte planes than in a whole block, and the choice would be the wrong one.
_SAMPLE_BYTES, _RUNS = 512 << 10, 16
#: Fewer changed elements than one in so many are tried as positions and values.
_SPARSE = 16
#: Alone, an encoding must be smaller than this share of the plain bytes, and a delta than this
#: share of the block alone: whatever is built on the larger form is read that much faster.
_PAYS = 0.8
#: Where a short sample takes so much more than that, a long one is not tried.
_HOPELESS = 1.1
#: What is shorter than this tells nothing: headers and tables are too much of it.
_SHORTEST_BYTES = 16 << 10
#: What did for the block before is taken again where it gives at most so much more.
_ALIKE = 1.02
#: A difference from the parent must be smaller than this share of that from the anchor, or the
#: chain is not made longer.
_NEARER = 0.8


class Kind(StrEnum):
    """How a frame's bytes become a block. The last three need the block before."""

    RAW = "raw"
    PLANES = "planes"
    ULP = "ulp"
    XOR = "xor"
    SPARSE = "sparse"

    @property
    def is_delta(self) -> bool:
        """Whether it is read on top of an earlier block."""
        return self in (Kind.ULP, Kind.XOR, Kind.SPARSE)


class Damaged(ValueError):
    """Bytes that no encoder wrote."""


class Encoded(NamedTuple):
    """A block's frame, and what share of the plain bytes it is.

    Plain bytes are not copied: they are those of the block as long as it is not changed.
    """

    kind: Kind
    data: bytes | memoryview
    share: float


def bits_of(data: bytes | bytearray | memoryview | NDArray[Any], width: int) -> Bits:
    """The bytes as unsigned integers of ``width`` bytes, little-endian, without a copy."""
    return np.frombuffer(data, np.dtype(f"<u{width}"))


def bytes_of(bits: Bits) -> memoryview:
    """The elements' bytes, without a copy."""
    return bits.data.cast("B")


def difference(new: Bits, old: Bits, out: Bits) -> Bits:
    """``new - old`` modulo 2^n in zigzag order (0, -1, 1, -2, ...); written to ``out``.

    Between floats of one sign this is the signed count of representable numbers between them
    (ULPs), so that a small step is a small integer whatever the exponent.
    """
    width = new.itemsize
    signed = np.dtype(f"<i{width}")
    sign = np.empty(min(_STEP, new.size), signed)
    for start in range(0, new.size, _STEP):
        part = out[start : start + _STEP]
        np.subtract(new[start : start + _STEP], old[start : start + _STEP], out=part)
        negative = sign[: part.size]
        np.right_shift(part.view(signed), 8 * width - 1, out=negative)
        np.left_shift(part, 1, out=part)
        np.bitwise_xor(part, negative.view(part.dtype), out=part)
    return out


def same(new: Bits, old: Bits) -> bool:
    """Whether two blocks hold the same bits."""
    return np.array_equal(new[:_GLANCE], old[:_GLANCE]) and np.array_equal(new, old)


def encode_alone(new: Bits, like: Encoded | None = None) -> Encoded:
    """The block by itself: its planes compressed, or its plain bytes.

    ``like`` is what did for the block before.
    """
    data = _as_before(new, like) if like is not None and like.kind is Kind.PLANES else None
    if data is None and not _noise(new):
        data = _pack(new, limit=_PAYS * new.nbytes)
    if data is None:
        return _encoded(Kind.RAW, bytes_of(new), new)
    return _encoded(Kind.PLANES, data, new)


def encode(
    new: Bits, old: Bits, steps: Bits, alone_size: int, like: Encoded | None = None
) -> Encoded:
    """The block against ``old``, of which it differs; ``steps`` is their ``difference``.

    ``alone_size`` is about what the block takes by itself, in bytes (its anchor's size tells);
    ``like`` is what did for the block before. Gives an encoding that stands alone where a delta
    would not pay.
    """
    limit = _PAYS * alone_size
    changed = int(np.count_nonzero(steps))
    sparse = _sparse(steps, changed) if changed * _SPARSE < new.size else None
    if sparse is not None and len(sparse.data) * _SPARSE < limit:
        return sparse  # what others might save is not worth the time
    if sparse is None and like is not None and like.kind in (Kind.ULP, Kind.XOR):
        data = _as_before(steps if like.kind is Kind.ULP else new ^ old, like)
        if data is not None and len(data) <= limit:
            return _encoded(like.kind, data, new)
    told, crossed = _bit_planes(_runs(steps)), _bit_planes(_runs(new) ^ _runs(old))
    kind = Kind.XOR if crossed < told else Kind.ULP
    sample = _runs(steps).nbytes
    hopeless = min(told, crossed) * steps.nbytes > _HOPELESS * limit * sample
    data = None
    if not hopeless:
        data = _pack(steps if kind is Kind.ULP else new ^ old, limit)
    if sparse is not None and (data is None or len(sparse.data) < len(data)):
        return sparse
    return encode_alone(new, like) if data is None else _encoded(kind, data, new)


def nearer(new: Bits, parent: Bits, anchor: Bits) -> bool:
    """Whether ``new`` is so much closer to its parent than to the anchor below that a longer
    chain is worth its reading; a sample tells."""
    now, last, first = (_runs(bits) for bits in (new, parent, anchor))
    steps = np.empty_like(now)
    from_parent = _bit_planes(difference(now, last, steps))
    return from_parent < _NEARER * _bit_planes(difference(now, first, steps))


def decode(kind: Kind, data: bytes | memoryview, old: Bits | None, out: Bits) -> None:
    """Write the block that ``data`` tells to ``out``; ``old`` may not be ``out``.

    Raises Damaged where ``data`` cannot be a block of this size.
    """
    if kind is Kind.RAW:
        if len(data) != out.nbytes:
            raise Damaged
        out.view(np.uint8)[:] = np.frombuffer(data, np.uint8)
    elif kind is Kind.PLANES:
        _unpack(data, out)
    elif old is None:
        raise Damaged
    elif kind is Kind.SPARSE:
        _apply_sparse(data, old, out)
    else:
        _unpack(data, out)
        if kind is Kind.XOR:
            np.bitwise_xor(out, old, out=out)
        else:
            _add_steps(out, old)


def _add_steps(steps: Bits, old: Bits) -> None:
    """Turn zigzag steps into the new block, in place."""
    low = np.empty(min(_STEP, steps.size), steps.dtype)
    one = steps.dtype.type(1)
    for start in range(0, steps.size, _STEP):
        part = steps[start : start + _STEP]
        odd = low[: part.size]
        np.bitwise_and(part, one, out=odd)
        np.negative(odd, out=odd)
        np.right_shift(part, 1, out=part)
        np.bitwise_xor(part, odd, out=part)
        np.add(part, old[start : start + _STEP], out=part)


def _encoded(kind: Kind, data: bytes | memoryview, new: Bits) -> Encoded:
    return Encoded(kind, data, len(data) / new.nbytes)


def _as_before(bits: Bits, like: Encoded) -> bytes | None:
    """The bits compressed in the way of the block before, where that does as well again."""
    planes = blosc.BITSHUFFLE if like.data[_FLAGS] & _BIT_PLANES else blosc.SHUFFLE
    data = _compress(bits, planes)
    return data if len(data) <= _ALIKE * like.share * bits.nbytes else None


def _noise(bits: Bits) -> bool:
    """Whether a short sample takes so much more than pays that a long one is not tried."""
    sample = _runs(bits, min(bits.nbytes, _SAMPLE_BYTES) // 4)
    if sample.nbytes < _SHORTEST_BYTES:
        return False
    least = min(len(_compress(sample, planes)) for planes in (blosc.SHUFFLE, blosc.BITSHUFFLE))
    return least > _HOPELESS * _PAYS * sample.nbytes


def _pack(bits: Bits, limit: float) -> bytes | None:
    """The bits compressed, with byte planes or with bit planes apart, as a sample decides.

    None where they take more than ``limit`` bytes.
    """
    sample = _runs(bits, _SAMPLE_BYTES)
    tried = [(_compress(sample, planes), planes) for planes in (blosc.SHUFFLE, blosc.BITSHUFFLE)]
    data, planes = min(tried, key=lambda attempt: len(attempt[0]))
    if len(data) * bits.size > limit * sample.size:
        return None
    packed = data if sample.size == bits.size else _compress(bits, planes)
    return packed if len(packed) <= limit else None


def _bit_planes(bits: Bits) -> int:
    """About what the bits take; enough to compare two of a kind."""
    return len(_compress(bits, blosc.BITSHUFFLE))


def _runs(bits: Bits, size_bytes: int = _SAMPLE_BYTES // 4) -> Bits:
    """Runs of elements spread over the block, ``size_bytes`` in all; all of a small one."""
    if bits.nbytes <= size_bytes:
        return bits
    apart, run = bits.size // _RUNS, size_bytes // bits.itemsize // _RUNS
    return np.ascontiguousarray(bits[: apart * _RUNS].reshape(_RUNS, apart)[:, :run]).reshape(-1)


def _compress(bits: Bits, filtered: int) -> bytes:
    return bytes(blosc.compress(bits, b"zstd", _LEVEL, filtered, _INNER))


def _unpack(data: bytes | memoryview, out: Bits) -> None:
    if not out.size:
        if data:
            raise Damaged
        return
    try:
        if len(data) < _HEADER:
            raise Damaged
        unpacked, _block, packed = struct.unpack_from("<III", data, 4)
        if unpacked != out.nbytes or packed != len(data):
            raise Damaged
        blosc.decompress(data, out)
    except (RuntimeError, ValueError, TypeError) as problem:
        raise Damaged from problem


def _sparse(steps: Bits, changed: int) -> Encoded:
    """Gaps between changed positions, then their steps, each compressed by itself."""
    where = np.flatnonzero(steps)
    gaps = np.diff(where, prepend=0).astype("<u4")
    first, second = (_compress(part, blosc.SHUFFLE) for part in (gaps, steps[where]))
    head = changed.to_bytes(4, "little") + len(first).to_bytes(4, "little")
    data = head + first + second
    return Encoded(Kind.SPARSE, data, len(data) / steps.nbytes)


def _apply_sparse(data: bytes | memoryview, old: Bits, out: Bits) -> None:
    changed, length = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4))
    if not 0 < changed <= out.size or len(data) < 8 + length:
        raise Damaged
    gaps, steps = np.empty(changed, "<u4"), np.empty(changed, out.dtype)
    _unpack(data[8 : 8 + length], gaps)
    _unpack(data[8 + length :], steps)
    where = np.cumsum(gaps, dtype=np.int64)
    if where[-1] >= out.size:
        raise Damaged
    values = old[where]
    _add_steps(steps, values)
    out[:] = old
    out[where] = steps
