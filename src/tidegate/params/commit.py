"""Committing a version: what changed is stored, the rest is referred to."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from tidegate.domain.errors import IntegrityError, ParamsError, TidegateError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Manifest, Structure, TensorInfo
from tidegate.params.finite import NonfiniteCount, count_parts
from tidegate.params.identity import bytes_id, tensor_hasher
from tidegate.params.moved import Moved
from tidegate.params.packed.blocks import Span, cut, element_width
from tidegate.params.packed.codec import (
    Bits,
    Encoded,
    bits_of,
    bytes_of,
    difference,
    encode,
    encode_alone,
    nearer,
    same,
)
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.near import Base, Near, near_sheets
from tidegate.params.packed.packs import PackWriter
from tidegate.params.packed.publish import publish, surely_not_in_force
from tidegate.params.packed.reader import Place, bench, read_chain
from tidegate.params.packed.sheet import MAX_DELTAS, Block, Sheet, manifest_of
from tidegate.params.parallel import on_threads
from tidegate.params.progress import Meter, Progress
from tidegate.params.source import Held, Source
from tidegate.store.objects import Objects

#: After so many large tensors of which no version has any, the next is taken for new.
_TAKEN_FOR_NEW = 3


def commit(
    objects: Objects,
    structure: Structure,
    tensors: Mapping[str, Tensor] | Source,
    near: Sequence[str] = (),
    *,
    allow_nonfinite: bool = True,
    repair: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """The stored version of these tensors in this structure; the same content, the same id.

    ``near`` are ids of versions that may share content, the parent first: what is the same is
    not stored again, and what changed is stored as a difference where that is smaller. How far
    every tensor moved from the parent is kept for ``diff``. Tensors are read in parts, on all
    cores; memory does not grow with them. Packs of near versions must be as long as their sheets
    say; their bytes are only read where something is built on them, or, to ``repair``, all: what
    is damaged is stored anew.

    A version exists when its sheet does, which is written last: a commit that fails or is killed
    leaves nothing visible and can simply be repeated. Raises ParamsError for a source that
    changes meanwhile and, unless ``allow_nonfinite``, for NaN or infinity.
    """
    source = Held(tensors) if isinstance(tensors, Mapping) else tensors
    with Lease(objects, near) as lease:
        work = _Commit(objects, source, Near(near_sheets(objects, near)), lease, progress)
        work.strict, work.repair = not allow_nonfinite, repair
        try:
            sheet = work.run(structure)
        except BaseException:
            with suppress(TidegateError):
                work.packs.abandon()
            raise
        try:
            published = publish(objects, sheet, lease, anew=repair)
        except BaseException:
            with suppress(TidegateError):
                if surely_not_in_force(objects, sheet, lease):
                    work.packs.abandon()
            raise
        with suppress(TidegateError):  # the version is there, whatever fails now
            if not published:
                work.packs.abandon()
            work.moved.keep(objects, sheet.manifest)
    return sheet.manifest


class _Job(NamedTuple):
    """Spans that are stored together: all of one large tensor, or one that small ones share."""

    spans: tuple[Span, ...]
    parts: tuple[TensorInfo, ...]


class _Stored(NamedTuple):
    members: tuple[int, ...]
    infos: Sequence[TensorInfo]
    blocks: list[Block]
    nonfinite: dict[str, tuple[int, int]]


class _Written(NamedTuple):
    """A block as it is stored, and what it was compared with.

    ``old`` is the base's content, where there is one; ``encoded`` is what was added for it, if
    anything was.
    """

    block: Block
    old: Bits | None
    encoded: Encoded | None


class _Commit:
    """One commit at work: every job hashes its tensors, then stores what is not there yet."""

    def __init__(
        self, objects: Objects, source: Source, near: Near, lease: Lease, progress: Progress | None
    ):
        self._objects, self._source, self._near, self._lease = objects, source, near, lease
        self.packs = PackWriter(objects, lease)
        # Code points sort as their UTF-8 does.
        self._infos = [_unnamed(source, name) for name in sorted(source.names)]
        self._meter = Meter(progress, sum([info.size_bytes for info in self._infos]))
        self.moved = Moved(near, len(self._infos))
        #: Whether NaN and infinity are refused; whether nothing that is stored is trusted unread.
        self.strict = self.repair = False
        #: Several threads count here; a lost count costs a second look, no more.
        self._new_in_a_row = 0

    def run(self, structure: Structure) -> Sheet:
        """The sheet, its packs written."""
        stored = [done for group in on_threads(self._store, self._jobs()) for done in group]
        self._source.check()
        self.packs.close()
        found = list(self._infos)
        for done in stored:
            for position, info in zip(done.members, done.infos, strict=True):
                found[position] = info
        for position, info in enumerate(found):
            if not info.size_bytes:
                found[position] = _named(info, bytes_id(info.dtype, info.shape, b""))
                self.moved.same(position, found[position])
        nonfinite = {name: told for done in stored for name, told in done.nonfinite.items()}
        if nonfinite and self.strict:
            raise _not_finite(*min(nonfinite.items()))
        manifest = manifest_of(structure, found)
        self.packs.finish()
        return Sheet(manifest, tuple(block for done in stored for block in done.blocks), nonfinite)

    def _jobs(self) -> list[list[_Job]]:
        """What to do, in groups for one thread each.

        All blocks that small tensors share are one group: what they take is Python's time, and
        two threads would only wait for each other.
        """
        shared: list[_Job] = []
        large: dict[int, list[Span]] = {}
        for span in cut(self._infos):
            if len(span.members) == 1:
                large.setdefault(span.members[0], []).append(span)
            else:
                shared.append(_Job((span,), tuple(self._infos[m] for m in span.members)))
        alone = [[_Job(tuple(spans), (self._infos[m],))] for m, spans in large.items()]
        return [shared, *alone]

    def _store(self, group: list[_Job]) -> list[_Stored]:
        stored = []
        like: Encoded | None = None
        for job in group:
            self._lease.renew()
            if len(job.parts) > 1:
                done, like = self._shared(job, like)
            else:
                done = self._large(job)
            stored.append(done)
            self._meter.add(sum([info.size_bytes for info in job.parts]))
        return stored

    def _large(self, job: _Job) -> _Stored:
        """One tensor: hashed first, so that one that is known is not looked at further.

        Where the tensors before it were all new, this one is taken for new too and read once.
        """
        (part,) = job.parts
        known_as = ""
        looks_new = not self._near.sheets or self._new_in_a_row >= _TAKEN_FOR_NEW
        if not ((looks_new or self.repair) and self._source.watched):
            hasher, counted = tensor_hasher(part.dtype, part.shape), NonfiniteCount(part.dtype)
            for span in job.spans:
                content = self._read(part, span)
                hasher.update(content)
                if self.strict:
                    counted.add(bits_of(content, element_width(part.dtype)))
            known_as = hasher.hexdigest()
            named = _named(part, known_as)
            known = self._whole(named, job.spans)
            if known:
                self._new_in_a_row = 0
                return self._again(named, job.spans, known, counted)
        hasher = tensor_hasher(part.dtype, part.shape)
        tally, counted = self.moved.tally(part), NonfiniteCount(part.dtype)
        blocks = []
        like: Encoded | None = None
        for span in job.spans:
            content = self._taken(part, span)
            hasher.update(content)
            new = bits_of(content, element_width(part.dtype))
            base = self._near.at((part,), span)
            written = self._block(new, span, base, part, like)
            blocks.append(written.block)
            like = written.encoded or like
            finite = False
            if tally is not None and self.moved.is_parents(base) and written.old is not None:
                finite = tally.add(written.old, new)
            counted.add(new, finite=finite)
        info = _named(part, hasher.hexdigest())
        if known_as and info.id != known_as:
            raise ParamsError(
                "tensor '{tensor}' was changed while it was read",
                do="wait until nothing writes to it, then try again",
                tensor=info.name,
            )
        known = self._whole(info, job.spans)
        self._new_in_a_row = 0 if known else self._new_in_a_row + 1
        if known:
            return self._again(info, job.spans, known, counted)
        self.moved.large(job.spans[0].members[0], info, tally, counted)
        return _Stored(job.spans[0].members, (info,), blocks, _told(info, counted))

    def _whole(self, info: TensorInfo, spans: Sequence[Span]) -> list[Block]:
        """The blocks of a near version that are taken for this tensor's, unread."""
        return [] if self.repair else self._near.whole(info, spans)

    def _again(
        self,
        info: TensorInfo,
        spans: Sequence[Span],
        known: Sequence[Block],
        counted: NonfiniteCount,
    ) -> _Stored:
        """A tensor that a near version has: its blocks are referred to.

        Where NaN is refused, nobody else's count is trusted.
        """
        blocks = [Block(span, block.chain) for span, block in zip(spans, known, strict=True)]
        told, members = self._near.nonfinite.get(info.id), spans[0].members
        self.moved.same(members[0], info)
        if self.strict:
            return _Stored(members, (info,), blocks, _told(info, counted))
        return _Stored(members, (info,), blocks, {info.name: told} if told else {})

    def _shared(self, job: _Job, like: Encoded | None) -> tuple[_Stored, Encoded | None]:
        """Small tensors that share a block: read once, hashed and stored together.

        ``like`` is what was added for the shared block before; what was for this one comes back.
        """
        (span,) = job.spans
        room = bytes_of(bench().room(Place.SOURCE, span.size))
        infos = self._hashed(job.parts, room)
        dtype = job.parts[0].dtype
        new = bits_of(room, element_width(dtype))
        sizes = [info.size_bytes // new.itemsize for info in infos]
        counts = count_parts(dtype, new, sizes)
        nonfinite: dict[str, tuple[int, int]] = {}
        for index, counted in counts.items():
            nonfinite |= _told(infos[index], counted)
        base = self._near.at(job.parts, span)
        if base is not None and not self.repair and base.ids == tuple([i.id for i in infos]):
            if self.moved.is_parents(base):
                self.moved.parents(span.members)
            else:
                for position, info in zip(span.members, infos, strict=True):
                    self.moved.same(position, info)
            block = Block(span, base.block.chain)
            return _Stored(span.members, infos, [block], nonfinite), like
        written = self._block(new, span, base, job.parts[0], like)
        if written.old is not None and self.moved.is_parents(base):
            self.moved.parts(span.members, dtype, written.old, new, sizes)
        else:
            self.moved.apart(span.members, infos, counts)
        stored = _Stored(span.members, infos, [written.block], nonfinite)
        return stored, written.encoded or like

    def _hashed(self, parts: Sequence[TensorInfo], room: memoryview) -> list[TensorInfo]:
        """The tensors, read into ``room`` one after another, with their ids."""
        start, infos = 0, []
        for part in parts:
            place = room[start : start + part.size_bytes]
            content = self._source.read_part(part.name, 0, place)
            if content is not place:
                place[:] = content
            infos.append(_named(part, bytes_id(part.dtype, part.shape, place)))
            start += part.size_bytes
        return infos

    def _block(
        self,
        new: Bits,
        span: Span,
        base: Base | None,
        info: TensorInfo,
        like: Encoded | None = None,
    ) -> _Written:
        """The block stored; ``like`` is what was added for the block before in its tensor."""
        anchor = old = None
        if base is not None:
            try:
                for frame, content in read_chain(self._objects, base.block, info):
                    if frame is base.block.chain[0]:
                        anchor = content
                    old = content
            except IntegrityError:
                old = None  # damaged: nothing to build on, as ``fsck`` will tell
        if base is None or anchor is None or old is None:
            encoded = encode_alone(new, like)
            return _Written(Block(span, (self.packs.add(encoded),)), None, encoded)
        chain = base.block.chain
        if same(new, old):
            return _Written(Block(span, chain), old, None)
        ground = old
        if old is not anchor and not (len(chain) <= MAX_DELTAS and nearer(new, old, anchor)):
            chain, ground = chain[:1], anchor
            if same(new, anchor):  # back to what it was
                return _Written(Block(span, chain), old, None)
        steps = difference(new, ground, bench().room(Place.STEPS, span.size, new.itemsize))
        encoded = encode(new, ground, steps, chain[0].size, like)
        frame = self.packs.add(encoded)
        block = Block(span, (*chain, frame) if encoded.kind.is_delta else (frame,))
        return _Written(block, old, encoded)

    def _read(self, part: TensorInfo, span: Span) -> memoryview:
        room = bytes_of(bench().room(Place.SOURCE, span.size))
        return self._source.read_part(part.name, span.start, room)

    def _taken(self, part: TensorInfo, span: Span) -> memoryview:
        """What ``_read`` gives, on this thread's bench: hashed and stored are the same bytes,
        whoever writes to the source meanwhile."""
        room = bytes_of(bench().room(Place.SOURCE, span.size))
        content = self._source.read_part(part.name, span.start, room)
        if content is not room:
            room[:] = content
        return room


def _unnamed(source: Source, name: str) -> TensorInfo:
    """What is known of a tensor before it was read: everything but its id."""
    part = source.info(name)
    return TensorInfo(
        name=name, id="", dtype=part.dtype, shape=list(part.shape), size_bytes=part.size_bytes
    )


def _named(part: TensorInfo, id_: str) -> TensorInfo:
    # A third of what _replace takes, which ten thousand tensors notice.
    return TensorInfo(part.name, id_, part.dtype, part.shape, part.size_bytes)


def _told(info: TensorInfo, counted: NonfiniteCount) -> dict[str, tuple[int, int]]:
    return {info.name: (counted.count, counted.first)} if counted.count else {}


def _not_finite(name: str, told: tuple[int, int]) -> ParamsError:
    return ParamsError(
        "tensor '{tensor}' holds {count:,} values that are NaN or infinite, "
        "the first at flat position {first:,}",
        do="find what diverged in training; or take them as they are with --allow-nonfinite",
        tensor=name,
        count=told[0],
        first=told[1],
    )
