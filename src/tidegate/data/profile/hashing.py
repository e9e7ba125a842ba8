"""A hash of texts that is the same on every machine and in every version of every library."""

import numpy as np
import polars as pl
import pyarrow as pa
from blake3 import blake3
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

#: Longer texts are hashed one by one.
SHORT = 256

# Odd constants of splitmix64 (Steele, Lea and Flood 2014), which spread every bit over all.
_STEP, _FIRST, _SECOND = (
    np.uint64(constant) for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def mixed(state: Hashes) -> Hashes:
    """Each number spread over all 64 bits, by one step of splitmix64."""
    with np.errstate(over="ignore"):
        state = state + _STEP
        state = (state ^ (state >> np.uint64(30))) * _FIRST
        state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.asarray(state ^ (state >> np.uint64(31)))


def text_hashes(texts: pl.Series) -> Hashes:
    """64 bits for each text of a String column without missing values, by its UTF-8 bytes.

    The bytes are taken in words of eight, little-endian, the last one filled up with zeros; the
    state starts as their number, and for each word is ``mix(state ^ word)``, where ``mix`` is
    splitmix64. Of texts above ``SHORT`` bytes it is the first eight bytes of their BLAKE3 instead,
    which takes longer to begin and less for each byte. Not for secrets, and not against who wants
    texts to collide.
    """
    sizes, words, first = _words(texts)
    counts = np.where(sizes <= SHORT, (sizes + 7) // 8, 0)
    state = mixed(sizes.astype(np.uint64))
    # The longest first, so that those still at work are always the first ones.
    order = np.argsort(-counts, kind="stable")
    waiting = counts[order]
    for turn in range(int(counts.max(initial=0))):
        there = order[: int(np.searchsorted(-waiting, -turn, side="left"))]
        word = words[first[there] + 8 * turn]
        left = np.minimum(sizes[there] - 8 * turn, 8).astype(np.uint64)
        word &= np.uint64(0xFFFFFFFFFFFFFFFF) >> (np.uint64(64) - np.uint64(8) * left)
        state[there] = mixed(state[there] ^ word)
    for place in np.flatnonzero(sizes > SHORT):
        digest = blake3(texts[int(place)].encode()).digest(8)
        state[place] = int.from_bytes(digest, "little")
    return state


def _words(texts: pl.Series) -> tuple[NDArray[np.int64], Hashes, NDArray[np.int64]]:
    """How long each text is, the eight bytes from every byte on, and where each text begins."""
    arrow = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets, values = arrow.buffers()[1:]
    wide = np.int64 if pa.types.is_large_string(arrow.type) else np.int32
    ends = np.frombuffer(offsets, wide).astype(np.int64)
    ends = ends[arrow.offset : arrow.offset + len(arrow) + 1]
    held = values.to_pybytes()[ends[0] : ends[-1]] if values is not None and len(arrow) else b""
    padded = held + bytes(8)
    words: Hashes = np.ndarray((len(held) + 1,), "<u8", padded, strides=(1,))
    starts: NDArray[np.int64] = ends[:-1] - ends[:1]
    return np.diff(ends), words, starts
