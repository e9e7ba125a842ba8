"""What a tensor and a version are called: ids from content alone, however bytes are stored.

An id never depends on an encoding, an order of insertion or a place. Both forms below are
frozen: golden vectors in the tests fail on any change.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from blake3 import blake3

from tidegate.domain.canonical import canonical_json
from tidegate.domain.errors import ParamsError
from tidegate.domain.merkle import leaf_hash, leaf_hashes, root_of_all
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure, TensorInfo

TENSOR_TAG = b"tidegate/tensor/1\n"
STRUCTURE_TAG = b"tidegate/version/1/structure\n"
MEMBER_TAG = b"tidegate/version/1/tensor\n"


def tensor_hasher(dtype: str, shape: Sequence[int]) -> blake3:
    """A BLAKE3 hasher that has read everything but the tensor's bytes.

    The id of a tensor is the BLAKE3 of three lines and the raw row-major little-endian bytes:
    the tag, the dtype, the shape as decimals joined by commas (empty for 0-d). Neither dtype nor
    shape can hold a line end, so no two tensors frame to the same input.
    """
    return blake3(_header(dtype, tuple(shape)))


@lru_cache(maxsize=1024)
def _header(dtype: str, shape: tuple[int, ...]) -> bytes:
    return TENSOR_TAG + f"{dtype}\n{','.join(str(int(size)) for size in shape)}\n".encode()


def tensor_id(tensor: Tensor) -> str:
    """The tensor's id: 64 hex digits over dtype, shape and every bit.

    >>> tensor_id(Tensor("U8", (2,), b"ab"))[:16]
    'b52a34e975ae199f'
    """
    data = memoryview(tensor.data).cast("B")  # a view may call its bytes by another format
    return tensor_hasher(tensor.dtype, tensor.shape).update(data).hexdigest()


def bytes_id(dtype: str, shape: Sequence[int], data: bytes | memoryview) -> str:
    """The id of a tensor of these bytes; for a small one faster than a hasher."""
    return blake3(b"".join((_header(dtype, tuple(shape)), data))).hexdigest()


def name_bytes(name: str) -> bytes:
    """A tensor's name as UTF-8; raises ParamsError where it has none (a lone surrogate)."""
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise ParamsError(
            "tensor name {name} is not valid Unicode",
            do="rename the tensor",
            name=ascii(name),
        ) from None


def structure_json(structure: Structure) -> dict[str, Any]:
    """The structure as plain JSON values, without what still has its default.

    Leaving defaults out lets ``Structure`` grow a field without changing the id of any version
    that does not use it. Raises ParamsError for a value that JSON cannot hold exactly.
    """
    # mode="json" would turn NaN into null, so that two structures shared one id.
    plain = structure.model_dump(exclude_defaults=True)
    try:
        canonical_json(plain)
    except (ValueError, TypeError) as problem:
        raise ParamsError(
            "the structure holds a value that JSON cannot keep exactly ({problem})",
            do="keep numbers finite and arrays among the tensors",
            problem=str(problem),
        ) from problem
    return plain


def version_id(structure: Structure, tensors: Iterable[TensorInfo]) -> str:
    """The version's id: an RFC 6962 Merkle root, as 64 hex digits.

    The first leaf is the structure's canonical JSON; then one leaf for each tensor, its id and
    its name, in the order of the names' UTF-8 bytes. Each kind of leaf has its tag, and an id
    has a fixed length, so no leaf can pose as another. Raises ParamsError for a name given twice.
    """
    return root_of_all(version_leaves(structure, tensors)).hex()


def version_leaves(structure: Structure, tensors: Iterable[TensorInfo]) -> list[bytes]:
    """The leaf hashes of a version's tree: its structure, then its tensors by their names."""
    told = list(tensors)
    ids = {name_bytes(tensor.name): tensor.id for tensor in told}
    if len(ids) != len(told):
        twice = Counter(tensor.name for tensor in told).most_common(1)[0][0]
        raise ParamsError(
            "two tensors are both named '{name}'",
            do="give every tensor its own name",
            name=twice,
        )
    leaves = [STRUCTURE_TAG + canonical_json(structure_json(structure))]
    leaves += [_member(name, ids[name]) for name in sorted(ids)]
    return leaf_hashes(leaves)


def tensor_leaf(name: bytes, id_: str) -> bytes:
    """The leaf hash of one tensor."""
    return leaf_hash(_member(name, id_))


def _member(name: bytes, id_: str) -> bytes:
    return b"%b%b\n%b" % (MEMBER_TAG, id_.encode(), name)
