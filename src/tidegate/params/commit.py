"""Committing a version: what changed is stored, the rest is referred to."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from tidegate.domain.errors import IntegrityError, ParamsError, StorageError, TidegateError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Manifest, Structure, TensorInfo
from tidegate.params.finite import NonfiniteCount, count_parts
from tidegate.params.identity import name_bytes, tensor_hasher
from tidegate.params.packed.blocks import Span, cut, element_width
from tidegate.params.packed.codec import (
    Bits,
    bits_of,
    bytes_of,
    difference,
    encode,
    encode_alone,
)
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.near import Base, Near, near_sheets, prefix_to_build_on
from tidegate.params.packed.packs import PackWriter, pack_key
from tidegate.params.packed.reader import Place, bench, read_chain
from tidegate.params.packed.references import (
    GONE,
    Reference,
    newest,
    read_reference,
    reference_key,
    references,
)
from tidegate.params.packed.sheet import Block, Sheet, manifest_of, to_bytes
from tidegate.params.parallel import on_threads
from tidegate.params.progress import Meter, Progress
from tidegate.params.rows import TensorDiff, keep, same_row, told_row
from tidegate.params.source import Held, Source
from tidegate.params.tally import Tally, tally_parts
from tidegate.store.objects import Objects

#: A sheet younger than this is left as it is when the same version is committed again.
_FRESH_SECONDS = 60.0
#: After so many large tensors of which no version has any, the next is taken for new.
_TAKEN_FOR_NEW = 3


def commit(
    objects: Objects,
    structure: Structure,
    tensors: Mapping[str, Tensor] | Source,
    near: Sequence[str] = (),
    *,
    allow_nonfinite: bool = True,
    progress: Progress | None = None,
) -> Manifest:
    """The stored version of these tensors in this structure; the same content, the same id.

    ``near`` are ids of versions that may share content, the parent first: what is the same is
    not stored again, and what changed is stored as a difference where that is smaller. How far
    every tensor moved from the parent is kept for ``diff``. Tensors are read in parts, on all
    cores; memory does not grow with them.

    A version exists when its sheet does, which is written last: a commit that fails or is killed
    leaves nothing visible and can simply be repeated. Raises ParamsError for a source that
    changes meanwhile and, unless ``allow_nonfinite``, for NaN or infinity.
    """
    source = Held(tensors) if isinstance(tensors, Mapping) else tensors
    with Lease(objects, near) as lease:
        work = _Commit(objects, source, Near(near_sheets(objects, near)), lease, progress)
        try:
            sheet, rows = work.run(structure, allow_nonfinite=allow_nonfinite)
        except BaseException:
            with suppress(TidegateError):
                work.packs.abandon()
            raise
        try:
            published = _publish(objects, sheet, lease)
        except BaseException:
            # A store at a distance may put the sheet in force, even later, and fail to tell: there
            # the packs stay, and those that no sheet names are for ``gc``.
            with suppress(TidegateError):
                if not objects.remote and not _in_force(objects, sheet.manifest.id, lease):
                    work.packs.abandon()
            raise
        if not published:
            with suppress(TidegateError):
                work.packs.abandon()
        if rows is not None:
            with suppress(TidegateError):  # the version is there; a diff can be worked out again
                keep(objects, near[0], sheet.manifest.id, rows)
    return sheet.manifest


class _Job(NamedTuple):
    """Spans that are stored together: all of one large tensor, or one that small ones share."""

    spans: tuple[Span, ...]
    parts: tuple[TensorInfo, ...]


class _Stored(NamedTuple):
    infos: tuple[TensorInfo, ...]
    blocks: list[Block]
    rows: list[TensorDiff | None]
    nonfinite: dict[str, tuple[int, int]]


class _Commit:
    """One commit at work: every job hashes its tensors, then stores what is not there yet."""

    def __init__(
        self, objects: Objects, source: Source, near: Near, lease: Lease, progress: Progress | None
    ):
        self._objects, self._source, self._near, self._lease = objects, source, near, lease
        self.packs = PackWriter(objects, lease)
        names = sorted(source.names, key=name_bytes)
        self._infos = [_unnamed(source, name) for name in names]
        self._meter = Meter(progress, sum(info.size_bytes for info in self._infos))
        parent = near.sheets[0].manifest if near.sheets else None
        self._parent = {info.name: info for info in parent.tensors} if parent else {}
        #: Several threads count here; a lost count costs a second look, no more.
        self._new_in_a_row = 0

    def run(
        self, structure: Structure, *, allow_nonfinite: bool
    ) -> tuple[Sheet, list[TensorDiff] | None]:
        """The sheet, its packs written, and how far each tensor moved from the parent if known."""
        stored = on_threads(self._store, self._jobs())
        self._source.check()
        found = {info.name: info for done in stored for info in done.infos}
        for info in self._infos:
            if not info.size_bytes:
                id_ = tensor_hasher(info.dtype, info.shape).hexdigest()
                found[info.name] = info._replace(id=id_)
        nonfinite = {name: told for done in stored for name, told in done.nonfinite.items()}
        if nonfinite and not allow_nonfinite:
            raise _not_finite(*min(nonfinite.items()))
        manifest = manifest_of(structure, found.values())
        self.packs.finish()
        blocks = tuple(block for done in stored for block in done.blocks)
        return Sheet(manifest, blocks, nonfinite), self._rows(manifest, stored)

    def _jobs(self) -> list[_Job]:
        spans = cut(self._infos)
        large: dict[int, list[Span]] = {}
        jobs = []
        for span in spans:
            if len(span.members) == 1:
                large.setdefault(span.members[0], []).append(span)
            else:
                jobs.append(_Job((span,), tuple(self._infos[m] for m in span.members)))
        jobs += [_Job(tuple(spans), (self._infos[m],)) for m, spans in large.items()]
        return jobs

    def _store(self, job: _Job) -> _Stored:
        self._lease.renew()
        stored = self._shared(job) if len(job.parts) > 1 else self._large(job)
        self._meter.add(sum(info.size_bytes for info in job.parts))
        return stored

    def _large(self, job: _Job) -> _Stored:
        """One tensor: hashed first, so that one that is known is not looked at further.

        Where the tensors before it were all new, this one is taken for new too and read once.
        """
        (part,) = job.parts
        known_as = ""
        looks_new = not self._near.sheets or self._new_in_a_row >= _TAKEN_FOR_NEW
        if not (looks_new and self._source.watched):
            hasher = tensor_hasher(part.dtype, part.shape)
            for span in job.spans:
                hasher.update(self._read(part, span))
            known_as = hasher.hexdigest()
            known = self._near.whole(part._replace(id=known_as), job.spans)
            if known:
                self._new_in_a_row = 0
                return self._again(part._replace(id=known_as), job.spans, known)
        hasher = tensor_hasher(part.dtype, part.shape)
        tally, counted = self._tally(part), NonfiniteCount(part.dtype)
        blocks = []
        for span in job.spans:
            content = self._read(part, span)
            hasher.update(content)
            new = bits_of(content, element_width(part.dtype))
            block, steps, old = self._block(new, span, self._near.at((part,), span), part)
            blocks.append(block)
            finite = False
            if tally is not None and old is not None and steps is not None:
                finite = tally.add(old, new, steps)
            counted.add(new, finite=finite)
        info = part._replace(id=hasher.hexdigest())
        if known_as and info.id != known_as:
            raise ParamsError(
                "tensor '{tensor}' was changed while it was read",
                do="wait until nothing writes to it, then try again",
                tensor=info.name,
            )
        known = self._near.whole(info, job.spans)
        self._new_in_a_row = 0 if known else self._new_in_a_row + 1
        if known:
            return self._again(info, job.spans, known)
        row = self._row(info, tally, counted)
        return _Stored((info,), blocks, [row], _told(info, counted))

    def _again(self, info: TensorInfo, spans: Sequence[Span], known: Sequence[Block]) -> _Stored:
        """A tensor that a near version has: its blocks are referred to."""
        blocks = [Block(span, block.chain) for span, block in zip(spans, known, strict=True)]
        told = self._near.nonfinite.get(info.id)
        return _Stored((info,), blocks, [self._same(info)], {info.name: told} if told else {})

    def _shared(self, job: _Job) -> _Stored:
        """Small tensors that share a block: read once, hashed and stored together."""
        (span,) = job.spans
        room = bytes_of(bench().room(Place.SOURCE, span.size))
        start, infos = 0, []
        for part in job.parts:
            place = room[start : start + part.size_bytes]
            place[:] = self._source.read_part(part.name, 0, place)
            id_ = tensor_hasher(part.dtype, part.shape).update(place).hexdigest()
            infos.append(part._replace(id=id_))
            start += part.size_bytes
        base = self._near.at(job.parts, span)
        ids = tuple(info.id for info in infos)
        if base is not None and base.ids == ids:
            known = self._near.nonfinite
            nonfinite = {info.name: known[info.id] for info in infos if info.id in known}
            block = Block(span, base.block.chain)
            return _Stored(tuple(infos), [block], [self._same(i) for i in infos], nonfinite)
        new = bits_of(room, element_width(job.parts[0].dtype))
        block, steps, old = self._block(new, span, base, job.parts[0])
        sizes = [info.size_bytes // new.itemsize for info in infos]
        counts = count_parts(infos[0].dtype, new, sizes)
        nonfinite = {}
        for info, counted in zip(infos, counts, strict=True):
            nonfinite |= _told(info, counted)
        if not self._near.sheets:
            return _Stored(tuple(infos), [block], [], nonfinite)
        if old is None or steps is None:
            tallies = [self._tally(info) for info in infos]
        else:  # a base has tensors of the same shapes; the parent may not
            tallies = [
                tally if self._tally(info) else None
                for info, tally in zip(
                    infos, tally_parts(infos[0].dtype, old, new, steps, sizes), strict=True
                )
            ]
        rows = [
            self._row(info, tally, counted)
            for info, tally, counted in zip(infos, tallies, counts, strict=True)
        ]
        return _Stored(tuple(infos), [block], rows, nonfinite)

    def _block(
        self, new: Bits, span: Span, base: Base | None, info: TensorInfo
    ) -> tuple[Block, Bits | None, Bits | None]:
        """The stored block, its steps from the base and the base's content, where there is one."""
        place = bench()
        built_on, old = None, None
        if base is not None:
            length = prefix_to_build_on(base.block)
            try:
                for index, (_, content) in enumerate(
                    read_chain(self._objects, base.block, info), 1
                ):
                    if index == length < len(base.block.chain):
                        built_on = place.room(Place.BASE, span.size, new.itemsize)
                        built_on[:] = content
                    old = content
            except IntegrityError:
                old = None  # damaged: nothing to build on, as ``fsck`` will tell
        if base is None or old is None:
            frame = self.packs.add(encode_alone(new), 0)
            return Block(span, (frame,)), None, None
        steps = difference(new, old, place.room(Place.STEPS, span.size, new.itemsize))
        if not steps.any():
            return Block(span, base.block.chain), steps, old
        chain, ground, apart = base.block.chain[:length], old, steps
        if built_on is not None:
            ground = built_on
            apart = place.room(Place.FARTHER_STEPS, span.size, new.itemsize)
            if not difference(new, built_on, apart).any():  # back to what it was
                return Block(span, chain), steps, old
        encoded = encode(new, ground, apart, chain[0].size)
        if not encoded.kind.is_delta:
            return Block(span, (self.packs.add(encoded, 0),)), steps, old
        frame = self.packs.add(encoded, base.block.chain[-1].step + 1)
        return Block(span, (*chain, frame)), steps, old

    def _read(self, part: TensorInfo, span: Span) -> memoryview:
        room = bytes_of(bench().room(Place.SOURCE, span.size))
        return self._source.read_part(part.name, span.start, room)

    def _tally(self, info: TensorInfo) -> Tally | None:
        """For a tensor that the parent has too, in the same dtype and shape."""
        was = self._parent.get(info.name)
        if was is None or (was.dtype, was.shape) != (info.dtype, info.shape):
            return None
        return Tally(info.dtype)

    def _same(self, info: TensorInfo) -> TensorDiff | None:
        """The row of a tensor that some near version has; None where the parent's differs."""
        was = self._parent.get(info.name)
        if was is not None and was.id == info.id:
            return same_row(info)
        if was is None or (was.dtype, was.shape) != (info.dtype, info.shape):
            count, _ = self._near.nonfinite.get(info.id, (0, 0))
            return told_row(was, info, new_nonfinite=count)
        return None

    def _row(
        self, info: TensorInfo, tally: Tally | None, counted: NonfiniteCount
    ) -> TensorDiff | None:
        was = self._parent.get(info.name)
        if was is not None and was.id == info.id:
            return same_row(info)
        if tally is None:
            return told_row(was, info, new_nonfinite=counted.count)
        if tally.elements != math.prod(info.shape):  # it was not built on the parent
            return None
        return told_row(was, info, **tally.figures())

    def _rows(self, manifest: Manifest, stored: list[_Stored]) -> list[TensorDiff] | None:
        """The whole diff from the parent, by name; None where some of it is not known."""
        if not self._near.sheets:
            return None
        rows = {row.name: row for done in stored for row in done.rows if row is not None}
        for info in manifest.tensors:
            if not info.size_bytes:
                was = self._parent.get(info.name)
                same = was is not None and was.id == info.id
                rows[info.name] = same_row(info) if same else told_row(was, info)
        if len(rows) != len(manifest.tensors):
            return None
        for name in self._parent.keys() - rows.keys():
            rows[name] = told_row(self._parent[name], None)
        return [rows[name] for name in sorted(rows)]


def _publish(objects: Objects, sheet: Sheet, lease: Lease) -> bool:
    """Put the sheet in force; False where one of the same version is already, and was kept.

    A store at a distance may write the sheet, lose its answer and refuse the second try: then the
    one in force is this one, or was made from it.
    """
    version = sheet.manifest.id
    while True:
        there = newest(objects, version)
        standing = _standing(objects, there) if there and not there.gone else None
        if standing and _ours(standing, lease):
            return True
        if there and standing and lease.written_at() - there.modified < _FRESH_SECONDS:
            return False
        # What stands is written again, so that nobody takes it for abandoned meanwhile.
        number = there.number + 1 if there else 0
        if objects.put(reference_key(version, number), to_bytes(standing or sheet)):
            break
    if not lease.held():
        _check_packs(objects, standing or sheet, number)
    return standing is None


def _ours(sheet: Sheet, lease: Lease) -> bool:
    """Whether a sheet needs packs of this writer's."""
    return any(pack.startswith(f"{lease.writer}/") for pack in sheet.packs)


def _in_force(objects: Objects, version: str, lease: Lease) -> bool:
    """Whether some sheet of the version needs packs of this writer's."""
    return any(
        _ours(read_reference(objects, there), lease)
        for there in references(objects, version)
        if not there.gone
    )


def _standing(objects: Objects, there: Reference) -> Sheet | None:
    """The sheet in force, where it is whole and all its packs are there."""
    try:
        sheet = read_reference(objects, there)
    except IntegrityError:
        return None
    return sheet if all(objects.exists(pack_key(pack)) for pack in sheet.packs) else None


def _check_packs(objects: Objects, sheet: Sheet, number: int) -> None:
    """After the lease was taken for abandoned: withdraw the sheet where it names what is gone."""
    if all(objects.exists(pack_key(pack)) for pack in sheet.packs):
        return
    objects.put(reference_key(sheet.manifest.id, number + 1), GONE)
    raise StorageError(
        "the commit took so long that 'tidegate params gc' took its packs for abandoned",
        do="run the command again; keep the store's and this machine's connection alive meanwhile",
    )


def _unnamed(source: Source, name: str) -> TensorInfo:
    """What is known of a tensor before it was read: everything but its id."""
    part = source.info(name)
    return TensorInfo(
        name=name, id="", dtype=part.dtype, shape=list(part.shape), size_bytes=part.size_bytes
    )


def _told(info: TensorInfo, counted: NonfiniteCount) -> dict[str, tuple[int, int]]:
    return {info.name: (counted.count, counted.first)} if counted.count else {}


def _not_finite(name: str, told: tuple[int, int]) -> ParamsError:
    return ParamsError(
        "tensor '{tensor}' holds {count:,} values that are NaN or infinite, "
        "the first at flat position {first:,}",
        do="find what diverged in training, or allow values that are not finite",
        tensor=name,
        count=told[0],
        first=told[1],
    )
