"""What a diff says of each tensor, and the diffs that commits keep."""

import json
from enum import StrEnum
from typing import Any, NamedTuple

from blake3 import blake3
from pydantic import TypeAdapter, ValidationError

from tidegate.domain.errors import Missing
from tidegate.domain.version import TensorInfo
from tidegate.store.objects import Objects

DIFFS = "params/diffs/"


class Status(StrEnum):
    """What happened to a tensor of this name."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class TensorDiff(NamedTuple):
    """One row of a diff; dtype and shape are the new ones (the old ones of a removed tensor).

    ``changed_share`` (0 to 1) counts elements whose bits differ. Steps are ``|new - old|``;
    steps, ``norm_ratio`` (new to old) and ``cosine`` are over the elements that are finite on
    both sides. ``max_ulp_step`` counts representable values between old and new. None where
    undefined: added, removed, another dtype or shape, dtypes that are kept as bits (F8, C64), a
    norm of zero, a result beyond float64. A tensor that is the same has steps 0, ratio and cosine
    1. ``new_nonfinite`` counts NaN and infinities where the old tensor has none (all of the new
    tensor's, where elements do not correspond).
    """

    name: str
    status: Status
    dtype: str
    shape: list[int]
    changed_share: float | None = None
    max_step: float | None = None
    mean_step: float | None = None
    max_ulp_step: int | None = None
    norm_ratio: float | None = None
    cosine: float | None = None
    new_nonfinite: int = 0
    old_dtype: str | None = None
    old_shape: list[int] | None = None


_ROWS = TypeAdapter(list[TensorDiff])


def same_row(info: TensorInfo) -> TensorDiff:
    """The row of a tensor that is the same."""
    return TensorDiff(
        name=info.name, status=Status.SAME, dtype=info.dtype, shape=info.shape,
        changed_share=0.0, max_step=0.0, mean_step=0.0, max_ulp_step=0, norm_ratio=1.0, cosine=1.0,
    )  # fmt: skip


def told_row(was: TensorInfo | None, now: TensorInfo | None, **figures: Any) -> TensorDiff:
    """The row of a tensor that is not the same: removed, added, or changed with its figures."""
    info = now or was
    assert info is not None  # noqa: S101 - every name comes from one of the two
    if now is None:
        status = Status.REMOVED
    elif was is None:
        status = Status.ADDED
    else:
        status = Status.CHANGED
        if (was.dtype, was.shape) != (now.dtype, now.shape):
            figures |= {"old_dtype": was.dtype, "old_shape": was.shape}
    return TensorDiff(name=info.name, status=status, dtype=info.dtype, shape=info.shape, **figures)


def keep(objects: Objects, old: str, new: str, rows: list[TensorDiff]) -> None:
    """Keep the diff from one version to another; it can be worked out again at any time."""
    body = json.dumps(rows).encode()
    objects.put(_key(old, new), blake3(body).hexdigest().encode() + b"\n" + body, durable=False)


def kept(objects: Objects, old: str, new: str) -> list[TensorDiff] | None:
    """The kept diff; None where there is none that is whole."""
    try:
        raw = objects.get(_key(old, new))
    except Missing:
        return None
    head, _, body = raw.partition(b"\n")
    if blake3(body).hexdigest().encode() != head:
        return None
    try:
        return _ROWS.validate_json(body)
    except ValidationError:
        return None


def _key(old: str, new: str) -> str:
    return f"{DIFFS}{new}/{old}"
