"""Telling how far long work over many bytes has come."""

from collections.abc import Callable
from threading import Lock

#: Called with the bytes done so far and the bytes there are in all.
Progress = Callable[[int, int], None]


class Meter:
    """Counts bytes and tells ``progress``, where one listens."""

    def __init__(self, progress: Progress | None, total: int):
        self._progress, self._total, self._done = progress, total, 0
        self._lock = Lock()

    def add(self, size_bytes: int) -> None:
        """That many more bytes are done."""
        with self._lock:  # several threads may tell
            self._done += size_bytes
            if self._progress is not None:
                self._progress(self._done, self._total)
