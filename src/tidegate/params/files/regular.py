"""Regular files, opened for reading without ever waiting for anyone."""

import os
import stat

from tidegate.domain.errors import NotFound, ParamsError


def open_regular(path: str | os.PathLike[str]) -> int:
    """A descriptor of the file; raises NotFound, or ParamsError where it is no regular file.

    A pipe is opened without waiting for who writes to it, and refused.
    """
    file = os.fspath(path)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound("there is no file '{file}'", do="check the path", file=file) from None
    except (OSError, ValueError) as problem:
        raise unreadable(file, problem) from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ParamsError(
            "'{file}' is not a regular file", do="give a file that lies on a disk", file=file
        )
    return descriptor


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """The file's bytes, of a longer one the first ``most`` only; raises as ``open_regular``."""
    with os.fdopen(open_regular(path), "rb") as handle:
        try:
            return handle.read(most)
        except OSError as problem:
            raise unreadable(os.fspath(path), problem) from problem


def read_exactly(descriptor: int, start: int, size_bytes: int, file: str) -> bytes:
    """So many bytes from ``start``; raises ParamsError where the file ends before."""
    parts, read = [], 0
    while read < size_bytes:
        try:
            part = os.pread(descriptor, size_bytes - read, start + read)
        except OSError as problem:
            raise unreadable(file, problem) from problem
        if not part:
            raise shorter(file)
        parts.append(part)
        read += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def shorter(file: str) -> ParamsError:
    """What to raise for a file that ends before it did."""
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
