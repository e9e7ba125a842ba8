"""How far a tensor moved: figures over the elements of two tensors of one dtype, fed in parts."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.tensor import OPAQUE, Tensor
from tidegate.params.finite import bits_of_finite_apart, is_float, nonfinite
from tidegate.params.packed.codec import Bits, bytes_of
from tidegate.params.packed.reader import Place, bench
from tidegate.params.rows import Figures, figures_of, plain_figures

#: Elements handled at a time.
_PART = 1 << 18
_PIECE = 1 << 15
#: Elements summed in the float's own precision, before the sums are added up in float64.
_ROW = 8192
#: Steps are small where their square is less than this share of the square of the values.
_SMALL = 0.01
#: Squares of float32 below 1e-38 lose digits: a hundred-millionth of the sum, at this mean.
_LEAST_SQUARE = 1e-30
#: Squared norms outside are not told: float64 would have lost their digits, or overflowed.
_TOLD = (1e-290, 1e300)


class Tally:
    """Sums over pairs of elements; ``figures`` gives what a diff tells.

    With a the old values, b the new ones and d = b - a: where the steps are small, b.b - a.a and
    a.b are taken from a.d and d.d, so that the ratio of norms and the cosine keep the digits that
    two nearly equal vectors would lose. Steps of F32, F16 and BF16 are rounded to float32, sums
    of 8,192 are too, where their squares are neither too large nor too small for that; everything
    else is float64.
    """

    def __init__(self, dtype: str):
        self._dtype = dtype
        self._rooms: dict[int, NDArray[Any]] = {}
        #: How many elements were given.
        self.elements = 0
        self._changed = self._pairs = self._new_nonfinite = self._max_ulp = 0
        self._max_step = self._step_sum = 0.0
        #: ``_gap`` is b.b - a.a.
        self._aa = self._ab = self._bb = self._dd = self._gap = 0.0

    def add(self, old: Bits, new: Bits) -> bool:
        """Count in a part of both tensors.

        Parts without a change must be given too: norms and means are over all elements. Gives
        whether every element was seen to be finite on both sides.
        """
        finite = True
        with np.errstate(all="ignore"):  # overflow is told as None in ``figures``
            for start in range(0, new.size, _PART):
                part = slice(start, start + _PART)
                finite &= self._add_part(old[part], new[part])
        return finite

    def figures(self) -> dict[str, Any]:
        """The row's figures: finite numbers, or None."""
        return plain_figures(self.columns())[0]

    def columns(self) -> Figures:
        """The same as one line of ``Figures``."""
        with np.errstate(all="ignore"):  # what is not finite is told as None
            return _figures([np.array([told]) for told in (
                self.elements, self._pairs, self._changed, self._max_ulp, self._max_step,
                self._step_sum, self._aa, self._ab, self._bb, self._dd, self._gap,
                self._new_nonfinite,
            )])  # fmt: skip

    def _add_part(self, old: Bits, new: Bits) -> bool:
        steps = np.subtract(new, old, out=self._room(0, new.dtype)[: new.size])
        moved = steps[0::2] | steps[1::2] if self._dtype == "C64" else steps
        changed = int(np.count_nonzero(moved))
        self.elements += moved.size
        self._changed += changed
        if self._dtype in OPAQUE:
            self._count_nonfinite(old, new)
            return False
        a, b = _values(self._dtype, old), _values(self._dtype, new)
        d = np.subtract(b, a, out=self._room(1, b.dtype)[: b.size])
        sums, all_finite = _products(a, b, d), True
        if not _kept_digits(sums, a, b):
            finite = np.isfinite(a) & np.isfinite(b)
            all_finite = bool(finite.all())
            if not all_finite:
                self._count_nonfinite(old, new)
                old, new, steps = old[finite], new[finite], steps[finite]
            a, b = (values[finite].astype(np.float64) for values in (a, b))
            d = b - a
            sums = _products(a, b, d)
        aa, ab, bb, dd, gap = sums
        self._aa, self._ab, self._bb = self._aa + aa, self._ab + ab, self._bb + bb
        self._dd, self._gap = self._dd + dd, self._gap + gap
        if d.size:
            if changed:
                self._max_ulp = max(self._max_ulp, _largest_ulp(old, new, steps, self._dtype))
            np.abs(d, out=d)
            self._pairs += d.size
            self._max_step = max(self._max_step, float(d.max()))
            self._step_sum += _sum(d)
        return all_finite

    def _room(self, place: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Room for the numbers of a part, kept from one to the next."""
        if place not in self._rooms:
            self._rooms[place] = np.empty(_PART, dtype)
        return self._rooms[place]

    def _count_nonfinite(self, old: Bits, new: Bits) -> None:
        if is_float(self._dtype):
            views = (bytes_of(side) for side in (old, new))
            was, now = (nonfinite(self._dtype, view) for view in views)
            self._new_nonfinite += int(np.count_nonzero(now & ~was))


def figures_of_parts(dtype: str, old: Bits, new: Bits, sizes: Sequence[int]) -> Figures:
    """The figures of some small tensors that lie one after another.

    ``sizes`` are their numbers of elements, as ``Bits`` counts them. What is finite and read as
    numbers is summed for all of them at once, in float64; what is told of a tensor does not depend
    on the others.
    """
    edges = np.cumsum([0, *sizes])
    with np.errstate(all="ignore"):
        summed = None if dtype in OPAQUE else _sums(dtype, old, new, edges[:-1])
        if summed is not None:
            each = np.diff(edges)
            return _figures([each, each, *summed, np.zeros_like(each)])
    if len(sizes) == 1:
        tally = Tally(dtype)
        tally.add(old, new)
        return tally.columns()
    parts = [slice(start, end) for start, end in pairwise(edges.tolist())]
    return np.concatenate(
        [figures_of_parts(dtype, old[p], new[p], [p.stop - p.start]) for p in parts]
    )


def _sums(
    dtype: str, old: Bits, new: Bits, starts: NDArray[np.int64]
) -> tuple[NDArray[Any], ...] | None:
    """What ``_figures`` takes, for each part; None where a value or a sum is not finite."""
    # Memory that was not used before costs more than all of the sums.
    a, b, d, room = (
        bench().room(place, 8 * new.size).view(np.float64)
        for place in (Place.OLD, Place.NEW, Place.MOVED, Place.PRODUCTS)
    )
    for values, side in ((a, old), (b, new)):
        np.copyto(values, _values(dtype, side))
    np.subtract(b, a, out=d)

    def dots(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(np.multiply(one, other, out=room), starts)

    aa, ad, dd = dots(a, a), dots(a, d), dots(d, d)
    bb, small = aa + 2 * ad + dd, dd < _SMALL * aa
    ab, gap = aa + ad, 2 * ad + dd
    if not small.all():
        bb = np.where(small, bb, dots(b, b))
        ab, gap = np.where(small, ab, dots(a, b)), np.where(small, gap, bb - aa)
    if not all(np.isfinite(sums).all() for sums in (aa, bb, ad, dd)):
        return None
    np.abs(d, out=d)
    steps = np.subtract(new, old, out=room.view(new.dtype)[: new.size])
    return (
        np.add.reduceat(steps != 0, starts, dtype=np.int64),
        _largest_ulps(old, new, steps, starts, dtype),
        np.maximum.reduceat(d, starts), np.add.reduceat(d, starts), aa, ab, bb, dd, gap,
    )  # fmt: skip


def _figures(sums: Sequence[NDArray[Any]]) -> Figures:
    """What is told of each tensor; the sums are those of a ``Tally``, in its order."""
    (elements, pairs, changed, max_ulp, max_step, step_sum, aa, ab, bb, dd, gap,
     new_nonfinite) = sums  # fmt: skip
    small = dd < _SMALL * aa
    known = (pairs > 0) & _precise(aa) & ((bb == 0.0) | _precise(bb))
    ratio = np.where(known, np.sqrt(np.where(small, 1 + gap / aa, bb / aa)), np.nan)
    norms = np.where(ratio > 0, aa * ratio, np.nan)
    apart = dd - aa * (ratio - 1) ** 2  # twice (|a| |b| - a.b)
    cosine = np.where(small, 1 - apart / (2 * norms), ab / norms)
    return figures_of(
        len(elements),
        compared=pairs > 0,
        changed_share=changed / elements,
        max_step=_finite(max_step, pairs),
        mean_step=_finite(step_sum / pairs, pairs),
        max_ulp_step=max_ulp,
        norm_ratio=ratio,
        cosine=np.clip(cosine, -1.0, 1.0),
        new_nonfinite=new_nonfinite,
    )


def _values(dtype: str, bits: Bits) -> NDArray[Any]:
    """The elements as float32 where that holds them exactly, as float64 otherwise."""
    if dtype == "F32":
        return bits.view(np.float32)
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F16":
        return bits.view(np.float16).astype(np.float32)
    return Tensor(dtype, (bits.size,), bytes_of(bits)).float64()


def _products(a: NDArray[Any], b: NDArray[Any], d: NDArray[Any]) -> tuple[float, ...]:
    """a.a, a.b, b.b, d.d and the gap, b.b - a.a."""
    aa, dd = _dot(a, a), _dot(d, d)
    if dd < _SMALL * aa:
        ad = _dot(a, d)
        return aa, aa + ad, aa + 2 * ad + dd, dd, 2 * ad + dd
    bb = _dot(b, b)
    return aa, _dot(a, b), bb, dd, bb - aa


def _kept_digits(sums: Sequence[float], a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether no sum overflowed, and no square was too small for its float."""
    if not all(map(math.isfinite, sums)):
        return False
    if a.dtype == np.float64:
        return True
    least = a.size * _LEAST_SQUARE
    return all(
        square >= least or not values.any() for square, values in ((sums[0], a), (sums[2], b))
    )


def _dot(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The scalar product."""
    whole = one.size - one.size % _ROW
    rows = np.vecdot(one[:whole].reshape(-1, _ROW), other[:whole].reshape(-1, _ROW))
    return float(rows.sum(dtype=np.float64)) + float(np.dot(one[whole:], other[whole:]))


def _sum(values: NDArray[Any]) -> float:
    whole = values.size - values.size % _ROW
    # A scalar product is twice as fast as numpy's sum.
    rows = np.vecdot(values[:whole].reshape(-1, _ROW), np.ones(_ROW, values.dtype))
    return float(rows.sum(dtype=np.float64) + values[whole:].sum(dtype=np.float64))


def _largest_ulp(old: Bits, new: Bits, steps: Bits, dtype: str) -> int:
    """The largest number of representable values between two elements; ``steps`` is new - old."""
    if is_float(dtype):
        signed = steps.view(f"<i{steps.itemsize}")
        largest = max(int(signed.max()), -int(signed.min()))
        # From one sign to the other, finite bits are at least so far apart.
        if largest < bits_of_finite_apart(dtype):
            return largest
    # In pieces so short that their temporaries need no fresh memory.
    pieces = (slice(start, start + _PIECE) for start in range(0, new.size, _PIECE))
    return max(int(_ulps(old[piece], new[piece], dtype).max()) for piece in pieces)


def _largest_ulps(
    old: Bits, new: Bits, steps: Bits, starts: NDArray[np.int64], dtype: str
) -> NDArray[Any]:
    """The same for each part; the parts begin at ``starts``."""
    if is_float(dtype):
        signed = steps.view(f"<i{steps.itemsize}")
        most, least = (order.reduceat(signed, starts) for order in (np.maximum, np.minimum))
        apart = bits_of_finite_apart(dtype)
        if most.max() < apart and least.min() > -apart:
            return np.maximum(most.astype(np.int64), -least.astype(np.int64))
    found: Bits = np.maximum.reduceat(_ulps(old, new, dtype), starts)
    return found


def _ulps(old: Bits, new: Bits, dtype: str) -> Bits:
    """The number of representable values between each two elements; none overflows its width."""
    was, now = _ordered(old, dtype), _ordered(new, dtype)
    high, low = (order(was, now).view(new.dtype) for order in (np.maximum, np.minimum))
    apart: Bits = np.subtract(high, low, out=high)
    return apart


def _ordered(bits: Bits, dtype: str) -> NDArray[Any]:
    """Integers in the order of the elements; neighbours differ by one, and both zeros are 0."""
    signed = np.dtype(f"<i{bits.itemsize}")
    if not is_float(dtype):
        return bits.view(signed) if dtype.startswith("I") else bits
    last = 8 * bits.itemsize - 1
    sign = bits.view(signed) >> last
    found = (bits & bits.dtype.type((1 << last) - 1)).view(signed)
    found ^= sign
    found -= sign
    return found


def _precise(square: NDArray[Any]) -> NDArray[np.bool_]:
    return (_TOLD[0] < square) & (square < _TOLD[1])


def _finite(values: NDArray[Any], pairs: NDArray[Any]) -> NDArray[Any]:
    return np.where((pairs > 0) & np.isfinite(values), values, np.nan)
