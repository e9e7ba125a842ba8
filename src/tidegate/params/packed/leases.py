"""Leases: what a writer in progress asks the collector to spare.

A writer takes a lease before it looks at anything that it will build on, and gives it back once
its own sheet is in force. So whoever looks for garbage and lists the leases first, and the sheets
after, sees either the lease or the sheet. A writer that was killed leaves a lease behind; it
holds for ``HOLDS_SECONDS`` after its last renewal, by the store's own clock.
"""

import json
import re
import time
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from tidegate.domain.errors import Missing
from tidegate.store.objects import Objects

LEASES = "params/leases/"
HOLDS_SECONDS = 3600.0
_NAME = re.compile("[0-9a-f]{32}/[0-9]{8,}")


class Lease:
    """A writer's lease; a context manager that gives it back."""

    def __init__(self, objects: Objects, uses: Iterable[str] = ()):
        self._objects, self._uses = objects, sorted(set(uses))
        #: The writer's name, and the folder of its packs.
        self.writer = uuid.uuid4().hex
        self._renewals = 0
        self._put()

    def renew(self) -> None:
        """Hold it for longer, where it has not been renewed for a while."""
        if time.monotonic() - self._renewed > HOLDS_SECONDS / 8:
            self._put()

    def held(self) -> bool:
        """Whether nobody has taken it for abandoned."""
        return self._objects.exists(self._key(1))

    def written_at(self) -> float:
        """When the lease was last renewed, by the store's clock."""
        return self._objects.modified(self._key(self._renewals))

    def release(self) -> None:
        """Give it back."""
        for number in range(self._renewals, 0, -1):
            self._objects.delete(self._key(number))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _put(self) -> None:
        self._renewals += 1
        content = json.dumps({"uses": self._uses}).encode()
        # After a power cut no writer is left whose lease could matter.
        self._objects.put(self._key(self._renewals), content, durable=False)
        self._renewed = time.monotonic()

    def _key(self, number: int) -> str:
        return f"{LEASES}{self.writer}/{number:08d}"


class Held(NamedTuple):
    """What all live leases ask for: the packs of these writers, the sheets of these versions."""

    writers: set[str]
    versions: set[str]


def live_leases(objects: Objects, now: float) -> Held:
    """The leases that hold at ``now``; those that no longer do are removed."""
    entries: dict[str, list[tuple[float, str]]] = {}
    for entry in objects.entries(LEASES):
        name = entry.key.removeprefix(LEASES)
        if _NAME.fullmatch(name) is None:
            continue
        writer = name.partition("/")[0]
        entries.setdefault(writer, []).append((entry.modified, entry.key))
    held = Held(set(), set())
    for writer, renewals in entries.items():
        modified, key = max(renewals)
        if now - modified > HOLDS_SECONDS:
            for _, key in sorted(renewals, key=lambda renewal: renewal[1]):
                objects.delete(key)
        else:
            held.writers.add(writer)
            held.versions.update(_uses(objects, key))
    return held


def _uses(objects: Objects, key: str) -> list[str]:
    try:
        uses = json.loads(objects.get(key))["uses"]
        return [str(version) for version in uses]
    except Missing:  # given back meanwhile
        return []
    except (ValueError, TypeError, KeyError):
        return []
