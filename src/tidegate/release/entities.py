"""One event an entity: what one user does often must not count often."""

from collections.abc import Iterable
from hashlib import blake2b

#: Bits and hashes an entity: one new entity in two thousand is taken for a known one at the limit.
_BITS, _HASHES = 16, 11
#: Entities seen last that are known at a glance: most requests come from few users.
_RECENT = 16_384
#: Longer keys are known by their hash alone: a key of a request may have a thousand characters.
_LONG = 64


class FirstPerEntity:
    """Says of each entity whether it comes for the first time, in memory that does not grow.

    Entities are split, not requests, so a user with a thousand errors is one draw and not a
    thousand. A Bloom filter (Bloom 1970, doi:10.1145/362686.362692) of two bytes an entity for
    ``entities`` of them: 2 MB for a million. It never takes a known entity for a new one. A new
    one is taken for known in at most one case in two thousand (more beyond the limit), whichever
    side it is on, since its hash is not the splitter's: evidence is lost, and none is invented.

    >>> seen = FirstPerEntity(100)
    >>> [seen.first(key) for key in ("ann", "bob", "ann")]
    [True, True, False]
    """

    def __init__(self, entities: int = 1_000_000):
        self._size = _BITS * max(entities, 64)
        self._bits = bytearray(self._size // 8)
        self._recent: set[str] = set()

    def first(self, key: str) -> bool:
        """Whether ``key`` was not given before; from now on it was."""
        if len(key) > _LONG:
            key = _hash(key).hex()
        if key in self._recent:
            return False
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent.add(key)
        digest = _hash(key)
        start, stride = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") | 1
        new = False
        for number in range(_HASHES):
            byte, bit = divmod((start + number * stride) % self._size, 8)
            new |= not self._bits[byte] >> bit & 1
            self._bits[byte] |= 1 << bit
        return new


def _hash(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class FirstEvents:
    """How many entities had an event of each of so many ``kinds``, by the step and the arm of the
    first one they had. An answer without a key is an entity of its own.

    >>> events = FirstEvents(2)
    >>> for key in ("ann", "ann", None):
    ...     events.add(0, "champion", key, [1])
    >>> events.counts
    {(0, 'champion'): [0, 2]}
    """

    def __init__(self, kinds: int):
        self.counts: dict[tuple[int, str], list[int]] = {}
        self._seen = [FirstPerEntity() for _ in range(kinds)]

    def add(self, step: int, arm: str, key: str | None, kinds: Iterable[int]) -> None:
        """Count an answer that is an event of these kinds, given as their numbers."""
        for kind in kinds:
            if key is None or self._seen[kind].first(key):
                counts = self.counts.get((step, arm))
                if counts is None:
                    counts = self.counts[step, arm] = [0] * len(self._seen)
                counts[kind] += 1
