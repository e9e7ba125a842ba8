"""The header of a safetensors file: read with suspicion, written in one canonical form.

Format: https://github.com/huggingface/safetensors#format. Eight bytes (header length, unsigned
little-endian), a JSON object, then the tensors' bytes without a gap.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tidegate.domain.errors import ParamsError
from tidegate.domain.tensor import DTYPE_BYTES

#: The largest header that the safetensors library accepts too.
MAX_HEADER_BYTES = 100_000_000
METADATA = "__metadata__"

#: Commas and brackets of a header: about ten a tensor, so a quarter of a million tensors, which is
#: more than any published model has in all of its files. Python's objects for so many take half
#: a gigabyte; for all that fit into the largest header, five times that.
_MAX_VALUES = 2_500_000

_ORDER = list(DTYPE_BYTES)
#: No file is longer, so no product of a shape needs to be followed further.
_MAX_BYTES = 1 << 63


class Entry(NamedTuple):
    """One tensor of a file; ``start`` and ``stop`` count from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor."""
        return self.stop - self.start


class Header(NamedTuple):
    """What a header tells: its tensors in the order of their bytes, and its own metadata."""

    entries: list[Entry]
    metadata: dict[str, str] | None


def parse_header(raw: bytes, data_bytes: int, file: str) -> Header:
    """The header of ``file``, of which ``data_bytes`` follow ``raw``; ParamsError if it lies."""
    content = _json_object(raw, file)
    metadata = _metadata(content.pop(METADATA), file) if METADATA in content else None
    entries = sorted(
        (_entry(name, told, data_bytes, file) for name, told in content.items()),
        key=lambda entry: (entry.start, entry.stop),
    )
    _check_tiling(entries, data_bytes, file)
    return Header(entries, metadata)


def lay_out(
    tensors: Iterable[tuple[str, str, tuple[int, ...], int]], metadata: Mapping[str, str] | None
) -> tuple[bytes, list[Entry]]:
    """The bytes before the data, and where each (name, dtype, shape, size in bytes) goes.

    The order is that of the safetensors library, which keeps tensors aligned: dtypes from the
    widest down, then names by their UTF-8 bytes. Metadata is sorted by key.
    """
    header: dict[str, Any] = {}
    if metadata is not None:
        header[METADATA] = dict(sorted(_checked_metadata(metadata).items()))
    entries, stop = [], 0
    ordered = sorted(tensors, key=lambda t: (-_ORDER.index(t[1]), t[0].encode()))
    for name, dtype, shape, size_bytes in ordered:
        if name == METADATA or name in header:
            raise ParamsError(
                "a safetensors file cannot hold a tensor named '{tensor}' (reserved, or twice)",
                do="rename the tensor",
                tensor=name,
            )
        start, stop = stop, stop + size_bytes
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}
        entries.append(Entry(name, dtype, shape, start, stop))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise ParamsError(
            "the safetensors header would take {bytes:,} bytes, the format allows {limit:,}",
            do="write fewer tensors to one file",
            bytes=len(text),
            limit=MAX_HEADER_BYTES,
        )
    return len(text).to_bytes(8, "little") + text, entries


def _json_object(raw: bytes, file: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key in twice(pairs):
            raise ParamsError(
                "file '{file}': the header names {key} twice",
                do="write the file again, each tensor once",
                file=file,
                key=ascii(key),
            )
        return dict(pairs)

    if has_too_many_values(raw):
        raise ParamsError(
            "file '{file}': the header holds more than {limit:,} values, as no model has",
            do="see where the file comes from; a model of so many tensors goes into several files",
            file=file,
            limit=_MAX_VALUES,
        )
    try:
        content = json.loads(raw.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as problem:
        raise ParamsError(
            "file '{file}': the header is not UTF-8 JSON ({problem})",
            do="check that it is a safetensors file, and copy it again",
            file=file,
            problem=_short(str(problem)),
        ) from None
    if not isinstance(content, dict) or raw[:1] != b"{":
        raise ParamsError(
            "file '{file}': the header is not a JSON object",
            do="check that it is a safetensors file, and copy it again",
            file=file,
        )
    return content


def twice(pairs: list[tuple[str, Any]]) -> list[str]:
    """The keys that a JSON object names more than once."""
    if len(dict(pairs)) == len(pairs):
        return []
    return [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def has_too_many_values(raw: bytes) -> bool:
    """Whether JSON would become far more memory than it is long, as no true header does."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _MAX_VALUES


def _metadata(told: Any, file: str) -> dict[str, str]:
    if not isinstance(told, dict) or not all(_text(v) and _text(k) for k, v in told.items()):
        raise ParamsError(
            "file '{file}': __metadata__ is not a map from text to text",
            do="write the file again with text values only",
            file=file,
        )
    return told


def _checked_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    if not all(_text(key) and _text(value) for key, value in metadata.items()):
        raise ParamsError(
            "the metadata of a safetensors file maps text to text, other values were given",
            do="turn every key and value into text",
        )
    return metadata


def _entry(name: str, told: Any, data_bytes: int, file: str) -> Entry:
    if not _text(name):
        raise ParamsError(
            "file '{file}': tensor name {tensor} is not valid Unicode",
            do="write the file again with another name",
            file=file,
            tensor=ascii(name),
        )
    dtype, shape, (start, stop) = _fields(name, told, file)
    if not start <= stop <= data_bytes:
        raise ParamsError(
            "file '{file}': tensor '{tensor}' lies at bytes {start} to {stop}, the file's data "
            "ends at {end}",
            do="the file may be cut short: copy it again",
            file=file,
            tensor=name,
            start=start,
            stop=stop,
            end=data_bytes,
        )
    if _bytes_of(shape, dtype) != stop - start:
        raise ParamsError(
            "file '{file}': tensor '{tensor}' is {dtype} of shape {shape}, which does not take "
            "the {given} bytes that its offsets give it",
            do="write the file again from its source",
            file=file,
            tensor=name,
            dtype=dtype,
            shape=_shown(shape),
            given=stop - start,
        )
    return Entry(name, dtype, tuple(shape), start, stop)


def _fields(name: str, told: Any, file: str) -> tuple[str, list[int], list[int]]:
    """Dtype, shape and offsets of a tensor, each of its type."""
    if not isinstance(told, dict) or set(told) != {"dtype", "shape", "data_offsets"}:
        raise ParamsError(
            "file '{file}': tensor '{tensor}' must have exactly dtype, shape and data_offsets",
            do="write the file again from its source",
            file=file,
            tensor=name,
        )
    dtype, shape, offsets = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise ParamsError(
            "file '{file}': tensor '{tensor}' has unknown dtype {dtype}",
            do="convert it to one of {known}",
            file=file,
            tensor=name,
            dtype=_shown(dtype),
            known=_ORDER,
        )
    if not isinstance(shape, list) or not all(map(_count, shape)):
        raise ParamsError(
            "file '{file}': the shape of tensor '{tensor}' is not a list of sizes from 0: {shape}",
            do="write the file again from its source",
            file=file,
            tensor=name,
            shape=_shown(shape),
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_count, offsets)):
        raise ParamsError(
            "file '{file}': tensor '{tensor}' has data_offsets that are not two places: {offsets}",
            do="write the file again from its source",
            file=file,
            tensor=name,
            offsets=_shown(offsets),
        )
    return dtype, shape, offsets


def _check_tiling(entries: list[Entry], data_bytes: int, file: str) -> None:
    end = 0
    for entry in entries:
        if entry.start < end:
            raise ParamsError(
                "file '{file}': tensor '{tensor}' starts at byte {start}, inside another tensor "
                "that ends at {end}",
                do="write the file again from its source",
                file=file,
                tensor=entry.name,
                start=entry.start,
                end=end,
            )
        if entry.start > end:
            raise ParamsError(
                "file '{file}': bytes {end} to {start}, before tensor '{tensor}', belong to no "
                "tensor",
                do="write the file again from its source",
                file=file,
                tensor=entry.name,
                start=entry.start,
                end=end,
            )
        end = entry.stop
    if end != data_bytes:
        raise ParamsError(
            "file '{file}': {extra} bytes follow the last tensor and belong to none",
            do="write the file again from its source",
            file=file,
            extra=data_bytes - end,
        )


def _text(value: Any) -> bool:
    """Whether this is text that UTF-8 can hold (JSON can spell lone surrogates)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MAX_BYTES  # bool is an int too, but no size


def _bytes_of(shape: list[int], dtype: str) -> int:
    """Bytes of such a tensor, or ``_MAX_BYTES`` where it is more than any file has."""
    if 0 in shape:
        return 0
    total = DTYPE_BYTES[dtype]
    for size in shape:
        total *= size
        if total >= _MAX_BYTES:
            return _MAX_BYTES
    return total


def _shown(value: object) -> str:
    try:
        return _short(ascii(value))
    except RecursionError:
        return "(deeply nested)"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
