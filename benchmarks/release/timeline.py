"""A run's answers in time, told from what happened meanwhile."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Timeline:
    """When each request was sent and answered, in seconds of the machine's monotonic clock, and
    by which version; -1 for an answer that failed."""

    sent: np.ndarray
    got: np.ndarray
    version: np.ndarray

    @classmethod
    def read(cls, file: Path) -> "Timeline":
        """What the load generator wrote."""
        raw = np.fromfile(file, dtype=np.float64).reshape(3, -1)
        return cls(raw[0], raw[1], raw[2].view(np.int64))

    @property
    def failed(self) -> int:
        """Requests without a right answer."""
        return int((self.version < 0).sum())

    def last_answer(self, version: int) -> float | None:
        """When that version answered for the last time."""
        times = self.got[self.version == version]
        return float(times.max()) if len(times) else None

    def first_answer(self, version: int) -> float | None:
        """When that version answered for the first time."""
        times = self.got[self.version == version]
        return float(times.min()) if len(times) else None

    def sent_after(self, at: float, *, not_by: int) -> int:
        """Right answers, by another version than ``not_by``, to requests sent after ``at``."""
        return int(((self.sent > at) & (self.version > 0) & (self.version != not_by)).sum())

    def neither(self, *versions: int) -> int:
        """Right answers by a version that is none of these."""
        return int(((self.version > 0) & ~np.isin(self.version, versions)).sum())

    def outside_and_within(self, start: float, end: float) -> tuple[float, float]:
        """99th percentiles of latency, in ms, of requests outside and within that time."""
        within = (self.sent >= start) & (self.sent <= end)
        waits = 1000 * (self.got - self.sent)
        return _p99(waits[~within]), _p99(waits[within])


def _p99(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.99)) if len(values) else 0.0
