"""Safetensors files, read tensor by tensor, never a whole file in memory."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

from tidegate.domain.errors import NotFound, ParamsError
from tidegate.domain.tensor import Tensor
from tidegate.params.files.regular import open_regular, read_exactly, shorter, unreadable
from tidegate.params.files.safetensors_header import (
    MAX_HEADER_BYTES,
    Entry,
    Header,
    parse_header,
)

#: A file last changed longer ago shows any further change by its times.
_SETTLED_NS = 100_000_000

#: What tells a file, and any change to it: device, inode, bytes, and the times of changes.
_Stamp = tuple[int, int, int, int, int]


def _stamp(told: os.stat_result) -> _Stamp:
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


class _Opened(NamedTuple):
    """A file as it was when its header was read: its stamp comes from before."""

    stamp: _Stamp
    #: Times are kept in steps of some milliseconds: a change so soon after another is unseen.
    watched: bool
    #: All bytes before the data, of a file that is not watched.
    head: bytes | None
    data_start: int
    header: Header


class SafetensorsFile:
    """An open safetensors file whose header was found true; a context manager.

    Without a ``descriptor`` it is opened for each reading: a process may only have so many open.
    """

    def __init__(self, file: str, opened: _Opened, descriptor: int | None):
        self.file = file
        self._opened, self._descriptor = opened, descriptor
        self._entries = {entry.name: entry for entry in opened.header.entries}
        #: The file's own metadata; None where it has none.
        self.metadata = opened.header.metadata
        #: Names of the tensors, in the order of their bytes.
        self.names = list(self._entries)
        #: Whether any change shows in the file's times.
        self.watched = opened.watched

    def check(self) -> None:
        """Raise ParamsError where the file was changed since it was opened."""
        with self._reading() as descriptor:
            changed = _stamp(os.fstat(descriptor)) != self._opened.stamp
            if not changed and not self.watched:
                head = read_exactly(descriptor, 0, self._opened.data_start, self.file)
                changed = head != self._opened.head
        if changed:
            raise _changed(self.file)

    def info(self, name: str) -> Entry:
        """Name, dtype, shape and place of one tensor; NotFound where the file has no such one."""
        try:
            return self._entries[name]
        except KeyError:
            raise NotFound(
                "file '{file}' has no tensor '{tensor}'",
                do="choose one of its {count} tensors",
                file=self.file,
                tensor=name,
                count=len(self._entries),
            ) from None

    def read(self, name: str) -> Tensor:
        """One tensor, wholly in memory."""
        entry = self.info(name)
        with self._reading() as descriptor:
            start = self._opened.data_start + entry.start
            data = read_exactly(descriptor, start, entry.size_bytes, self.file)
        return Tensor(entry.dtype, entry.shape, data)

    def read_part(self, name: str, start: int, room: memoryview) -> memoryview:
        """Bytes of one tensor from ``start`` on, written to ``room``, which they fill."""
        entry = self.info(name)
        place = self._opened.data_start + entry.start + start
        if self._descriptor is not None:  # ten thousand tensors notice what _reading takes
            return self._fill(self._descriptor, place, room)
        with self._reading() as descriptor:
            return self._fill(descriptor, place, room)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _fill(self, descriptor: int, place: int, room: memoryview) -> memoryview:
        read = 0
        while read < len(room):
            try:
                count = os.preadv(descriptor, [room[read:]], place + read)
            except OSError as problem:
                raise unreadable(self.file, problem) from problem
            if not count:
                raise shorter(self.file)
            read += count
        return room

    @contextmanager
    def _reading(self) -> Iterator[int]:
        if self._descriptor is not None:
            yield self._descriptor
            return
        descriptor = open_regular(self.file)
        try:
            if _stamp(os.fstat(descriptor)) != self._opened.stamp:
                raise _changed(self.file)
            yield descriptor
        finally:
            os.close(descriptor)


def open_safetensors(path: str | os.PathLike[str], *, keep_open: bool = True) -> SafetensorsFile:
    """The file, open for reading, its header checked whole.

    Raises NotFound where there is no file, and ParamsError, naming file and tensor, where the
    header does not describe every byte of the file exactly once. One of very many files is not
    to be kept open.
    """
    file = os.fspath(path)
    descriptor = open_regular(file)
    try:
        opened = _look(descriptor, file)
    except BaseException:
        os.close(descriptor)
        raise
    if not keep_open:
        os.close(descriptor)
    return SafetensorsFile(file, opened, descriptor if keep_open else None)


def _look(descriptor: int, file: str) -> _Opened:
    """What a file says of itself; its times are taken before anything is read."""
    told = os.fstat(descriptor)
    stamp = _stamp(told)
    watched = time.time_ns() - max(told.st_mtime_ns, told.st_ctime_ns) > _SETTLED_NS
    length = _header_length(descriptor, told.st_size, file)
    head = read_exactly(descriptor, 0, 8 + length, file)
    header = parse_header(head[8:], told.st_size - len(head), file)
    return _Opened(stamp, watched, None if watched else head, len(head), header)


def _changed(file: str) -> ParamsError:
    return ParamsError(
        "file '{file}' was changed while it was read",
        do="wait until nothing writes to it, then try again",
        file=file,
    )


def _header_length(descriptor: int, size: int, file: str) -> int:
    if size < 8:
        raise ParamsError(
            "file '{file}' has {size} bytes, a safetensors file has at least 8",
            do="check that it is a safetensors file, and copy it again",
            file=file,
            size=size,
        )
    length = int.from_bytes(read_exactly(descriptor, 0, 8, file), "little")
    if length > MAX_HEADER_BYTES:
        raise ParamsError(
            "file '{file}' claims a header of {length:,} bytes, the format allows {limit:,}",
            do="check that it is a safetensors file",
            file=file,
            length=length,
            limit=MAX_HEADER_BYTES,
        )
    if length > size - 8:
        raise ParamsError(
            "file '{file}' claims a header of {length:,} bytes, but has only {size:,} bytes",
            do="the file may be cut short: copy it again",
            file=file,
            length=length,
            size=size,
        )
    return length
