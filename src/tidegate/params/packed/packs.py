"""Packs: objects of many frames, written once; and reading a frame out of one."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from blake3 import blake3

from tidegate.domain.errors import IntegrityError
from tidegate.params.packed.codec import Encoded
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.sheet import Frame
from tidegate.store.objects import Objects

PACKS = "params/packs/"
#: A pack is written when it has grown to this; two may wait while a third is filled.
PACK_BYTES = 16 << 20
_WAITING = 2


def pack_key(pack: str) -> str:
    """The key of a pack, whose name is its writer's and a number."""
    return PACKS + pack


def read_frame(objects: Objects, frame: Frame, room: memoryview) -> None:
    """Fill ``room`` with the frame's bytes; raises IntegrityError where they were changed."""
    read = objects.read_into(pack_key(frame.pack), frame.offset, room)
    if read != frame.size or blake3(room).hexdigest() != frame.hash:
        raise IntegrityError(
            "object '{key}' was changed near byte {offset:,}",
            do="bring the object back from a backup, then run 'tidegate params fsck'",
            key=pack_key(frame.pack),
            offset=frame.offset,
        )


class PackWriter:
    """Gathers frames, from several threads, into packs that one thread of its own writes."""

    def __init__(self, objects: Objects, lease: Lease):
        self._objects, self._lease = objects, lease
        self._lock = threading.Lock()
        self._parts: list[bytes] = []
        self._size = self._packs = 0
        self._pool = ThreadPoolExecutor(1, "packs")
        self._room = threading.Semaphore(_WAITING)
        self._writing: list[Future[None]] = []

    def add(self, encoded: Encoded, step: int) -> Frame:
        """The frame under which ``encoded`` will lie; waits while too much is unwritten."""
        hash_ = blake3(encoded.data).hexdigest()
        with self._lock:
            name, offset = f"{self._lease.writer}/{self._packs:06d}", self._size
            self._parts.append(encoded.data)
            self._size += len(encoded.data)
            if self._size >= PACK_BYTES:
                self._write()
        return Frame(name, offset, len(encoded.data), encoded.kind, hash_, step)

    def finish(self) -> None:
        """Return when every pack is in the store; raises what went wrong with any."""
        with self._lock:
            if self._parts:
                self._write()
        self._pool.shutdown()
        for written in self._writing:
            written.result()

    def abandon(self) -> None:
        """Remove what was written; for a commit that failed. Nothing refers to it."""
        self._pool.shutdown(cancel_futures=True)
        for number in range(self._packs):
            self._objects.delete(pack_key(f"{self._lease.writer}/{number:06d}"))

    def _write(self) -> None:
        for written in self._writing:
            if written.done():
                written.result()  # a full disk is told now, not after the whole model
        parts, number = self._parts, self._packs
        self._parts, self._size, self._packs = [], 0, number + 1
        self._room.acquire()
        self._writing.append(self._pool.submit(self._put, parts, number))

    def _put(self, parts: list[bytes], number: int) -> None:
        try:
            self._lease.renew()
            key = pack_key(f"{self._lease.writer}/{number:06d}")
            self._objects.put(key, parts[0] if len(parts) == 1 else b"".join(parts))
        finally:
            self._room.release()
