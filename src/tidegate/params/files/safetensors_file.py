"""Safetensors files, read and written tensor by tensor, never a whole file in memory."""

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tidegate.domain.errors import NotFound, ParamsError, StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import TensorInfo
from tidegate.params.files.safetensors_header import (
    MAX_HEADER_BYTES,
    Entry,
    Header,
    lay_out,
    parse_header,
)
from tidegate.params.identity import name_bytes

#: A file last changed longer ago shows any further change by its times.
_SETTLED_NS = 100_000_000


def _stamp(descriptor: int) -> tuple[int, int, int]:
    told = os.fstat(descriptor)
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns


class SafetensorsFile:
    """An open safetensors file whose header was found true; a context manager."""

    def __init__(self, file: str, descriptor: int, data_start: int, header: Header):
        self.file = file
        self._descriptor, self._data_start = descriptor, data_start
        self._entries = {entry.name: entry for entry in header.entries}
        #: The file's own metadata; None where it has none.
        self.metadata = header.metadata
        #: Names of the tensors, in the order of their bytes.
        self.names = list(self._entries)
        #: Times are kept in steps of some milliseconds: a change so soon after another is unseen.
        self._stamp = _stamp(descriptor)
        self.watched = time.time_ns() - max(self._stamp[1:]) > _SETTLED_NS

    def check(self) -> None:
        """Raise ParamsError where the file was changed since it was opened."""
        if _stamp(self._descriptor) != self._stamp:
            raise ParamsError(
                "file '{file}' was changed while it was read",
                do="wait until nothing writes to it, then try again",
                file=self.file,
            )

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
        data = self._pread(entry.start, entry.size_bytes)
        return Tensor(entry.dtype, entry.shape, data)

    def read_part(self, name: str, start: int, room: memoryview) -> memoryview:
        """Bytes of one tensor from ``start`` on, written to ``room``, which they fill."""
        entry = self.info(name)
        read, place = 0, self._data_start + entry.start + start
        while read < len(room):
            try:
                count = os.preadv(self._descriptor, [room[read:]], place + read)
            except OSError as problem:
                raise unreadable(self.file, problem) from problem
            if not count:
                raise _shorter(self.file)
            read += count
        return room

    def close(self) -> None:
        """Let go of the file."""
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

    def _pread(self, start: int, size_bytes: int) -> bytes:
        return _read_exactly(self._descriptor, self._data_start + start, size_bytes, self.file)


def open_safetensors(path: str | os.PathLike[str]) -> SafetensorsFile:
    """The file, open for reading, its header checked whole.

    Raises NotFound where there is no file, and ParamsError, naming file and tensor, where the
    header does not describe every byte of the file exactly once.
    """
    file = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # opening a pipe would wait for its writer
            raise ParamsError(
                "'{file}' is not a regular file", do="give a safetensors file", file=file
            )
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("there is no file '{file}'", do="check the path", file=file) from None
    except (OSError, ValueError) as problem:
        raise unreadable(file, problem) from problem
    try:
        size = os.fstat(descriptor).st_size
        length = _header_length(descriptor, size, file)
        raw = _read_exactly(descriptor, 8, length, file)
        header = parse_header(raw, size - 8 - length, file)
    except BaseException:
        os.close(descriptor)
        raise
    return SafetensorsFile(file, descriptor, 8 + length, header)


class SafetensorsWriter:
    """Writes a safetensors file part by part, in any order and from several threads.

    A context manager: the file appears whole when the block ends well, or not at all. It is
    written beside its place and renamed. A path that is not a regular file (``/dev/stdout``, a
    pipe) is written directly, and must be given its parts ``in_order``. Raises StorageError where
    the disk is full or may not be written, ParamsError for a name given twice.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tensors: Iterable[TensorInfo],
        metadata: Mapping[str, str] | None = None,
    ):
        self._file = os.fspath(path)
        shapes = [(t.name, t.dtype, tuple(t.shape), t.size_bytes) for t in tensors]
        self._head, entries = lay_out(shapes, metadata)
        self._starts = {entry.name: len(self._head) + entry.start for entry in entries}
        self._order = [entry.name for entry in entries]
        #: Bytes of the whole file.
        self.size_bytes = len(self._head) + sum(entry.size_bytes for entry in entries)

    @property
    def in_order(self) -> list[str] | None:
        """The tensors in the order in which they must come; None where any will do."""
        return self._order if self._special else None

    def write(self, info: TensorInfo, start: int, part: memoryview) -> None:
        """Write a part of a tensor, from its byte ``start`` on."""
        with _telling(self._file):
            if self._special:
                _write_all(self._descriptor, part)
            else:
                _write_at(self._descriptor, part, self._starts[info.name] + start)

    def __enter__(self) -> Self:
        with _telling(self._file):
            self._special = _special(self._file)
            where = self._file if self._special else os.path.realpath(self._file)
            self._target = Path(where)
            self._partial = self._target.with_name(f".{secrets.token_hex(12)}.partial")
            create = 0 if self._special else os.O_CREAT | os.O_EXCL
            place = self._target if self._special else self._partial
            self._descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC | create, 0o666)
        try:
            with _telling(self._file):
                _write_all(self._descriptor, self._head)
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None or self._special:
            self._discard()
            return
        try:
            with _telling(self._file):
                os.replace(self._partial, self._target)
        finally:
            self._discard()

    def _discard(self) -> None:
        os.close(self._descriptor)
        if not self._special:
            self._partial.unlink(missing_ok=True)


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Bytes written to ``path``, a safetensors file with these tensors; as SafetensorsWriter."""
    infos = [
        TensorInfo(
            name=name,
            id="",
            dtype=tensor.dtype,
            shape=list(tensor.shape),
            size_bytes=tensor.size_bytes,
        )
        for name, tensor in tensors.items()
        if name_bytes(name) is not None
    ]
    with SafetensorsWriter(path, infos, metadata) as writer:
        by_name = {info.name: info for info in infos}
        for name in writer.in_order or tensors:
            writer.write(by_name[name], 0, memoryview(tensors[name].data).cast("B"))
    return writer.size_bytes


@contextmanager
def _telling(file: str) -> Iterator[None]:
    """What the system refuses is told as a StorageError that names the file."""
    try:
        yield
    except (OSError, ValueError) as problem:  # ValueError: a NUL byte in the path
        raise _unwritable(file, problem) from problem


def _special(file: str) -> bool:
    """Whether to write in place: devices, pipes, and /dev/stdout even when it is a file."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) or os.path.abspath(file).startswith(("/dev/", "/proc/"))


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _write_at(descriptor: int, data: memoryview, place: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], place + done)


def _header_length(descriptor: int, size: int, file: str) -> int:
    if size < 8:
        raise ParamsError(
            "file '{file}' has {size} bytes, a safetensors file has at least 8",
            do="check that it is a safetensors file, and copy it again",
            file=file,
            size=size,
        )
    length = int.from_bytes(_read_exactly(descriptor, 0, 8, file), "little")
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


def _read_exactly(descriptor: int, start: int, size_bytes: int, file: str) -> bytes:
    parts, read = [], 0
    while read < size_bytes:
        try:
            part = os.pread(descriptor, size_bytes - read, start + read)
        except OSError as problem:
            raise unreadable(file, problem) from problem
        if not part:
            raise _shorter(file)
        parts.append(part)
        read += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _shorter(file: str) -> ParamsError:
    return ParamsError(
        "file '{file}' became shorter while it was read",
        do="wait until nothing writes to it, then try again",
        file=file,
    )


def unreadable(file: str, problem: Exception) -> ParamsError:
    """What to raise for a file that the system does not let be read."""
    return ParamsError(
        "file '{file}' cannot be read ({problem})",
        do="check the path and your rights to it",
        file=file,
        problem=getattr(problem, "strerror", None) or str(problem),
    )


def _unwritable(file: str, problem: Exception) -> StorageError:
    if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            "there is no room left to write '{file}'",
            do="free space or choose another place",
            file=file,
        )
    return StorageError(
        "file '{file}' cannot be written ({problem})",
        do="check the path and your rights to it",
        file=file,
        problem=getattr(problem, "strerror", None) or str(problem),
    )
