"""How far groups of stored tensors moved from one version to another."""

import math
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

import numpy as np

from tidegate.domain.tensor import DTYPE_BYTES, OPAQUE, Tensor
from tidegate.domain.version import GroupStep, Manifest, TensorInfo
from tidegate.params.packed.reader import Unit, read_unit, units
from tidegate.params.packed.references import read_sheet
from tidegate.params.parallel import on_threads
from tidegate.params.progress import Meter, Progress
from tidegate.params.rows import Status, TensorDiff
from tidegate.store.objects import Objects


def group_steps(
    objects: Objects,
    old: Manifest,
    new: Manifest,
    rows: Sequence[TensorDiff],
    groups: Mapping[str, Sequence[str]],
    progress: Progress | None = None,
) -> list[GroupStep]:
    """One step a group, from a diff and the norms of the old tensors, which are read for it.

    ``groups`` names the tensors of both versions. Steps are over elements that are finite on both
    sides, as the diff's are, and over tensors that both versions have in one dtype and shape whose
    values are read; a group without any has None.
    """
    told = {row.name: row for row in rows if _measured(row)}
    before = square_norms(objects, old, told, progress)
    # A tensor of zeros has no cosine: its step is as long as what it became.
    from_zero = [name for name, row in told.items() if row.status is not Status.SAME
                 and before[name] == 0]  # fmt: skip
    after = square_norms(objects, new, from_zero)
    moved = {name: after[name] if name in after else _moved(row, before[name])
             for name, row in told.items()}  # fmt: skip
    by_name = {row.name: row for row in rows}
    return [
        _step(group, [by_name[name] for name in names], moved, before)
        for group, names in groups.items()
    ]


def square_norms(
    objects: Objects, manifest: Manifest, names: Iterable[str], progress: Progress | None = None
) -> dict[str, float]:
    """The squared norm of each named tensor's finite values, read in parts on all cores."""
    wanted = set(names)
    norms, lock = dict.fromkeys(wanted, 0.0), Lock()
    if not wanted:
        return norms
    found = units(read_sheet(objects, manifest.id), wanted)
    meter = Meter(progress, sum(unit.size_bytes for unit in found))

    def add(info: TensorInfo, _start: int, part: memoryview) -> None:
        if info.name in wanted:
            square = _square(info.dtype, part)
            with lock:
                norms[info.name] += square

    def read(unit: Unit) -> None:
        read_unit(objects, unit, add)
        meter.add(unit.size_bytes)

    on_threads(read, found)
    return norms


def _square(dtype: str, part: memoryview) -> float:
    values = Tensor(dtype, (part.nbytes // DTYPE_BYTES[dtype],), part).float64()
    values = values[np.isfinite(values)]
    return float(np.dot(values, values))


def _measured(row: TensorDiff) -> bool:
    """Whether the tensor's values are read, and correspond to those before."""
    if row.dtype in OPAQUE or row.old_shape is not None:
        return False
    return row.status in (Status.SAME, Status.CHANGED)


def _moved(row: TensorDiff, before: float) -> float:
    """The squared norm of new - old, from the squared norm of old: the cosine rule."""
    if row.norm_ratio == 0:
        return before
    if row.norm_ratio is None or row.cosine is None:
        return math.nan
    return before * ((row.norm_ratio - 1) ** 2 + 2 * row.norm_ratio * (1 - row.cosine))


def _step(
    group: str,
    rows: Sequence[TensorDiff],
    moved: Mapping[str, float],
    before: Mapping[str, float],
) -> GroupStep:
    known = [row.name for row in rows if row.name in moved]
    size = math.fsum(before[name] for name in known)
    step = math.fsum(moved[name] for name in known)
    relative = None
    if known and math.isfinite(size) and math.isfinite(step):
        relative = math.sqrt(step / size) if size else (0.0 if step == 0 else None)
    return GroupStep(
        group=group,
        frozen=False,
        tensors=sum(row.status is not Status.REMOVED for row in rows),
        changed_tensors=sum(row.status in (Status.CHANGED, Status.REMOVED) for row in rows),
        added_tensors=sum(row.status is Status.ADDED for row in rows),
        relative_norm=relative,
    )
