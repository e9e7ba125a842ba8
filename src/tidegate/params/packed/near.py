"""What earlier versions offer a commit: blocks that are the same, and blocks to build on."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidegate.domain.errors import IntegrityError
from tidegate.domain.version import TensorInfo
from tidegate.params.packed.blocks import Span
from tidegate.params.packed.packs import Listed
from tidegate.params.packed.references import read_sheet
from tidegate.params.packed.sheet import Block, Sheet
from tidegate.store.objects import Objects


class Base(NamedTuple):
    """A block of an earlier version in the same place: of tensors of the same names and dtypes,
    and, where several share it, of the same shapes."""

    block: Block
    sheet: Sheet
    ids: tuple[str, ...]


_Part = tuple[tuple[str, str, tuple[int, ...]], ...]


class Near:
    """The blocks of some sheets, found by content and by place; of two, the earlier sheet's."""

    def __init__(self, sheets: Iterable[Sheet]):
        self.sheets = list(sheets)
        self._by_place: dict[tuple[_Part, int, int], Base] = {}
        self._whole: dict[str, list[Block]] = {}
        self.nonfinite: dict[str, tuple[int, int]] = {}
        for sheet in self.sheets:
            self._take(sheet)

    def whole(self, info: TensorInfo, spans: Sequence[Span]) -> list[Block]:
        """The blocks of a tensor of this id that is cut in the same places; none if unknown."""
        known = self._whole.get(info.id, [])
        same = [b.span[1:] for b in known] == [span[1:] for span in spans]
        return known if same else []

    def at(self, part: tuple[TensorInfo, ...], span: Span) -> Base | None:
        """The block in the place of ``span``."""
        return self._by_place.get((_key(part), span.start, span.size))

    def _take(self, sheet: Sheet) -> None:
        tensors = sheet.manifest.tensors
        mine: dict[str, list[Block]] = {}
        for block in sheet.blocks:
            part = tuple(tensors[member] for member in block.span.members)
            base = Base(block, sheet, tuple(info.id for info in part))
            self._by_place.setdefault((_key(part), block.span.start, block.span.size), base)
            if len(part) == 1:
                mine.setdefault(part[0].id, []).append(block)
        for id_, blocks in mine.items():
            # A content that a version holds under two names has its blocks once for each.
            first = blocks[0].span.members
            mine_only = [block for block in blocks if block.span.members == first]
            self._whole.setdefault(id_, sorted(mine_only))
        for info in tensors if sheet.nonfinite else ():
            if info.name in sheet.nonfinite:
                self.nonfinite.setdefault(info.id, sheet.nonfinite[info.name])


def near_sheets(objects: Objects, versions: Iterable[str]) -> list[Sheet]:
    """The sheets of these versions, as far as they are there whole with all of their packs.

    A version that is missing or damaged is nothing to build on; ``fsck`` tells of it. That a pack
    is as long as it was costs nothing to see; its bytes are not read here.
    """
    found: list[Sheet] = []
    packs = Listed(objects)
    for version in dict.fromkeys(versions):
        try:
            sheet = read_sheet(objects, version)
        except IntegrityError:
            continue
        if packs.holds(sheet):
            found.append(sheet)
    return found


def _key(part: tuple[TensorInfo, ...]) -> _Part:
    if len(part) == 1:  # rows may have been appended: the blocks before them stay
        return ((part[0].name, part[0].dtype, ()),)
    return tuple((info.name, info.dtype, tuple(info.shape)) for info in part)
