"""A column of vectors seen from a few sides, each a stream of numbers."""

import numpy as np
from numpy.typing import NDArray

from tidegate.data.profile.hashing import mixed
from tidegate.data.profile.numbers import Floats

#: Directions that vectors are seen from, beside their length. A cloud of vectors that moves or
#: changes its shape does so from almost every direction (Cramer and Wold 1936); eight leave one
#: that hides from all of them little room.
DIRECTIONS = 8
#: What ``sides`` are called.
SIDES = ("length", *(f"direction {number + 1}" for number in range(DIRECTIONS)))


def sides(vectors: Floats) -> dict[str, Floats]:
    """Length and projections, ``(n_rows,)`` each, of ``(n_rows, width)``; NaN where one is missing.

    A vector of which some side is infinite is missing: its length tells nothing of the others'.
    The directions are signs drawn from a hash, the same for every column of that width
    (Achlioptas 2003), and scaled to length 1.
    """
    width = vectors.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        along = vectors @ _directions(width)
    seen = np.column_stack([length, along])
    seen[~np.isfinite(seen).all(axis=1)] = np.nan
    return {side: np.ascontiguousarray(seen[:, place]) for place, side in enumerate(SIDES)}


def _directions(width: int) -> NDArray[np.float64]:
    bits = mixed(np.arange(width * DIRECTIONS, dtype=np.uint64)) & np.uint64(1)
    signs = np.where(bits == 1, 1.0, -1.0).reshape(width, DIRECTIONS)
    return np.asarray(signs / np.sqrt(max(1, width)))
