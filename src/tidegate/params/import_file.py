"""Parameters from a safetensors file: everything checked before anything is stored."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.domain.errors import ParamsError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Manifest, Structure, TensorInfo
from tidegate.params.commit import manifest_of, store
from tidegate.params.finite import count_nonfinite
from tidegate.params.identity import tensor_hasher, tensor_id
from tidegate.params.progress import Meter, Progress
from tidegate.params.safetensors_file import SafetensorsFile, open_safetensors
from tidegate.store.objects import Objects

ADAPTER = "tensors"
#: Where ``architecture`` keeps the file's own metadata, so that checkout can write it back.
FILE_METADATA = "metadata"


def import_file(
    objects: Objects,
    path: str | os.PathLike[str],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    libraries: Mapping[str, str] | None = None,
    allow_nonfinite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """The stored version of a file's tensors and metadata, for the adapter ``tensors``.

    Every bit of every tensor, and the file's ``__metadata__``, are part of the version. The file
    is read twice, to check and then to store, in memory of its largest tensor. Raises ParamsError
    for a header that lies, for NaN or infinity unless ``allow_nonfinite``, for a group that
    names a tensor the file does not have, and for a file that changes meanwhile; NotFound where
    there is no file.
    """
    with open_safetensors(path) as file:
        meter = Meter(progress, 2 * sum(file.info(name).size_bytes for name in file.names))
        infos = [_checked(file, name, allow_nonfinite, meter) for name in file.names]
        manifest = manifest_of(_structure(file, groups or {}, libraries or {}), infos)
        ids = {info.name: info.id for info in infos}
        checked = sum(info.size_bytes for info in infos)
        store(
            objects,
            manifest,
            lambda name: _unchanged(file, name, ids[name]),
            lambda done, _total: meter.reach(checked + done),
        )
    return manifest


def _structure(
    file: SafetensorsFile, groups: Mapping[str, Sequence[str]], libraries: Mapping[str, str]
) -> Structure:
    known = set(file.names)
    for group, members in groups.items():
        for tensor in members:
            if tensor not in known:
                raise ParamsError(
                    "group '{group}' names tensor '{tensor}', which file '{file}' does not have",
                    do="correct the model's groups, or the file",
                    group=group,
                    tensor=tensor,
                    file=file.file,
                )
    architecture: dict[str, Any] = {}
    if file.metadata is not None:
        architecture[FILE_METADATA] = file.metadata
    return Structure(
        adapter=ADAPTER,
        architecture=architecture,
        groups={group: list(members) for group, members in groups.items()},
        libraries=dict(libraries),
    )


def _checked(file: SafetensorsFile, name: str, allow_nonfinite: bool, meter: Meter) -> TensorInfo:
    entry = file.info(name)
    hasher = tensor_hasher(entry.dtype, entry.shape)

    def hashed() -> Iterator[bytes]:
        for chunk in file.chunks(name):
            hasher.update(chunk)
            meter.add(len(chunk))
            yield chunk

    count, first = count_nonfinite(entry.dtype, hashed())
    if count and not allow_nonfinite:
        raise ParamsError(
            "file '{file}': tensor '{tensor}' holds {count:,} values that are NaN or infinite, "
            "the first at flat position {first:,}",
            do="find what diverged in training, or allow values that are not finite",
            file=file.file,
            tensor=name,
            count=count,
            first=first,
        )
    return TensorInfo(
        name=name,
        id=hasher.hexdigest(),
        dtype=entry.dtype,
        shape=list(entry.shape),
        size_bytes=entry.size_bytes,
    )


def _unchanged(file: SafetensorsFile, name: str, id_: str) -> Tensor:
    tensor = file.read(name)
    if tensor_id(tensor) != id_:
        raise ParamsError(
            "file '{file}' was changed while it was read (tensor '{tensor}')",
            do="wait until nothing writes to it, then try again",
            file=file.file,
            tensor=name,
        )
    return tensor
