"""Files that people asked for: there whole, or as they were."""

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from tidegate.data.sources.folder import parts_of
from tidegate.domain.errors import DataError, WrongUsage

_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


def write_file(path: Path, text: str) -> None:
    """Write text as UTF-8; an earlier file is replaced whole or not at all. Raises DataError.

    Of a link the file behind it is replaced; a device or a pipe is written to and stays.
    """
    try:
        direct = _direct(path)
        if direct is None:
            _replace(Path(os.path.realpath(path)), text)
            return
        with open(direct, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DataError(
            "{file} cannot be written ({reason})",
            do="check the folder and the room on the disk",
            file=str(path),
            reason=error.strerror or str(error),
        ) from None


def check_apart(out: Path, read: Sequence[Path]) -> None:
    """Raises WrongUsage where writing to ``out`` would replace a file, or a folder's, of ``read``.

    Links count as what they lead to.
    """
    if not os.path.exists(out):
        return
    for given in read:
        files = [part.path for part in parts_of(given)] if given.is_dir() else [given]
        if any(os.path.exists(file) and os.path.samefile(out, file) for file in files):
            raise WrongUsage(
                "{file} would be written over rows that are read",
                do="name another file",
                file=str(out),
            )


def _direct(path: Path) -> int | None:
    """A descriptor to write to as it comes; None for a regular file, which is replaced."""
    standard = _STANDARD.get(os.path.abspath(path))
    if standard is not None:
        return os.dup(standard)  # goes on where the others are, also within a file
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return None
    except FileNotFoundError:
        return None
    return os.open(path, os.O_WRONLY | os.O_CLOEXEC)


def _replace(target: Path, text: str) -> None:
    beside = target.with_name(f".{secrets.token_hex(12)}.partial")
    create = os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL
    descriptor = os.open(beside, create, 0o666)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
