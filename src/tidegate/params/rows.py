"""What a diff says of each tensor, and the diffs that commits keep."""

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from tidegate.domain.errors import Missing
from tidegate.domain.version import Manifest, TensorInfo
from tidegate.store.objects import Objects

DIFFS = "params/diffs/"
#: What a kept diff begins with, after its BLAKE3.
_KEPT = b"tidegate/diff/3\n"


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


#: Figures that are floats: NaN, which none of them can be, stands for None.
_FLOATS = ("changed_share", "max_step", "mean_step", "norm_ratio", "cosine")
#: The figures of many tensors side by side, as a diff is kept. ``told`` says whether they are
#: known; ``max_ulp_step`` is None where nothing was ``compared``.
FIGURES = np.dtype(
    [
        ("told", "?"),
        ("compared", "?"),
        *((name, "<f8") for name in _FLOATS),
        ("max_ulp_step", "<u8"),
        ("new_nonfinite", "<u8"),
    ]
)
Figures = NDArray[np.void]


def figures_of(count: int, **columns: Any) -> Figures:
    """Figures of so many tensors; a column that is not given holds None, or 0."""
    found = np.zeros(count, FIGURES)
    found["told"] = True
    for name in _FLOATS:
        found[name] = np.nan
    for name, column in columns.items():
        found[name] = column
    return found


def plain_figures(figures: Figures) -> list[dict[str, Any]]:
    """The same for ``told_row``: a dictionary for each tensor."""
    names = (*_FLOATS, "max_ulp_step", "new_nonfinite")
    columns = [figures[name].astype(object) for name in names]
    for column in columns[: len(_FLOATS)]:
        column[column != column] = None  # NaN
    columns[len(_FLOATS)][~figures["compared"]] = None
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


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


def keep(objects: Objects, old: str, new: Manifest, figures: Figures) -> None:
    """Keep the diff from one version to another: what is told of each tensor of the new one.

    It can be worked out again at any time. Names, shapes and what is the same are in the
    manifests, and not kept twice.
    """
    body = _KEPT + figures.tobytes()
    objects.put(_key(old, new.id), blake3(body).digest() + body, durable=False)


def kept(objects: Objects, old: Manifest, new: Manifest) -> list[TensorDiff] | None:
    """The kept diff; None where there is none that is whole."""
    try:
        raw = objects.get(_key(old.id, new.id))
    except Missing:
        return None
    start = blake3.digest_size + len(_KEPT)
    head, body = raw[: blake3.digest_size], raw[blake3.digest_size :]
    size = len(new.tensors) * FIGURES.itemsize
    if blake3(body).digest() != head or body[: len(_KEPT)] != _KEPT or len(raw) - start != size:
        return None
    told = plain_figures(np.frombuffer(raw, FIGURES, offset=start))
    before = {info.name: info for info in old.tensors}
    rows = {info.name: _row(before.pop(info.name, None), info, figures)
            for info, figures in zip(new.tensors, told, strict=True)}  # fmt: skip
    rows |= {name: told_row(was, None) for name, was in before.items()}
    return [rows[name] for name in sorted(rows)]


def _row(was: TensorInfo | None, now: TensorInfo, figures: dict[str, Any]) -> TensorDiff:
    same = was is not None and was.id == now.id
    return same_row(now) if same else told_row(was, now, **figures)


def _key(old: str, new: str) -> str:
    return f"{DIFFS}{new}/{old}"
