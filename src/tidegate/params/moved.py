"""How far each tensor of a commit moved from the parent, gathered while it is stored."""

import math
from collections.abc import Sequence

import numpy as np

from tidegate.domain.version import Manifest, TensorInfo
from tidegate.params.finite import NonfiniteCount
from tidegate.params.packed.codec import Bits
from tidegate.params.packed.near import Base, Near
from tidegate.params.rows import FIGURES, figures_of, keep
from tidegate.params.tally import Tally, figures_of_parts
from tidegate.store.objects import Objects


class Moved:
    """The diff from the parent: the first near version that is there whole.

    Tensors are told by their positions among the version's, each once, from several threads.
    """

    def __init__(self, near: Near, count: int):
        self._near = near
        self._parent = near.sheets[0] if near.sheets else None
        tensors = self._parent.manifest.tensors if self._parent else []
        self._before = {info.name: info for info in tensors}
        self._figures = np.zeros(count if self._parent else 0, FIGURES)

    def keep(self, objects: Objects, manifest: Manifest) -> None:
        """Keep the diff, where there is a parent and every tensor was told of."""
        if self._parent and self._figures["told"].all():
            keep(objects, self._parent.manifest.id, manifest, self._figures)

    def is_parents(self, base: Base | None) -> bool:
        """Whether a block is one of the parent's."""
        return base is not None and base.sheet is self._parent

    def tally(self, info: TensorInfo) -> Tally | None:
        """For a tensor that the parent has too, in the same dtype and shape."""
        return Tally(info.dtype) if self._comparable(info) else None

    def parents(self, members: Sequence[int]) -> None:
        """Small tensors that the parent has."""
        self._figures[list(members)] = figures_of(1)[0]

    def same(self, position: int, info: TensorInfo) -> None:
        """A tensor that some near version has; where the parent's differs, nothing is known."""
        was = self._before.get(info.name)
        if self._parent and ((was and was.id == info.id) or not self._comparable(info)):
            count, _ = self._near.nonfinite.get(info.id, (0, 0))
            self._figures[position] = figures_of(1, new_nonfinite=count)[0]

    def large(
        self, position: int, info: TensorInfo, tally: Tally | None, counted: NonfiniteCount
    ) -> None:
        """A tensor of which every part was counted; ``tally`` has those built on the parent."""
        if not self._parent:
            return
        if tally is None:
            self._figures[position] = figures_of(1, new_nonfinite=counted.count)[0]
        elif tally.elements == math.prod(info.shape):
            self._figures[position] = tally.columns()[0]

    def parts(
        self, members: Sequence[int], dtype: str, old: Bits, new: Bits, sizes: Sequence[int]
    ) -> None:
        """Small tensors that lie one after another, against the parent's in the same places."""
        self._figures[list(members)] = figures_of_parts(dtype, old, new, sizes)

    def apart(
        self, members: Sequence[int], infos: Sequence[TensorInfo], counts: dict[int, NonfiniteCount]
    ) -> None:
        """Small tensors that share no block of the parent's; ``counts`` by their order."""
        for index, (position, info) in enumerate(zip(members, infos, strict=True)):
            was = self._before.get(info.name)
            if self._parent and ((was and was.id == info.id) or not self._comparable(info)):
                count = counts[index].count if index in counts else 0
                self._figures[position] = figures_of(1, new_nonfinite=count)[0]

    def _comparable(self, info: TensorInfo) -> bool:
        was = self._before.get(info.name)
        return was is not None and (was.dtype, was.shape) == (info.dtype, info.shape)
