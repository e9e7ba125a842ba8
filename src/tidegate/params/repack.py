"""Writing a version's bytes in another way; its id stays what it is."""

from tidegate.params.identity import tensor_hasher
from tidegate.params.packed.blocks import element_width
from tidegate.params.packed.codec import bytes_of, difference, encode
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.packs import PackWriter
from tidegate.params.packed.reader import Place, Unit, bench, read_chain, units, verify
from tidegate.params.packed.references import newest, read_reference, read_sheet, reference_key
from tidegate.params.packed.sheet import Block, Sheet, to_bytes
from tidegate.params.parallel import on_threads
from tidegate.store.objects import Objects

#: An anchor and one delta.
_SHORT = 2


def shorten(objects: Objects, version: str) -> bool:
    """Store the version so that no block is more than one delta away from its anchor.

    For a version that must be back at once, such as the one in production and the one before.
    False where it was so already. Raises IntegrityError, and changes nothing, where the version
    is damaged. Safe beside other writers: who comes second reads again.
    """
    while True:
        with Lease(objects, [version]) as lease:
            read_sheet(objects, version)  # raises where it is missing
            there = newest(objects, version)
            assert there is not None  # noqa: S101 - it was read just now
            sheet = read_reference(objects, there)
            if all(len(block.chain) <= _SHORT for block in sheet.blocks):
                return False
            packs = PackWriter(objects, lease)
            try:
                blocks = _shortened(objects, sheet, packs)
                packs.finish()
                data = to_bytes(sheet._replace(blocks=blocks))
                if objects.put(reference_key(version, there.number + 1), data):
                    return True
            except BaseException:
                packs.abandon()
                raise
            packs.abandon()


def _shortened(objects: Objects, sheet: Sheet, packs: PackWriter) -> tuple[Block, ...]:
    long = {block for block in sheet.blocks if len(block.chain) > _SHORT}
    affected = [unit for unit in units(sheet) if long & set(unit.blocks)]
    rewritten = on_threads(lambda unit: _shorter(objects, unit, packs), affected)
    new = {block.span: block for blocks in rewritten for block in blocks}
    return tuple(new.get(block.span, block) for block in sheet.blocks)


def _shorter(objects: Objects, unit: Unit, packs: PackWriter) -> list[Block]:
    """The unit's blocks with short chains, its tensors verified."""
    hashers = [tensor_hasher(info.dtype, info.shape) for info in unit.infos]
    width, blocks = element_width(unit.infos[0].dtype), []
    for block in unit.blocks:
        contents = [content for _, content in read_chain(objects, block, unit.infos[0])]
        anchor, content = contents[0], contents[-1]
        view, start = bytes_of(content), 0
        for info, hasher in zip(unit.infos, hashers, strict=True):
            size = len(view) if len(unit.infos) == 1 else info.size_bytes
            hasher.update(view[start : start + size])
            start += size
        if len(block.chain) <= _SHORT:
            blocks.append(block)
            continue
        steps = difference(content, anchor, bench().room(Place.STEPS, len(view), width))
        encoded = encode(content, anchor, steps, block.chain[0].size)
        kept = block.chain[:1] if encoded.kind.is_delta else ()
        blocks.append(Block(block.span, (*kept, packs.add(encoded))))
    for info, hasher in zip(unit.infos, hashers, strict=True):
        verify(info, hasher.hexdigest(), unit.blocks[-1])
    return blocks
