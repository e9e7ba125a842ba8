"""A parameter version: named tensors and the structure they belong to."""

from typing import Any, NamedTuple

from tidegate.domain.messages import Frozen


class TensorInfo(NamedTuple):
    """One tensor of a version: ``id`` is the BLAKE3 of dtype, shape and bytes, in hex.

    A plain tuple, as a version may have tens of thousands.
    """

    name: str
    id: str
    dtype: str
    shape: list[int]
    size_bytes: int


class Structure(Frozen):
    """What the tensors are loaded into; part of the version's identity.

    ``architecture`` is the adapter's own JSON; ``groups`` names the parameter groups and their
    tensors; ``transform`` is the fitted feature transform; ``libraries`` maps a library to the
    versions the parameters load with (a PEP 440 specifier).
    """

    adapter: str
    architecture: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    transform: dict[str, Any] | None = None
    libraries: dict[str, str] = {}


class Manifest(NamedTuple):
    """A version's content: its id is the Merkle root over the structure and the tensors."""

    id: str
    structure: Structure
    tensors: list[TensorInfo]

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors, uncompressed."""
        return sum(tensor.size_bytes for tensor in self.tensors)


class Version(Frozen):
    """A numbered version of a model: ``MODEL@number``. ``params`` is its manifest's id."""

    model: str
    number: int
    params: str
    parent: int | None
    update: str
    reason: str
    created_at: str
    created_by: str

    @property
    def name(self) -> str:
        """``MODEL@NUMBER``."""
        return f"{self.model}@{self.number}"


class GroupStep(Frozen):
    """How far one parameter group moved from the parent.

    ``relative_norm`` is ``|new - old| / |old|`` over the tensors both have in the same shape;
    None where there is no parent or nothing to compare. ``held``: whether the step budget speaks
    of this group; counters, statistics and groups that start anew go as far as they must.
    """

    group: str
    frozen: bool
    tensors: int
    changed_tensors: int
    added_tensors: int = 0
    relative_norm: float | None = None
    held: bool = True
