"""A tensor as bytes with a type and a shape: every safetensors dtype, exact to the last bit."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.errors import ParamsError

#: Bytes per element of every whole-byte dtype that safetensors names, in its own spelling and
#: order (F4 and F6 pack elements across bytes and are not accepted).
DTYPE_BYTES: dict[str, int] = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4,
    "C64": 8, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip

#: The numpy type of the same name, little-endian, for dtypes that numpy knows.
NUMPY_OF: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"), "F16": np.dtype("<f2"), "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"), "F32": np.dtype("<f4"), "C64": np.dtype("<c8"),
    "F64": np.dtype("<f8"), "I64": np.dtype("<i8"), "U64": np.dtype("<u8"),
}  # fmt: skip

#: Dtypes whose elements are not read as real numbers: they are kept and compared as bits.
OPAQUE = frozenset({d for d in DTYPE_BYTES if d.startswith("F8")} | {"C64"})

_DTYPE_OF = {v.newbyteorder("="): k for k, v in NUMPY_OF.items()}


class Tensor:
    """An immutable tensor: ``dtype`` (safetensors spelling), ``shape``, row-major LE ``data``."""

    __slots__ = ("data", "dtype", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...], data: bytes | memoryview):
        if dtype not in DTYPE_BYTES:
            raise ParamsError(
                "dtype '{dtype}' is not one that safetensors names",
                do="use one of {known}",
                dtype=dtype,
                known=sorted(DTYPE_BYTES),
            )
        needed = math.prod(shape) * DTYPE_BYTES[dtype]
        if min(shape, default=0) < 0 or len(data) != needed:
            raise ParamsError(
                "a {dtype} tensor of shape {shape} takes {needed} bytes, {given} were given",
                do="write the file again from its source",
                dtype=dtype,
                shape=str(list(shape)),
                needed=needed,
                given=len(data),
            )
        self.dtype, self.shape, self.data = dtype, shape, data

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Tensor":
        """A tensor with a copy of ``array``'s values; raises ParamsError for an odd dtype."""
        array = np.asarray(array)
        dtype = _DTYPE_OF.get(array.dtype.newbyteorder("="))
        if dtype is None:
            raise ParamsError(
                "arrays of dtype {dtype} cannot be parameters",
                do="use a boolean, integer or floating-point array",
                dtype=str(array.dtype),
            )
        shape = array.shape  # ascontiguousarray turns 0-d into 1-d
        return cls(dtype, shape, np.ascontiguousarray(array, dtype=NUMPY_OF[dtype]).tobytes())

    def numpy(self) -> NDArray[Any]:
        """A read-only array over the same bytes; BF16 and F8 come as their raw unsigned bits."""
        dtype = NUMPY_OF.get(self.dtype, np.dtype(f"<u{DTYPE_BYTES[self.dtype]}"))
        array = np.frombuffer(self.data, dtype=dtype).reshape(self.shape)
        array.flags.writeable = False
        return array

    def float64(self) -> NDArray[np.float64]:
        """The values as float64, BF16 included; F8 and C64 raise ParamsError."""
        if self.dtype == "BF16":
            bits = self.numpy().astype(np.uint32) << 16
            return bits.view(np.float32).astype(np.float64)
        if self.dtype in OPAQUE:
            raise ParamsError(
                "{dtype} tensors are stored exactly, but their values are not decoded",
                do="compare them by changed share",
                dtype=self.dtype,
            )
        return self.numpy().astype(np.float64)

    @property
    def size_bytes(self) -> int:
        """How many bytes."""
        return len(self.data)

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Tensor)
            and (self.dtype, self.shape) == (other.dtype, other.shape)
            and bytes(self.data) == bytes(other.data)
        )

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape, bytes(self.data)))

    def __repr__(self) -> str:
        return f"Tensor({self.dtype}, {list(self.shape)})"


def tensors_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Tensors of the same names from numpy arrays."""
    return {name: Tensor.of(array) for name, array in arrays.items()}
