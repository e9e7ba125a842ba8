"""A version's sheet: what it consists of, and where every byte of it lies.

``docs/format.md`` describes the object. The first half of a sheet, structure and tensors, has
the version's id as its hash; the second half, the blocks, may be written anew at any time (when
bytes are moved or coded otherwise) and is never part of an id.
"""

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from blake3 import blake3
from pydantic_core import to_json

from tidegate.domain.canonical import canonical_json
from tidegate.domain.errors import ParamsError
from tidegate.domain.tensor import DTYPE_BYTES
from tidegate.domain.version import Manifest, Structure, TensorInfo
from tidegate.params.identity import structure_json, version_id
from tidegate.params.packed.blocks import Span
from tidegate.params.packed.codec import MAX_BLOCK_BYTES, MAX_FRAME_BYTES, Kind

FORMAT = "tidegate/params/1"

#: Frames read for one block: an anchor and at most so many deltas on it.
MAX_DELTAS = 5

#: No file is longer.
_MOST = 1 << 63
_HEX = frozenset("0123456789abcdef")


class Frame(NamedTuple):
    """Encoded bytes: ``size`` from ``offset`` of a pack, with their BLAKE3."""

    pack: str
    offset: int
    size: int
    kind: Kind
    hash: str


class Block(NamedTuple):
    """A span and the frames that give its bytes: an anchor, then deltas, each on the one before."""

    span: Span
    chain: tuple[Frame, ...]


class Sheet(NamedTuple):
    """A version's content and where it lies.

    ``nonfinite`` tells, for each tensor that has any, how many elements are NaN or infinite and
    the flat position of the first.
    """

    manifest: Manifest
    blocks: tuple[Block, ...]
    nonfinite: Mapping[str, tuple[int, int]]

    @property
    def packs(self) -> set[str]:
        """Names of the packs it needs."""
        return {frame.pack for block in self.blocks for frame in block.chain}

    @property
    def ends(self) -> dict[str, int]:
        """The packs it needs, and where the last byte that it needs of each ends."""
        ends: dict[str, int] = {}
        for block in self.blocks:
            for frame in block.chain:
                end = frame.offset + frame.size
                if end > ends.get(frame.pack, -1):
                    ends[frame.pack] = end
        return ends


def manifest_of(structure: Structure, tensors: Iterable[TensorInfo]) -> Manifest:
    """The manifest with its id, tensors in the order of their names' UTF-8 bytes."""
    # Code points sort as their UTF-8 does.
    infos = sorted(tensors, key=lambda info: info.name)
    # Through JSON and back, so that what is committed equals what will be loaded.
    plain = Structure.model_validate_json(canonical_json(structure_json(structure)))
    return Manifest(id=version_id(plain, infos), structure=plain, tensors=infos)


def to_bytes(sheet: Sheet) -> bytes:
    """The sheet as it is stored: the hash of the second line, then the second line."""
    packs = sorted(sheet.packs)
    number = {pack: index for index, pack in enumerate(packs)}
    told = {
        "blocks": [
            [
                block.span.members,
                block.span.start,
                block.span.size,
                [[number[f.pack], f.offset, f.size, f.kind, f.hash] for f in block.chain],
            ]
            for block in sheet.blocks
        ],
        "format": FORMAT,
        "id": sheet.manifest.id,
        "nonfinite": dict(sorted(sheet.nonfinite.items())),
        "packs": packs,
        "structure": structure_json(sheet.manifest.structure),
        "tensors": [[t.name, t.dtype, t.shape, t.id] for t in sheet.manifest.tensors],
    }
    # Canonical already, as no part but the structure holds a float or an unsorted key; ten
    # thousand tensors are written in a sixth of the time that json takes.
    parts = (
        to_json(key) + b":" + (canonical_json if key == "structure" else to_json)(part)
        for key, part in told.items()
    )
    body = b"{" + b",".join(parts) + b"}"
    return blake3(body).hexdigest().encode() + b"\n" + body


def from_bytes(raw: bytes) -> Sheet | None:
    """The sheet that ``raw`` tells, with the id it truly has; None where it tells none."""
    head, _, body = raw.partition(b"\n")
    if blake3(body).hexdigest().encode() != head:
        return None
    try:
        told = json.loads(body)
        if told["format"] != FORMAT:
            return None
        infos = _infos(told["tensors"])
        manifest = manifest_of(Structure.model_validate(told["structure"]), infos)
        packs = [_pack(name) for name in told["packs"]]
        blocks = tuple(_block(packs, *row) for row in told["blocks"])
        nonfinite = _nonfinite(told["nonfinite"], infos)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        return None  # JSON, and yet not what a sheet has in this place
    except ParamsError:
        return None
    if manifest.id != told["id"] or manifest.tensors != infos or not _tiles(infos, blocks):
        return None
    return Sheet(manifest, blocks, nonfinite)


def _infos(rows: list[list[Any]]) -> list[TensorInfo]:
    if not _are_hashes([id_ for _, _, _, id_ in rows]):
        raise ValueError
    if {type(size) for _, _, shape, _ in rows for size in shape} - {int}:
        raise ValueError
    return [
        TensorInfo(name, id_, dtype, shape, _size_bytes(dtype, tuple(shape)))
        for name, dtype, shape, id_ in rows
    ]


@lru_cache(maxsize=1024)  # as many shapes as a model has, for many more tensors
def _size_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    if min(shape, default=0) < 0:
        raise ValueError
    return math.prod(shape) * DTYPE_BYTES[dtype]


def _nonfinite(told: Any, infos: list[TensorInfo]) -> dict[str, tuple[int, int]]:
    found = {name: (count, first) for name, (count, first) in told.items()}
    if not found.keys() <= {info.name for info in infos if info.size_bytes}:
        raise ValueError
    if any(not _whole(*counts) or not counts[0] for counts in found.values()):
        raise ValueError
    return found


def _whole(*numbers: Any) -> bool:
    """Whether these are whole numbers from 0 that a file may have; True is none, nor is 1.0."""
    return {*map(type, numbers)} <= {int} and min(numbers) >= 0 and sum(numbers) < _MOST


def _pack(name: Any) -> str:
    writer, _, number = str(name).partition("/")
    if not (writer.isalnum() and writer.isascii() and number.isdecimal() and number.isascii()):
        raise ValueError
    return str(name)


def _block(packs: list[str], members: Any, start: Any, size: Any, chain: Any) -> Block:
    if not _whole(*members, start, size):
        raise ValueError
    span = Span(tuple(members), start, size)
    frames = tuple(_frame(packs, *row) for row in chain)
    if not 0 < len(frames) <= 1 + MAX_DELTAS or not 0 < span.size <= MAX_BLOCK_BYTES:
        raise ValueError
    if [frame.kind.is_delta for frame in frames] != [False] + [True] * (len(frames) - 1):
        raise ValueError
    return Block(span, frames)


def _frame(packs: list[str], pack: int, offset: int, size: int, kind: str, hash_: str) -> Frame:
    if not _whole(pack, offset, size) or size > MAX_FRAME_BYTES or not _are_hashes([hash_]):
        raise ValueError
    return Frame(packs[pack], offset, size, Kind(kind), hash_)


def _are_hashes(told: list[Any]) -> bool:
    return {*map(len, told)} <= {64} and _HEX.issuperset("".join(told))


def _tiles(infos: list[TensorInfo], blocks: tuple[Block, ...]) -> bool:
    """Whether the blocks hold every byte of every tensor exactly once, whole elements each."""
    whole: set[int] = set()
    parts: dict[int, list[tuple[int, int]]] = {}
    for (members, start, size), _ in blocks:
        if not members or min(members) < 0 or max(members) >= len(infos):
            return False
        if len(members) == 1 and size < infos[members[0]].size_bytes:
            parts.setdefault(members[0], []).append((start, start + size))
            continue
        if start or size != sum([infos[m].size_bytes for m in members]):
            return False
        if len({infos[m].dtype for m in members}) != 1 or len(set(members)) != len(members):
            return False
        if not whole.isdisjoint(members):
            return False
        whole.update(members)
    for position, found in parts.items():
        info, edges = infos[position], sorted(found)
        if position in whole or any(edge[0] % DTYPE_BYTES[info.dtype] for edge in edges):
            return False
        if any(b[1] != a[0] for b, a in pairwise([(0, 0), *edges, (info.size_bytes,) * 2])):
            return False
    empty = [position for position, info in enumerate(infos) if not info.size_bytes]
    held = whole.difference(empty)
    return len(held) + len(parts) + len(empty) == len(infos)
