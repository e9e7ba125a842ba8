"""Safetensors files, read and written tensor by tensor, never a whole file in memory."""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tidegate.domain.errors import NotFound, ParamsError, StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import TensorInfo
from tidegate.params.identity import name_bytes
from tidegate.params.safetensors_header import (
    MAX_HEADER_BYTES,
    Entry,
    Header,
    lay_out,
    parse_header,
)
from tidegate.params.tensors import CHUNK_BYTES

#: Gives a tensor's bytes, in chunks of any size.
Chunks = Callable[[], Iterable[bytes | memoryview]]


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

    def chunks(self, name: str) -> Iterator[bytes]:
        """One tensor's bytes in chunks of ``CHUNK_BYTES``, which hold whole elements."""
        entry = self.info(name)
        for start in range(entry.start, entry.stop, CHUNK_BYTES):
            yield self._pread(start, min(CHUNK_BYTES, entry.stop - start))

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
        raise _unreadable(file, problem) from problem
    try:
        size = os.fstat(descriptor).st_size
        length = _header_length(descriptor, size, file)
        raw = _read_exactly(descriptor, 8, length, file)
        header = parse_header(raw, size - 8 - length, file)
    except BaseException:
        os.close(descriptor)
        raise
    return SafetensorsFile(file, descriptor, 8 + length, header)


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor] | Iterable[tuple[TensorInfo, Chunks]],
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Bytes written to ``path``, a safetensors file with these tensors.

    The file appears whole or not at all: it is written beside its place, synced, and renamed.
    A path that is not a regular file (``/dev/stdout``, a pipe) is written directly. Raises
    StorageError where the disk is full or may not be written, ParamsError for a name given twice.
    """
    pieces = list(_pieces(tensors))
    sources = {info[0]: chunks for info, chunks in pieces}
    head, entries = lay_out([info for info, _ in pieces], metadata)
    with _writing(os.fspath(path)) as write:
        write(head)
        for entry in entries:
            given = 0
            for chunk in sources[entry.name]():
                write(chunk)
                given += len(chunk)
            if given != entry.size_bytes:
                raise ParamsError(
                    "tensor '{tensor}' gave {given} bytes where {needed} belong",
                    do="give all bytes of the tensor",
                    tensor=entry.name,
                    given=given,
                    needed=entry.size_bytes,
                )
    return len(head) + sum(entry.size_bytes for entry in entries)


_Piece = tuple[tuple[str, str, tuple[int, ...], int], Chunks]


def _pieces(
    tensors: Mapping[str, Tensor] | Iterable[tuple[TensorInfo, Chunks]],
) -> Iterator[_Piece]:
    if isinstance(tensors, Mapping):
        for name, tensor in tensors.items():
            name_bytes(name)
            yield (name, tensor.dtype, tensor.shape, len(tensor.data)), _whole(tensor)
    else:
        for info, chunks in tensors:
            yield (info.name, info.dtype, tuple(info.shape), info.size_bytes), chunks


def _whole(tensor: Tensor) -> Chunks:
    return lambda: (memoryview(tensor.data),)


@contextmanager
def _writing(file: str) -> Iterator[Callable[[bytes | memoryview], None]]:
    """A function that writes to ``file``, which changes only when the block ends well."""
    with _telling(file):
        special = _special(file)
        target = Path(file if special else os.path.realpath(file))
        partial = target.with_name(f".{secrets.token_hex(12)}.partial")
        create = 0 if special else os.O_CREAT | os.O_EXCL
        descriptor = os.open(
            target if special else partial, os.O_WRONLY | os.O_CLOEXEC | create, 0o666
        )
    try:
        try:
            yield lambda data: _write_all(descriptor, data, file)
            with _telling(file):
                if not special:
                    os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not special:
            with _telling(file):
                os.replace(partial, target)
                _sync_folder(target.parent)
    finally:
        if not special:
            partial.unlink(missing_ok=True)


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


def _write_all(descriptor: int, data: bytes | memoryview, file: str) -> None:
    rest = memoryview(data)
    with _telling(file):
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
            raise _unreadable(file, problem) from problem
        if not part:
            raise ParamsError(
                "file '{file}' became shorter while it was read",
                do="wait until nothing writes to it, then try again",
                file=file,
            )
        parts.append(part)
        read += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unreadable(file: str, problem: Exception) -> ParamsError:
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
