"""What versions cost: the bytes that each adds to those stored before it."""

from collections.abc import Iterable

from tidegate.params.packed.references import read_sheet
from tidegate.params.packed.sheet import Frame
from tidegate.store.objects import Objects


def added_bytes(objects: Objects, versions: Iterable[str]) -> list[int]:
    """For each version's id, in this order: bytes of parameters that no version before it needs.

    Encoded as they are stored now; what describes a version, its sheet, comes on top. Each sum
    holds for this order: what two versions share is counted for the first.
    """
    known: set[Frame] = set()
    added = []
    for version in versions:
        frames = {f for block in read_sheet(objects, version).blocks for f in block.chain} - known
        known |= frames
        added.append(sum(frame.size for frame in frames))
    return added
