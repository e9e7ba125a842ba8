"""Bytes under keys, on a local directory or in a cloud store: written once, never changed."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import obstore
from obstore import exceptions
from obstore.store import LocalStore, ObjectStore, from_url

from tidegate.domain.errors import Missing, StorageError
from tidegate.store.upload import STAGING, Stream, Upload, failed

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")

#: Larger files go to a store at a distance in parts: one request could not hold them.
_ONE_REQUEST_BYTES = 1 << 26


class Entry(NamedTuple):
    """An object as a listing tells it: bytes, and when it was written (seconds since 1970)."""

    key: str
    size: int
    modified: float


class Objects:
    """An object store. Keys are words of letters, digits, ``_ . -``, joined by slashes.

    An object, once there, is whole and on disk: a local one is written aside, flushed (the store
    below does not), and then linked to its name.
    """

    def __init__(self, store: ObjectStore, folder: Path | None):
        self._store, self._folder = store, folder

    @classmethod
    def open(cls, url: str, **options: Any) -> "Objects":
        """The store at ``url``: a folder, or ``s3://``, ``gs://``, ``az://`` with its options."""
        try:
            if "://" in url:
                return cls(from_url(url, **options), None)
            folder = Path(url).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder), folder)
        except (exceptions.BaseError, OSError, ValueError, TypeError) as error:
            raise failed(url, error) from error

    @property
    def remote(self) -> bool:
        """Whether each request travels: then several at a time are faster than one."""
        return self._folder is None

    def put(self, key: str, data: bytes, *, durable: bool = True) -> bool:
        """Store ``data`` under ``key`` for good; False, and nothing done, where something is.

        What is not ``durable`` may be lost with the power, whole or not at all being no promise
        then: for what is worth nothing afterwards. Raises StorageError where it cannot be
        written; then nothing stands under the key.
        """
        _check(key)
        try:
            if self._folder is not None and durable:
                return self._put_durably(self._folder, key, data)
            obstore.put(self._store, key, data, mode="create")
        except exceptions.AlreadyExistsError:
            return False
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error
        return True

    def _put_durably(self, folder: Path, key: str, data: bytes) -> bool:
        if (folder / key).exists():
            return False
        upload = Upload(self.put, folder, key)
        try:
            upload.write(0, data)
            return upload.finish()
        finally:
            upload.abandon()

    def upload(self, key: str) -> "Upload":
        """For an object that is written in parts; raises StorageError where none can be."""
        _check(key)
        return Upload(self.put, self._folder, key)

    def stream(self) -> Stream:
        """For an object that is written from its beginning to its end, and named then."""
        return Stream(self.put_file, self._folder)

    def put_file(self, key: str, file: BinaryIO) -> bool:
        """As ``put``, for the whole of an open file, however large."""
        _check(key)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        # In parts a store knows no "create": of two writers at once, the later one's bytes stay.
        parts = size > _ONE_REQUEST_BYTES
        if parts and self.exists(key):
            return False
        try:
            obstore.put(self._store, key, file, mode="overwrite" if parts else "create")
        except exceptions.AlreadyExistsError:
            return False
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error
        return True

    def forget_uploads(self, before: float) -> None:
        """Remove what killed writers left aside, if it was last written ``before``."""
        if self._folder is None or not (self._folder / STAGING).is_dir():
            return
        for staged in (self._folder / STAGING).iterdir():
            with suppress(FileNotFoundError):
                if staged.stat().st_mtime <= before:
                    staged.unlink()

    def get(self, key: str) -> bytes:
        """The bytes under ``key``; raises Missing where there are none."""
        _check(key)
        try:
            if self._folder is not None:
                _check_file(self._folder / key)
            return bytes(obstore.get(self._store, key).bytes())
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error

    def opened(self, key: str) -> BinaryIO:
        """The object as a file to read, fetched first where it lies at a distance."""
        _check(key)
        try:
            if self._folder is not None:
                _check_file(self._folder / key)
                return (self._folder / key).open("rb")
            fetched = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            for part in obstore.get(self._store, key).stream(min_chunk_size=1 << 20):
                fetched.write(part)
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error
        fetched.seek(0)
        return fetched

    def read_into(self, key: str, start: int, room: memoryview) -> int:
        """Fill ``room`` with bytes from ``start``; gives how many, fewer where the object ends."""
        _check(key)
        if not len(room):
            return 0
        try:
            if self._folder is not None:
                return _read_at(self._folder / key, start, room)
            data = obstore.get_range(self._store, key, start=start, length=len(room))
        except (exceptions.BaseError, OSError) as error:
            told = failed(key, error)
            if not isinstance(told, Missing) and self.size(key) <= start:
                return 0  # which stores call an error
            raise told from error
        room[: len(data)] = data
        return len(data)

    def exists(self, key: str) -> bool:
        """Whether something is stored under ``key``."""
        _check(key)
        try:
            obstore.head(self._store, key)
        except (exceptions.NotFoundError, FileNotFoundError):
            return False
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error
        return True

    def size(self, key: str) -> int:
        """Bytes stored under ``key``; raises Missing where there is nothing."""
        return int(self._head(key)["size"])

    def modified(self, key: str) -> float:
        """When the object was written, in seconds since 1970."""
        return float(self._head(key)["last_modified"].timestamp())

    def _head(self, key: str) -> Any:
        _check(key)
        try:
            return obstore.head(self._store, key)
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Every key in the folder ``prefix``, with its size in bytes; in no order."""
        for entry in self.entries(prefix):
            yield entry.key, entry.size

    def entries(self, prefix: str) -> Iterator[Entry]:
        """As ``list``, and when each was written.

        What has no name that a key could have is none of ours: what editors, desktops and
        networks put into folders.
        """
        try:
            for portion in obstore.list(self._store, prefix=prefix.rstrip("/")):
                for meta in portion:
                    if _KEY.fullmatch(meta["path"]) is None:
                        continue
                    written = meta["last_modified"].timestamp()
                    yield Entry(meta["path"], int(meta["size"]), float(written))
        except (exceptions.BaseError, OSError) as error:
            raise failed(prefix, error) from error

    def delete(self, key: str) -> None:
        """Remove what is under ``key``; nothing there is no error."""
        _check(key)
        try:
            obstore.delete(self._store, key)
        except (exceptions.NotFoundError, FileNotFoundError):
            return
        except (exceptions.BaseError, OSError) as error:
            raise failed(key, error) from error


def _check(key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise StorageError(
            "'{key}' is no key of an object", do="use letters, digits and _ . - / only", key=key
        )


def _check_file(path: Path) -> None:
    """Only a file is an object: a pipe would make its reader wait for a writer."""
    if not path.is_file():
        raise FileNotFoundError


def _read_at(path: Path, start: int, room: memoryview) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FileNotFoundError
        done = 0
        while done < len(room) and (count := os.preadv(handle, [room[done:]], start + done)):
            done += count
        return done
    finally:
        os.close(handle)
