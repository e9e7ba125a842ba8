"""How far parameters moved, group by group."""

import math
from collections.abc import Collection, Mapping

import numpy as np

from tidegate.domain.tensor import Tensor
from tidegate.domain.version import GroupStep
from tidegate.training.state import Array, State


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays are the same tensor to the last bit, dtype and shape included."""
    return Tensor.of(a) == Tensor.of(b)


def moved_tensors(parent: State, child: State, group: str) -> list[str]:
    """Tensors of ``group`` that are not the same on both sides, those on one side included."""
    before = parent.of_group(group) if group in parent.groups else {}
    after = child.of_group(group) if group in child.groups else {}
    return [
        name
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or not same_bits(before[name], after[name])
    ]


def not_finite(state: State) -> list[str]:
    """Names of tensors that hold NaN or infinity."""
    return [
        name
        for name, array in state.tensors.items()
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all()
    ]


def group_steps(
    parent: State | None, child: State, frozen: set[str], held: Collection[str] | None = None
) -> list[GroupStep]:
    """One step a group, in the child's order; groups that only the parent has come last.

    A tensor that the child no longer has counts as changed. ``held``: the groups that the step
    budget speaks of, all where none are named.
    """
    if parent is None:
        return [
            GroupStep(group=g, frozen=g in frozen, tensors=len(names), changed_tensors=0,
                      added_tensors=len(names))
            for g, names in child.groups.items()
        ]  # fmt: skip
    gone = [group for group in parent.groups if group not in child.groups]
    return [
        _step(parent, child, group, group in frozen, held is None or group in held)
        for group in [*child.groups, *gone]
    ]


def _step(parent: State, child: State, group: str, frozen: bool, held: bool) -> GroupStep:
    before = parent.of_group(group) if group in parent.groups else {}
    after = child.of_group(group) if group in child.groups else {}
    added = [name for name in after if name not in before]
    moved = moved_tensors(parent, child, group)
    return GroupStep(
        group=group,
        frozen=frozen,
        tensors=len(after),
        changed_tensors=len(moved) - len(added),
        added_tensors=len(added),
        relative_norm=relative_norm(before, after),
        held=held,
    )


def relative_norm(before: Mapping[str, Array], after: Mapping[str, Array]) -> float | None:
    """``|new - old| / |old|`` over numbers with fractions: counters count, they do not move.

    None where nothing compares or the old values are all zero.
    """
    moved = size = 0.0
    shared = [n for n in after if n in before and after[n].shape == before[n].shape]
    shared = [name for name in shared if np.issubdtype(after[name].dtype, np.inexact)]
    for name in shared:
        old, new = before[name].astype(np.float64), after[name].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            moved += float(np.sum((new - old) ** 2))
            size += float(np.sum(old**2))
    if not shared or not (math.isfinite(moved) and math.isfinite(size)):
        return None
    if moved == 0:
        return 0.0
    ratio = math.sqrt(moved / size) if size > 0 else math.inf
    return ratio if math.isfinite(ratio) else None
