"""A stored tensor: its raw bytes under its id, verified on every read."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.domain.errors import IntegrityError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import TensorInfo
from tidegate.params.identity import tensor_hasher
from tidegate.store.objects import Objects

TENSORS = "params/tensors/"

#: Bytes read at a time. A multiple of every element's size, so that chunks hold whole elements.
CHUNK_BYTES = 8 << 20


def tensor_key(id_: str) -> str:
    """The key of the tensor with this id."""
    return TENSORS + id_


def read_tensor(objects: Objects, info: TensorInfo) -> Tensor:
    """The tensor, verified; raises IntegrityError naming it where bytes are missing or differ."""
    with _naming(info):
        data = objects.get(tensor_key(info.id))
    found = tensor_hasher(info.dtype, info.shape).update(data).hexdigest()
    if len(data) != info.size_bytes or found != info.id:
        raise _damaged(info)
    return Tensor(info.dtype, tuple(info.shape), data)


def stream_tensor(objects: Objects, info: TensorInfo) -> Iterator[bytes]:
    """The tensor's bytes in chunks of ``CHUNK_BYTES``, in memory of one chunk.

    The hash is known only after the last chunk: then IntegrityError is raised where it differs,
    so a caller keeps nothing of what it received before the iterator has ended.
    """
    key = tensor_key(info.id)
    with _naming(info):
        stored = objects.size(key)
    if stored != info.size_bytes:
        raise _damaged(info)
    hasher = tensor_hasher(info.dtype, info.shape)
    for start in range(0, stored, CHUNK_BYTES):
        with _naming(info):
            chunk = objects.get_range(key, start, min(CHUNK_BYTES, stored - start))
        hasher.update(chunk)
        yield chunk
    if hasher.hexdigest() != info.id:
        raise _damaged(info)


@contextmanager
def _naming(info: TensorInfo) -> Iterator[None]:
    """A missing object is told as the tensor it was."""
    try:
        yield
    except IntegrityError as missing:
        raise IntegrityError(
            "tensor '{tensor}' is missing: there is no object '{key}'",
            do="bring the object back from a backup, or commit the same parameters again",
            tensor=info.name,
            key=tensor_key(info.id),
        ) from missing


def _damaged(info: TensorInfo) -> IntegrityError:
    return IntegrityError(
        "tensor '{tensor}' is damaged: object '{key}' does not hold the bytes that were committed",
        do="bring the object back from a backup, then run 'tidegate params fsck'",
        tensor=info.name,
        key=tensor_key(info.id),
    )
