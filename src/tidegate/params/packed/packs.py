"""Packs: objects of many frames, written once; and reading a frame out of one."""

import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from blake3 import blake3

from tidegate.domain.errors import IntegrityError
from tidegate.params.packed.codec import Encoded
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.sheet import Frame, Sheet
from tidegate.store.objects import Entry, Objects

PACKS = "params/packs/"
#: A pack is written when it has grown to this; two may wait while a third is filled.
PACK_BYTES = 16 << 20
_WAITING = 2
_PACK = re.compile("[0-9A-Za-z]+/[0-9]{6,}")


def pack_key(pack: str) -> str:
    """The key of a pack, whose name is its writer's and a number."""
    return PACKS + pack


def all_packs(objects: Objects, writer: str | None = None) -> dict[str, Entry]:
    """Every pack in the store by its name, or every one of a writer's; other objects are none."""
    folder = PACKS if writer is None else f"{PACKS}{writer}/"
    named = ((entry.key.removeprefix(PACKS), entry) for entry in objects.entries(folder))
    return {name: entry for name, entry in named if _PACK.fullmatch(name)}


class Listed:
    """The packs of some writers, each writer's listed when it is first asked for."""

    def __init__(self, objects: Objects):
        self._objects = objects
        self._sizes: dict[str, int] = {}
        self._writers: set[str] = set()

    def holds(self, sheet: Sheet) -> bool:
        """Whether every pack that a sheet needs is there, and as long as it needs it."""
        ends = sheet.ends
        for writer in {pack.partition("/")[0] for pack in ends} - self._writers:
            packs = all_packs(self._objects, writer)
            self._sizes |= {name: entry.size for name, entry in packs.items()}
            self._writers.add(writer)
        return all(end <= self._sizes.get(pack, -1) for pack, end in ends.items())


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


class _Pack:
    """A pack that is being filled; ``writing`` counts who has a place in it and is not done."""

    def __init__(self, objects: Objects, name: str):
        self.name, self.upload = name, objects.upload(pack_key(name))
        self.size = self.writing = 0


class PackWriter:
    """Frames, from several threads, put into packs; one thread of its own flushes full ones."""

    def __init__(self, objects: Objects, lease: Lease):
        self._objects, self._lease = objects, lease
        self._lock = threading.Lock()
        self._packs: list[_Pack] = []
        self._filling: _Pack | None = None
        self._pool = ThreadPoolExecutor(1, "packs")
        self._room = threading.Semaphore(_WAITING)
        self._flushed: list[Future[None]] = []

    def add(self, encoded: Encoded) -> Frame:
        """The frame under which ``encoded`` lies; waits while too many packs are not flushed."""
        hash_, size = blake3(encoded.data).hexdigest(), len(encoded.data)
        with self._lock:
            pack = self._filling or self._next()
            offset = pack.size
            pack.size, pack.writing = pack.size + size, pack.writing + 1
            self._filling = pack if pack.size < PACK_BYTES else None
        pack.upload.write(offset, encoded.data)
        with self._lock:
            pack.writing -= 1
            full = pack is not self._filling and not pack.writing
        if full:
            self._flush(pack)
        return Frame(pack.name, offset, size, encoded.kind, hash_)

    def close(self) -> None:
        """Begin to flush the last pack: nothing more is added."""
        if self._filling:
            self._flush(self._filling)
            self._filling = None

    def finish(self) -> None:
        """Return when every pack is in the store; raises what went wrong with any."""
        self.close()
        self._pool.shutdown()
        for flushed in self._flushed:
            flushed.result()

    def abandon(self) -> None:
        """Remove what was written; for a commit that failed. Nothing refers to it."""
        self._pool.shutdown(cancel_futures=True)
        for pack in self._packs:
            pack.upload.abandon()
            self._objects.delete(pack_key(pack.name))

    def _next(self) -> _Pack:
        pack = _Pack(self._objects, f"{self._lease.writer}/{len(self._packs):06d}")
        self._packs.append(pack)
        return pack

    def _flush(self, pack: _Pack) -> None:
        for flushed in self._flushed:
            if flushed.done():
                flushed.result()  # what went wrong is told now, not after the whole model
        self._room.acquire()
        self._flushed.append(self._pool.submit(self._put, pack))

    def _put(self, pack: _Pack) -> None:
        try:
            self._lease.renew()
            pack.upload.finish()
            pack.upload.abandon()
        finally:
            self._room.release()
