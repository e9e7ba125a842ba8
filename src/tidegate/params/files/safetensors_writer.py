"""Safetensors files, written part by part: whole in their place, or not at all."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tidegate.domain.errors import StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import TensorInfo
from tidegate.params.files.safetensors_header import lay_out
from tidegate.params.identity import name_bytes

_STANDARD = ("/dev/stdin", "/dev/stdout", "/dev/stderr")


class SafetensorsWriter:
    """Writes a safetensors file part by part, in any order and from several threads.

    A context manager: the file appears whole when the block ends well, or not at all. A device, a
    pipe, or a descriptor that the process was started with (``/dev/stdout``) is written directly,
    and must be given its parts ``in_order``. Raises StorageError where the disk is full or may not
    be written, ParamsError for a name given twice.
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
        return None if self._aside else self._order

    def write(self, info: TensorInfo, start: int, part: memoryview) -> None:
        """Write a part of a tensor, from its byte ``start`` on."""
        with _telling(self._file):
            if self._aside:
                _write_at(self._descriptor, part, self._starts[info.name] + start)
            else:
                _write_all(self._descriptor, part)

    def __enter__(self) -> Self:
        with _telling(self._file):
            direct = _direct(self._file)
            self._aside: _Aside | None = None
            if direct is None:
                self._aside = _Aside(Path(os.path.realpath(self._file)))
                direct = self._aside.descriptor
            self._descriptor = direct
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
        try:
            if self._aside and error is None:
                with _telling(self._file):
                    self._aside.take_place()
        finally:
            self._discard()

    def _discard(self) -> None:
        os.close(self._descriptor)
        if self._aside:
            self._aside.partial.unlink(missing_ok=True)


class _Aside:
    """A file that nobody sees before it takes the place of ``target``.

    It has no name meanwhile, where the system knows such files, so that nothing is left of it
    when the process is killed; elsewhere it lies beside its place.
    """

    def __init__(self, target: Path):
        self._target = target
        self.partial = target.with_name(f".{secrets.token_hex(12)}.partial")
        nameless = _nameless(target.parent)
        create = os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL
        self.descriptor = os.open(self.partial, create, 0o666) if nameless is None else nameless
        self._named = nameless is None

    def take_place(self) -> None:
        """Give it its name, in place of what has it now."""
        if not self._named:  # a link replaces nothing, a rename does
            _name(self.descriptor, self.partial)
        os.replace(self.partial, self._target)


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


def own_descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the descriptor that a path names, as ``/dev/stdout`` or ``/dev/fd/3`` do."""
    whole = os.path.abspath(path)
    if whole in _STANDARD:
        return _STANDARD.index(whole)
    numbered = re.fullmatch(rf"(?:/dev|/proc/self|/proc/{os.getpid()})/fd/([0-9]{{1,9}})", whole)
    return int(numbered[1]) if numbered else None


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Whether what is written to the path goes where this process's standard output goes."""
    number = own_descriptor(path)
    try:
        return number is not None and os.path.samestat(os.fstat(number), os.fstat(1))
    except OSError:  # one of the two is not open
        return False


def _direct(file: str) -> int | None:
    """A descriptor to write to as it comes; None for a regular file, which is written aside.

    A descriptor of this process's is one more of the same, so that it goes on where the others
    are, whatever lies behind it. Ours are not inherited: nobody can mean them.
    """
    number = own_descriptor(file)
    if number is not None:
        if not os.get_inheritable(number):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return os.dup(number)
    try:
        if stat.S_ISREG(os.stat(file).st_mode):
            return None
    except FileNotFoundError:
        return None
    return os.open(file, os.O_WRONLY | os.O_CLOEXEC)


def _nameless(folder: Path) -> int | None:
    """A new file without a name; None where the system, or this folder's, has none."""
    flag = getattr(os, "O_TMPFILE", 0)  # Linux only
    if not flag or not os.path.exists("/proc/self/fd"):
        return None
    try:
        return os.open(folder, flag | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as problem:
        if problem.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise


def _name(descriptor: int, path: Path) -> None:
    # With a folder given, os.link follows the link to the file, as linkat(2) does.
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _write_at(descriptor: int, data: memoryview, place: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], place + done)


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
