"""Telling how far long work over many bytes has come."""

from collections.abc import Callable, Iterable, Iterator

#: Called with the bytes done so far and the bytes there are in all.
Progress = Callable[[int, int], None]


class Meter:
    """Counts bytes and tells ``progress``, where one listens."""

    def __init__(self, progress: Progress | None, total: int):
        self._progress, self._total, self._done = progress, total, 0

    def add(self, size_bytes: int) -> None:
        """That many more bytes are done."""
        self._done += size_bytes
        if self._progress is not None:
            self._progress(self._done, self._total)

    def reach(self, done_bytes: int) -> None:
        """That many bytes are done in all."""
        self.add(done_bytes - self._done)


def metered(chunks: Iterable[bytes], meter: Meter) -> Iterator[bytes]:
    """The same chunks, each counted as it passes."""
    for chunk in chunks:
        meter.add(len(chunk))
        yield chunk
