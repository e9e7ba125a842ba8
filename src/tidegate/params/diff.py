"""What changed between two versions, tensor by tensor."""

from collections.abc import Iterable

import numpy as np

from tidegate.domain.version import Manifest, TensorInfo
from tidegate.params.finite import NonfiniteCount, is_float
from tidegate.params.identity import tensor_hasher
from tidegate.params.packed.blocks import SMALL_BYTES, element_width
from tidegate.params.packed.codec import bits_of, bytes_of
from tidegate.params.packed.reader import (
    Place,
    Unit,
    bench,
    read_block,
    read_held,
    read_unit,
    units,
    verify,
)
from tidegate.params.packed.references import read_sheet
from tidegate.params.packed.sheet import Sheet
from tidegate.params.parallel import on_threads
from tidegate.params.progress import Meter, Progress
from tidegate.params.rows import TensorDiff, kept, plain_figures, same_row, told_row
from tidegate.params.tally import Tally, figures_of_parts
from tidegate.store.objects import Objects


def diff(
    objects: Objects, old: Manifest, new: Manifest, progress: Progress | None = None
) -> list[TensorDiff]:
    """One row for each name in either version, by name.

    What the commit of ``new`` found, where it was built on ``old``; otherwise tensors with equal
    ids are not read, the others are read in parts and verified (IntegrityError). Memory does not
    grow with the tensors. Differences between I64 or U64 values are rounded to float64, as their
    values are.
    """
    found = kept(objects, old, new)
    if found is not None:
        return found
    return _Comparison(objects, old, new).rows(progress)


class _Comparison:
    """Two versions, read side by side."""

    def __init__(self, objects: Objects, old: Manifest, new: Manifest):
        self._objects = objects
        self._before = {info.name: info for info in old.tensors}
        self._after = {info.name: info for info in new.tensors}
        self._old, self._new = old, new

    def rows(self, progress: Progress | None) -> list[TensorDiff]:
        """Every row, by name."""
        done = {}
        for name in self._before.keys() | self._after.keys():
            was, now = self._before.get(name), self._after.get(name)
            if was is not None and now is not None and was.id == now.id:
                done[name] = same_row(now)
            elif now is None or not now.size_bytes or not (_alike(was, now) or is_float(now.dtype)):
                done[name] = told_row(was, now)
        left = self._after.keys() - done.keys()
        if left:
            sheets = [read_sheet(self._objects, manifest.id) for manifest in (self._old, self._new)]
            wanted = units(sheets[1], left)
            meter = Meter(progress, sum(unit.size_bytes for unit in wanted))

            def compared(unit: Unit) -> list[TensorDiff]:
                rows = self._unit(unit, left, sheets[0])
                meter.add(unit.size_bytes)
                return rows

            done |= {row.name: row for rows in on_threads(compared, wanted) for row in rows}
        return [done[name] for name in sorted(done)]

    def _unit(self, unit: Unit, left: Iterable[str], before: Sheet) -> list[TensorDiff]:
        wanted = [info for info in unit.infos if info.name in left]
        alike = [info.name for info in wanted if _alike(self._before.get(info.name), info)]
        others = units(before, alike) if alike else []
        if len(unit.infos) == 1 and len(others) <= 1:
            (info,) = wanted
            spans = [[block.span[1:] for block in side.blocks] for side in (unit, *others)]
            if not others:
                return [self._new_only(unit, info)]
            if spans[0] == spans[1] and len(others[0].infos) == 1:
                return [self._large(others[0], unit, info)]
        now = read_held(self._objects, unit)
        was = {n: data for other in others for n, data in read_held(self._objects, other).items()}
        return [self._small(info, was.get(info.name), now[info.name]) for info in wanted]

    def _new_only(self, unit: Unit, info: TensorInfo) -> TensorDiff:
        """A tensor that has nothing to compare with, element by element."""
        count, width = NonfiniteCount(info.dtype), element_width(info.dtype)
        read_unit(self._objects, unit, lambda _i, _s, part: count.add(bits_of(part, width)))
        return told_row(self._before.get(info.name), info, new_nonfinite=count.count)

    def _large(self, old: Unit, new: Unit, info: TensorInfo) -> TensorDiff:
        """Block by block, both sides verified at the end."""
        was, width, place = self._before[info.name], element_width(info.dtype), bench()
        tally = Tally(info.dtype)
        hashers = [tensor_hasher(info.dtype, info.shape) for _ in range(2)]
        for old_block, new_block in zip(old.blocks, new.blocks, strict=True):
            before = place.room(Place.BEFORE, old_block.span.size, width)
            np.copyto(before, read_block(self._objects, old_block, was))
            after = read_block(self._objects, new_block, info)
            for hasher, content in zip(hashers, (before, after), strict=True):
                hasher.update(bytes_of(content))
            tally.add(before, after)
        verify(was, hashers[0].hexdigest(), old.blocks[-1])
        verify(info, hashers[1].hexdigest(), new.blocks[-1])
        return told_row(was, info, **tally.figures())

    def _small(self, info: TensorInfo, was: bytearray | None, now: bytearray) -> TensorDiff:
        width = element_width(info.dtype)
        after, known = bits_of(now, width), self._before.get(info.name)
        if was is None or not _alike(known, info):
            count = NonfiniteCount(info.dtype)
            count.add(after)
            return told_row(known, info, new_nonfinite=count.count)
        before = bits_of(was, width)
        if info.size_bytes <= SMALL_BYTES:  # as a commit does it
            figures = figures_of_parts(info.dtype, before, after, [after.size])
            return told_row(known, info, **plain_figures(figures)[0])
        tally = Tally(info.dtype)
        tally.add(before, after)
        return told_row(known, info, **tally.figures())


def _alike(was: TensorInfo | None, now: TensorInfo) -> bool:
    return was is not None and (was.dtype, was.shape) == (now.dtype, now.shape)
