"""Where the tensors of a commit come from: read in parts, never a model at once."""

from collections.abc import Mapping
from typing import Protocol

from tidegate.domain.tensor import Tensor
from tidegate.params.identity import name_bytes


class Part(Protocol):
    """What a source tells of a tensor."""

    @property
    def dtype(self) -> str:
        """Its dtype, as safetensors spells it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def size_bytes(self) -> int:
        """Its bytes."""


class Source(Protocol):
    """Named tensors, read from several threads at once."""

    @property
    def names(self) -> list[str]:
        """Names of all tensors, each once."""

    @property
    def watched(self) -> bool:
        """Whether ``check`` tells of every change; else tensors are read twice to find one."""

    def check(self) -> None:
        """Raise ParamsError where the source was changed since it was opened."""

    def info(self, name: str) -> Part:
        """Dtype, shape and size of a tensor."""

    def read_part(self, name: str, start: int, room: memoryview) -> memoryview:
        """As many bytes as ``room`` has, from byte ``start``: in ``room``, or wherever they lie."""


class Held:
    """A source of tensors that are in memory."""

    watched = False

    def __init__(self, tensors: Mapping[str, Tensor]):
        for name in tensors:
            name_bytes(name)
        self._tensors = tensors
        self.names = list(tensors)

    def check(self) -> None:
        """Nothing tells whether memory was written to."""

    def info(self, name: str) -> Tensor:
        """The tensor itself."""
        return self._tensors[name]

    def read_part(self, name: str, start: int, room: memoryview) -> memoryview:
        """Bytes of the tensor, in place."""
        data = memoryview(self._tensors[name].data).cast("B")
        return data[start : start + len(room)]
