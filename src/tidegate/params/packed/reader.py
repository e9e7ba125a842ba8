"""Reading blocks and tensors back, each verified against its id before anyone may keep it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.errors import IntegrityError, Missing
from tidegate.domain.version import TensorInfo
from tidegate.params.identity import tensor_hasher
from tidegate.params.packed.blocks import element_width
from tidegate.params.packed.codec import (
    MAX_BLOCK_BYTES,
    MAX_FRAME_BYTES,
    Bits,
    Damaged,
    Kind,
    bytes_of,
    decode,
)
from tidegate.params.packed.packs import pack_key, read_frame
from tidegate.params.packed.sheet import Block, Frame, Sheet
from tidegate.store.objects import Objects

#: Receives a part of a tensor: which, from which byte, and the bytes, valid during the call only.
Sink = Callable[[TensorInfo, int, memoryview], None]


class Place(IntEnum):
    """What a place on a bench is for."""

    ANCHOR = 0
    EVEN = 1
    ODD = 2
    FRAME = 3
    SOURCE = 4
    STEPS = 5
    BEFORE = 6
    OLD = 7
    NEW = 8
    MOVED = 9
    PRODUCTS = 10


#: A frame may be longer than its block, as its sheet allows.
_ROOM_BYTES = dict.fromkeys(Place, MAX_BLOCK_BYTES) | {Place.FRAME: MAX_FRAME_BYTES}


class Bench:
    """Room for some blocks, for one thread; used again and again."""

    def __init__(self) -> None:
        self._places: dict[Place, NDArray[np.uint8]] = {}

    def room(self, place: Place, size: int, width: int = 1) -> Bits:
        """Room for a block of ``size`` bytes; what lay there before is gone."""
        if place not in self._places:
            self._places[place] = np.empty(_ROOM_BYTES[place], np.uint8)
        return self._places[place][:size].view(np.dtype(f"<u{width}"))


_threads = threading.local()


def bench() -> Bench:
    """This thread's bench."""
    if not hasattr(_threads, "bench"):
        _threads.bench = Bench()
    found: Bench = _threads.bench
    return found


class Unit(NamedTuple):
    """Blocks that are read together: all of one tensor, or one that some small ones share."""

    blocks: tuple[Block, ...]
    infos: tuple[TensorInfo, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes that reading it gives."""
        return sum(block.span.size for block in self.blocks)


def units(sheet: Sheet, names: Iterable[str] | None = None) -> list[Unit]:
    """What to read for the named tensors, or for all; tensors without elements have none."""
    tensors = sheet.manifest.tensors
    wanted = None if names is None else set(names)
    whole: dict[int, list[Block]] = {}
    found: list[Unit] = []
    for block in sheet.blocks:
        members = block.span.members
        if wanted is not None and not any(tensors[m].name in wanted for m in members):
            continue
        if len(members) == 1:
            whole.setdefault(members[0], []).append(block)
        else:
            found.append(Unit((block,), tuple(tensors[m] for m in members)))
    for position, blocks in whole.items():
        blocks.sort(key=lambda block: block.span.start)
        found.append(Unit(tuple(blocks), (tensors[position],)))
    return found


def read_unit(objects: Objects, unit: Unit, sink: Sink) -> None:
    """Give every part of the unit's tensors to ``sink``, in order.

    A tensor is verified when its last part has been given: until this returns, nobody may trust
    what was received. Raises IntegrityError naming the tensor where bytes are missing or differ.
    """
    if len(unit.infos) == 1:
        info = unit.infos[0]
        hasher = tensor_hasher(info.dtype, info.shape)
        for block in unit.blocks:
            content = bytes_of(read_block(objects, block, info))
            hasher.update(content)
            sink(info, block.span.start, content)
        verify(info, hasher.hexdigest(), unit.blocks[-1])
        return
    (block,) = unit.blocks
    content = bytes_of(read_block(objects, block, unit.infos[0]))
    start = 0
    for info in unit.infos:
        part = content[start : start + info.size_bytes]
        start += info.size_bytes
        verify(info, tensor_hasher(info.dtype, info.shape).update(part).hexdigest(), block)
        sink(info, 0, part)


def read_held(objects: Objects, unit: Unit) -> dict[str, bytearray]:
    """The bytes of the unit's tensors, verified, by name."""
    held = {info.name: bytearray(info.size_bytes) for info in unit.infos}

    def keep(info: TensorInfo, start: int, part: memoryview) -> None:
        held[info.name][start : start + len(part)] = part

    read_unit(objects, unit, keep)
    return held


def check_empty(info: TensorInfo) -> None:
    """Verify the id of a tensor without elements, for which nothing is stored."""
    if tensor_hasher(info.dtype, info.shape).hexdigest() != info.id:
        raise IntegrityError(
            "tensor '{tensor}' has no elements, but the id of one that has",
            do="bring the sheet back from a backup, then run 'tidegate params fsck'",
            tensor=info.name,
        )


def read_block(objects: Objects, block: Block, info: TensorInfo) -> Bits:
    """The block's elements on this thread's bench, valid until the next block is read."""
    *_, (_, content) = read_chain(objects, block, info)
    return content


def read_chain(objects: Objects, block: Block, info: TensorInfo) -> Iterator[tuple[Frame, Bits]]:
    """What the anchor gives, then what each delta makes of it.

    What a delta gives is valid until the one after the next; what the anchor gives, until the
    next block is read.
    """
    width, place = element_width(info.dtype), bench()
    content: Bits | None = None
    for turn, frame in enumerate(block.chain):
        where = (Place.EVEN, Place.ODD)[turn % 2] if turn else Place.ANCHOR
        room = place.room(where, block.span.size, width)
        with _naming(info, frame):
            if frame.kind is Kind.RAW and frame.size == block.span.size:
                read_frame(objects, frame, bytes_of(room))
            else:
                data = bytes_of(place.room(Place.FRAME, frame.size))
                read_frame(objects, frame, data)
                decode(frame.kind, data, content, room)
        content = room
        yield frame, content


@contextmanager
def _naming(info: TensorInfo, frame: Frame) -> Iterator[None]:
    """A missing or changed object is told with the tensor that it hurts."""
    try:
        yield
    except Missing as missing:
        raise Missing(
            "tensor '{tensor}' is missing: there is no object '{key}'",
            do="bring the object back from a backup, or commit the same parameters again",
            tensor=info.name,
            key=pack_key(frame.pack),
        ) from missing
    except (IntegrityError, Damaged) as problem:
        raise _hurt(info, frame) from problem


def verify(info: TensorInfo, found: str, block: Block) -> None:
    """Raise IntegrityError where the id that was ``found`` is not the tensor's."""
    if found != info.id:
        raise _hurt(info, block.chain[-1])


def _hurt(info: TensorInfo, frame: Frame) -> IntegrityError:
    return IntegrityError(
        "tensor '{tensor}' is damaged: object '{key}' does not hold the bytes that were committed",
        do="bring the object back from a backup, or import the parameters again with --repair; "
        "then run 'tidegate params fsck'",
        tensor=info.name,
        key=pack_key(frame.pack),
    )
