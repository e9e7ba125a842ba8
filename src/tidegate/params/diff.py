"""What changed between two versions, tensor by tensor."""

import math
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.messages import Frozen
from tidegate.domain.tensor import DTYPE_BYTES, OPAQUE, Tensor
from tidegate.domain.version import Manifest, TensorInfo
from tidegate.params.finite import count_nonfinite, is_float, nonfinite
from tidegate.params.progress import Meter, Progress, metered
from tidegate.params.tensors import stream_tensor
from tidegate.store.objects import Objects

#: Elements turned into float64 at a time: 2 MiB for each array, which caches hold.
_BLOCK = 1 << 18

#: Squared norms outside are not told: float64 would have lost their digits, or overflowed.
_TOLD = (1e-290, 1e300)


class Status(StrEnum):
    """What happened to a tensor of this name."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class TensorDiff(Frozen):
    """One row of a diff; dtype and shape are the new ones (the old ones of a removed tensor).

    ``changed_share`` (0 to 1) counts elements whose bits differ. Steps are ``|new - old|``;
    steps, ``norm_ratio`` (new to old) and ``cosine`` are float64 over the elements that are
    finite on both sides. None where undefined: added, removed, another dtype or shape, dtypes
    that are kept as bits (F8, C64), a norm of zero, a result beyond float64. A tensor that is the
    same has steps 0, ratio and cosine 1. ``new_nonfinite`` counts NaN and infinities where the
    old tensor has none (all of the new tensor's, where elements do not correspond).
    """

    name: str
    status: Status
    dtype: str
    shape: list[int]
    changed_share: float | None = None
    max_step: float | None = None
    mean_step: float | None = None
    norm_ratio: float | None = None
    cosine: float | None = None
    new_nonfinite: int = 0
    old_dtype: str | None = None
    old_shape: list[int] | None = None


def diff(
    objects: Objects, old: Manifest, new: Manifest, progress: Progress | None = None
) -> list[TensorDiff]:
    """One row for each name in either version, by name.

    Tensors with equal ids are not read; the others are read in chunks and verified
    (IntegrityError). Memory does not grow with the tensors. Differences between I64 or U64
    values are rounded to float64, as their values are.
    """
    before = {info.name: info for info in old.tensors}
    after = {info.name: info for info in new.tensors}
    pairs = [(before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())]
    meter = Meter(progress, sum(_bytes_read(was, now) for was, now in pairs))
    return [_row(objects, was, now, meter) for was, now in pairs]


def _row(
    objects: Objects, was: TensorInfo | None, now: TensorInfo | None, meter: Meter
) -> TensorDiff:
    if now is None:
        assert was is not None  # noqa: S101 - every name comes from one of the two
        return _told(was, Status.REMOVED)
    if was is None:
        return _told(now, Status.ADDED, new_nonfinite=_nonfinite(objects, now, meter))
    if was.id == now.id:
        return _told(
            now, Status.SAME,
            changed_share=0.0, max_step=0.0, mean_step=0.0, norm_ratio=1.0, cosine=1.0,
        )  # fmt: skip
    if not _comparable(was, now):
        count = _nonfinite(objects, now, meter)
        return _told(
            now, Status.CHANGED,
            new_nonfinite=count, old_dtype=was.dtype, old_shape=was.shape,
        )  # fmt: skip
    tally = _Tally(now.dtype)
    for old, new in zip(stream_tensor(objects, was), stream_tensor(objects, now), strict=True):
        tally.add(old, new)
        meter.add(len(old) + len(new))
    return _told(now, Status.CHANGED, **tally.figures())


class _Tally:
    """Sums over the elements of two tensors of one dtype, fed in chunks."""

    def __init__(self, dtype: str):
        self._dtype = dtype
        self._elements = self._changed = self._new_nonfinite = self._pairs = 0
        self._max_step = self._step_sum = 0.0
        self._old_square = self._new_square = self._product = 0.0

    def add(self, old: bytes, new: bytes) -> None:
        """Count in two chunks of the same elements."""
        width = _BLOCK * DTYPE_BYTES[self._dtype]
        old_view, new_view = memoryview(old), memoryview(new)
        with np.errstate(all="ignore"):  # overflow is told as None in ``figures``
            for start in range(0, len(old), width):
                self._add_block(old_view[start : start + width], new_view[start : start + width])

    def figures(self) -> dict[str, Any]:
        """The row's figures: finite numbers, or None."""
        zero_to = self._new_square == 0.0 or _precise(self._new_square)
        ratio = cosine = None
        if self._pairs and _precise(self._old_square) and zero_to:
            ratio = math.sqrt(self._new_square) / math.sqrt(self._old_square)
        if ratio:
            norms = math.sqrt(self._old_square) * math.sqrt(self._new_square)
            cosine = min(1.0, max(-1.0, self._product / norms))
        return {
            "changed_share": self._changed / self._elements,
            "max_step": _finite(self._max_step) if self._pairs else None,
            "mean_step": _finite(self._step_sum / self._pairs) if self._pairs else None,
            "norm_ratio": ratio,
            "cosine": cosine,
            "new_nonfinite": self._new_nonfinite,
        }

    def _add_block(self, old: memoryview, new: memoryview) -> None:
        bits = np.dtype(f"<u{DTYPE_BYTES[self._dtype]}")
        differs = np.frombuffer(old, bits) != np.frombuffer(new, bits)
        self._elements += differs.size
        self._changed += int(np.count_nonzero(differs))
        if is_float(self._dtype):
            fresh = nonfinite(self._dtype, new) & ~nonfinite(self._dtype, old)
            self._new_nonfinite += int(np.count_nonzero(fresh))
        if self._dtype not in OPAQUE:
            shape = (differs.size,)
            before, after = (Tensor(self._dtype, shape, part).float64() for part in (old, new))
            self._add_values(before, after)

    def _add_values(self, old: NDArray[np.float64], new: NDArray[np.float64]) -> None:
        finite = np.isfinite(old) & np.isfinite(new)
        if not finite.all():
            old, new = old[finite], new[finite]
        if old.size:
            step = np.abs(new - old)
            self._pairs += old.size
            self._max_step = max(self._max_step, float(step.max()))
            self._step_sum += float(step.sum())
            self._old_square += float(old @ old)
            self._new_square += float(new @ new)
            self._product += float(old @ new)


def _told(info: TensorInfo, status: Status, **figures: Any) -> TensorDiff:
    return TensorDiff(name=info.name, status=status, dtype=info.dtype, shape=info.shape, **figures)


def _comparable(was: TensorInfo, now: TensorInfo) -> bool:
    return (was.dtype, was.shape) == (now.dtype, now.shape)


def _nonfinite(objects: Objects, info: TensorInfo, meter: Meter) -> int:
    if not is_float(info.dtype):
        return 0
    count, _ = count_nonfinite(info.dtype, metered(stream_tensor(objects, info), meter))
    return count


def _bytes_read(was: TensorInfo | None, now: TensorInfo | None) -> int:
    if now is None or (was is not None and was.id == now.id):
        return 0
    if was is not None and _comparable(was, now):
        return was.size_bytes + now.size_bytes
    return now.size_bytes if is_float(now.dtype) else 0


def _precise(square: float) -> bool:
    return _TOLD[0] < square < _TOLD[1]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
