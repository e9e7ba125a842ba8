"""Which requests the candidate answers: by hash, so that a user stays on one side."""

import hashlib


def takes_candidate(release_id: str, key: str, share: float) -> bool:
    """Whether the request of ``key`` goes to the candidate of this release, at this share.

    The key's place between 0 and 1 is fixed by SHA-256 of release and key: the same on every
    machine, another for every release. A larger share only moves keys to the candidate, never
    one back.

    >>> [takes_candidate("credit-4", "user-1", share) for share in (0.0, 0.5, 1.0)]
    [False, False, True]
    """
    told = f"{len(release_id)}:{release_id}{key}".encode("utf-8", "surrogatepass")
    place = int.from_bytes(hashlib.sha256(told).digest()[:8], "big")
    return place < share * 2**64
