"""Merkle trees after RFC 6962, section 2.1: roots, and appending without the old leaves."""

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data): the hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """The hash of each leaf; for many, faster than one by one."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + data).digest() for data in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def append(frontier: Sequence[bytes], size: int, leaf: bytes) -> list[bytes]:
    """The frontier after one more leaf: the roots of the perfect subtrees, largest first.

    ``frontier`` belongs to a tree of ``size`` leaves and has one hash per set bit of ``size``.
    Work and space grow with the logarithm of the size.
    """
    grown = [*frontier, leaf]
    while size & 1:
        right = grown.pop()
        grown[-1] = node_hash(grown[-1], right)
        size >>= 1
    return grown


def frontier_root(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree whose perfect subtrees are ``frontier``."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for subtree in reversed(frontier[:-1]):
        root = node_hash(subtree, root)
    return root


def root_of_all(leaves: Sequence[bytes]) -> bytes:
    """The same root, faster: level by level, with all leaf hashes in memory."""
    sha256, level = hashlib.sha256, leaves
    while len(level) > 1:
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = [*above, level[-1]] if len(level) % 2 else above
    return level[0] if level else EMPTY_ROOT


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of one leaf hash (RFC 6962, section 2.1.1), from the leaf upwards."""
    path, level = [], leaves
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        above = [
            node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = [*above, level[-1]] if len(level) % 2 else above
        index //= 2
    return path


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path gives for a leaf among ``size``; None where it fits none.

    After RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    last, hash_, left = size - 1, leaf, list(path)
    while last:
        if index % 2 or index != last:  # a last node without a neighbour moves up as it is
            if not left:
                return None
            other = left.pop(0)
            hash_ = node_hash(other, hash_) if index % 2 else node_hash(hash_, other)
        index, last = index // 2, last // 2
    return None if left else hash_


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in order, in memory that grows with the logarithm."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        frontier = append(frontier, size, leaf)
    return frontier_root(frontier)
