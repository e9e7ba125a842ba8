"""Objects on their way into a store: in parts from several threads, or from end to end."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from obstore import exceptions

from tidegate.domain.errors import Missing, StorageError, TidegateError

#: Where a local object is written before it is put in its place; no key begins with a dot.
STAGING = ".staging/"


class Upload:
    """An object that is written in parts, from several threads; it is there when finished.

    On a local store the parts go to a file aside; for a store at a distance they are gathered.
    """

    def __init__(self, put: Callable[[str, bytes], bool], folder: Path | None, key: str):
        self._put, self._folder, self._key = put, folder, key
        self._parts: dict[int, bytes] = {}
        self._handle = -1
        if folder is not None:
            self._staged = folder / STAGING / uuid.uuid4().hex
            with telling(key):
                self._staged.parent.mkdir(exist_ok=True)
                self._handle = os.open(self._staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Put ``data`` at byte ``start``; it may be changed afterwards."""
        if self._folder is None:
            self._parts[start] = bytes(data)
            return
        rest = memoryview(data)
        with telling(self._key):
            while rest:
                written = os.pwrite(self._handle, rest, start)
                start, rest = start + written, rest[written:]

    def finish(self, key: str | None = None) -> bool:
        """Put the object in its place, whole and flushed; False where something is.

        ``key``: where its name was not known before.
        """
        self._key = key or self._key
        if self._folder is None:
            whole = [data for _, data in sorted(self._parts.items())]
            return self._put(self._key, whole[0] if len(whole) == 1 else b"".join(whole))
        target = self._folder / self._key
        with telling(self._key):
            os.fsync(self._handle)
            known = _existing(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(self._staged, target)
            except FileExistsError:
                return False
            except FileNotFoundError:
                raise StorageError(
                    "what was written for '{key}' was removed before it was complete",
                    do="see who removes files from the store's folder, and run the command again",
                    key=self._key,
                ) from None
            for parent in target.parents:
                _flush(parent)
                if parent == known:
                    break
        return True

    def abandon(self) -> None:
        """Keep nothing aside; what was finished stays."""
        self._parts = {}
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            self._staged.unlink(missing_ok=True)


class Stream:
    """An object that is written from its beginning to its end, and named when it is complete.

    It goes to a file, aside in a local store, without a name elsewhere: memory holds none of it.
    """

    def __init__(self, put_file: Callable[[str, BinaryIO], bool], folder: Path | None):
        self._put_file, self.size = put_file, 0
        self._upload: Upload | None = None
        self._file: BinaryIO | None = None
        if folder is not None:
            self._upload = Upload(_not_put, folder, "an object without a name yet")
        else:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - until finished or abandoned

    def write(self, data: bytes | memoryview) -> None:
        """Put ``data`` behind what was written before."""
        if self._upload is not None:
            self._upload.write(self.size, data)
        elif self._file is not None:
            with telling("an object without a name yet"):
                self._file.write(data)
        self.size += len(data)

    def finish(self, key: str) -> bool:
        """Put the object in its place, whole and flushed; False where something is."""
        if self._upload is not None:
            return self._upload.finish(key)
        assert self._file is not None, key  # noqa: S101 - it is one or the other
        return self._put_file(key, self._file)

    def abandon(self) -> None:
        """Keep nothing aside; what was finished stays."""
        if self._upload is not None:
            self._upload.abandon()
        if self._file is not None:
            self._file.close()


def _not_put(key: str, _data: bytes) -> bool:
    raise AssertionError(key)  # a local store puts nothing that lies in a file already


@contextmanager
def telling(key: str) -> Iterator[None]:
    """Tells of what goes wrong with files as the store's fault with an object."""
    try:
        yield
    except OSError as error:
        raise failed(key, error) from error


def _existing(path: Path) -> Path:
    """The nearest folder above ``path`` that is there."""
    return next(parent for parent in path.parents if parent.exists())


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def failed(key: str, error: Exception) -> TidegateError:
    """What went wrong with the store, in the user's words."""
    problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, (exceptions.NotFoundError, FileNotFoundError)):
        return Missing(
            "object '{key}' is missing from the store",
            do="bring it back from a backup",
            key=key,
        )
    if "No space left" in str(error) or "Disk quota" in str(error):
        return StorageError(
            "there is no space left to store '{key}'",
            do="free some kilobytes, then more with 'tidegate params gc', and run it again",
            key=key,
        )
    return StorageError(
        "the object store failed on '{key}': {problem}",
        do="check that it is there, reachable, and that you may read and write it",
        key=key,
        problem=problem,
    )
