"""NaN and infinity, found by bit pattern in every floating-point dtype."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.tensor import DTYPE_BYTES

#: Unsigned type of an element's bits, mask, and the least masked value that is not finite.
#: Patterns: IEEE 754; bfloat16; OCP 8-bit floating point 1.0 (E4M3 has no infinity); OCP MX 1.0
#: (E8M0); the FNUZ variants have one NaN, where negative zero would be.
_PATTERN: dict[str, tuple[str, int, int]] = {
    "F64": ("<u8", 0x7FFF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7FFF_FFFF, 0x7F80_0000),
    "C64": ("<u4", 0x7FFF_FFFF, 0x7F80_0000),
    "F16": ("<u2", 0x7FFF, 0x7C00),
    "BF16": ("<u2", 0x7FFF, 0x7F80),
    "F8_E5M2": ("<u1", 0x7F, 0x7C),
    "F8_E4M3": ("<u1", 0x7F, 0x7F),
    "F8_E8M0": ("<u1", 0xFF, 0xFF),
}
_FNUZ = {"F8_E4M3FNUZ", "F8_E5M2FNUZ"}


def nonfinite(dtype: str, data: bytes | memoryview) -> NDArray[np.bool_]:
    """Which elements are NaN or infinite; ``(n,)``. Integers and booleans never are.

    >>> nonfinite("F8_E4M3", bytes([0x7E, 0x7F, 0xFF])).tolist()
    [False, True, True]
    """
    if not is_float(dtype):
        return np.zeros(len(data) // DTYPE_BYTES[dtype], np.bool_)
    if dtype in _FNUZ:
        return np.equal(np.frombuffer(data, np.uint8), 0x80)
    unsigned, mask, least = _PATTERN[dtype]
    bits = np.frombuffer(data, np.dtype(unsigned))
    found: NDArray[np.bool_] = np.greater_equal(bits & mask, least)
    # A complex number is not finite where either half is not.
    return found[0::2] | found[1::2] if dtype == "C64" else found


def bits_of_finite_apart(dtype: str) -> int:
    """How far the bits of two finite values of unlike sign differ at least, modulo the width."""
    if dtype in _FNUZ:
        return 0
    _, mask, least = _PATTERN[dtype]
    return mask + 1 - least


def is_float(dtype: str) -> bool:
    """Whether elements of this dtype can be NaN or infinite."""
    return dtype in _PATTERN or dtype in _FNUZ


def count_parts(
    dtype: str, bits: NDArray[np.unsignedinteger[Any]], sizes: Sequence[int]
) -> dict[int, "NonfiniteCount"]:
    """Of tensors that lie one after another, which hold NaN or infinity, and their counts.

    ``sizes`` are their numbers of elements in ``bits``.
    """
    if not NonfiniteCount(dtype).possible(bits):
        return {}
    counts = {index: NonfiniteCount(dtype) for index in range(len(sizes))}
    edges = np.cumsum([0, *sizes]).tolist()
    for counted, start, end in zip(counts.values(), edges, edges[1:], strict=False):
        counted.add(bits[start:end])
    return {index: counted for index, counted in counts.items() if counted.count}


class NonfiniteCount:
    """How many elements of a tensor are NaN or infinite, counted in parts of whole elements."""

    def __init__(self, dtype: str):
        self._dtype, self._seen = dtype, 0
        #: How many there are, and the flat position of the first.
        self.count = self.first = 0

    def add(self, bits: NDArray[np.unsignedinteger[Any]], *, finite: bool = False) -> None:
        """Count in a part, given as unsigned integers; ``finite``: it is known to hold none."""
        size = bits.nbytes // DTYPE_BYTES[self._dtype]
        if not finite and self.possible(bits):
            found = nonfinite(self._dtype, bits.data.cast("B"))
            here = int(np.count_nonzero(found))
            if here and not self.count:
                self.first = self._seen + int(found.argmax())
            self.count += here
        self._seen += size

    def possible(self, bits: NDArray[np.unsignedinteger[Any]]) -> bool:
        """Whether the part may hold any; a quick look, which the usual case ends with."""
        if not bits.size or not is_float(self._dtype):
            return False
        if self._dtype in _FNUZ:
            return True
        _, mask, least = _PATTERN[self._dtype]
        # The largest of either sign, without fresh memory for the masked bits.
        sign = (mask + 1) & ((1 << 8 * bits.itemsize) - 1)
        if int(bits.max()) >= sign | least:
            return True
        return int(bits.view(f"<i{bits.itemsize}").max()) >= least
