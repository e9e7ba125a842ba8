"""One event an entity: what one user does often must not count often."""

from hashlib import blake2b

#: Bits and hashes an entity: one new entity in two thousand is taken for a known one at the limit.
_BITS, _HASHES = 16, 11


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

    def first(self, key: str) -> bool:
        """Whether ``key`` was not given before; from now on it was."""
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        start, stride = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") | 1
        new = False
        for number in range(_HASHES):
            byte, bit = divmod((start + number * stride) % self._size, 8)
            new |= not self._bits[byte] >> bit & 1
            self._bits[byte] |= 1 << bit
        return new
