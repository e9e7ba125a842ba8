"""Tensors as bytes: the protocol's binary tensor extension."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidegate.domain.errors import DataError

#: Datatypes of numbers, as numpy reads them: little-endian.
NUMBERS = {
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
#: The smallest and the largest number of each datatype of whole numbers.
RANGES = {
    kind: (int(np.iinfo(of).min), int(np.iinfo(of).max))
    for kind, of in NUMBERS.items()
    if "INT" in kind
}
_LENGTH = struct.Struct("<I")


def decoded(tensor: dict[str, Any], raw: bytes) -> Any:
    """A tensor's values: an array of numbers, or a list of texts or of truth values."""
    kind, name = tensor.get("datatype"), str(tensor.get("name"))
    if kind in NUMBERS:
        if len(raw) % np.dtype(NUMBERS[kind]).itemsize:
            raise _not_whole(name, len(raw))
        return np.frombuffer(raw, NUMBERS[kind])
    if kind == "BOOL":
        if any(byte > 1 for byte in raw):
            raise _not_whole(name, len(raw))
        return [bool(byte) for byte in raw]
    return _texts(name, raw)


def check_range(tensor: dict[str, Any], values: list[int | None]) -> None:
    """Raise DataError where a whole number is none of the tensor's datatype."""
    low, high = RANGES[tensor["datatype"]]
    for value in values:
        if value is not None and not low <= value <= high:
            raise DataError(
                "input '{name}' is declared as {datatype}, and holds {value}",
                do="give numbers from {low} to {high}, or declare another datatype",
                name=tensor["name"],
                datatype=tensor["datatype"],
                value=value,
                low=low,
                high=high,
            )


def check_finite(values: np.ndarray[Any, Any], columns: Sequence[str]) -> None:
    """Raise DataError where one of ``values``, row by row, is infinite; NaN is a missing one.

    JSON has no infinity, and bytes are not to say more than it does.
    """
    bad = np.isinf(values)
    if bad.any():
        row, column = divmod(int(bad.argmax()), len(columns))
        raise DataError(
            "input '{name}' holds an infinite value in row {row}",
            do="give a finite number, or NaN where it is missing; the first row is row 0",
            name=columns[column],
            row=row,
        )


def _texts(name: str, raw: bytes) -> list[str]:
    """Texts, each behind its length in four bytes."""
    found, at = [], 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise _not_whole(name, len(raw))
        (length,) = _LENGTH.unpack_from(raw, at)
        at += 4
        if at + length > len(raw):
            raise _not_whole(name, len(raw))
        try:
            found.append(raw[at : at + length].decode())
        except UnicodeDecodeError:
            raise DataError(
                "input '{name}' holds a text that is no UTF-8", do="send texts as UTF-8", name=name
            ) from None
        at += length
    return found


def encoded(output: dict[str, Any]) -> bytes:
    """An output's values as bytes; its data is replaced by how many they are."""
    kind, data = output["datatype"], output.pop("data")
    if kind in NUMBERS:
        raw = np.array(data, NUMBERS[kind]).tobytes()
    elif kind == "BOOL":
        raw = bytes(data)
    else:
        texts = [str(one).encode() for one in data]
        raw = b"".join(_LENGTH.pack(len(one)) + one for one in texts)
    output["parameters"] = {**output.get("parameters", {}), "binary_data_size": len(raw)}
    return raw


def _not_whole(name: str, size: int) -> DataError:
    return DataError(
        "the {size} bytes of input '{name}' hold no whole number of its values",
        do="send values of the datatype, little-endian; texts each behind its length (uint32)",
        size=size,
        name=name,
    )
