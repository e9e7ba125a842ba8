"""Committing a version and loading it again: tensors first, the manifest last."""

import json
import math
from collections.abc import Callable, Iterable, Mapping

from tidegate.domain.canonical import canonical_json
from tidegate.domain.errors import IntegrityError, ParamsError
from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.domain.version import Manifest, Structure, TensorInfo
from tidegate.params.identity import name_bytes, structure_json, tensor_id, version_id
from tidegate.params.names import pick
from tidegate.params.progress import Meter, Progress
from tidegate.params.tensors import read_tensor, tensor_key
from tidegate.store.objects import Objects

__all__ = [
    "commit", "describe", "load", "load_manifest", "manifest_key", "manifest_of", "read_tensor",
    "store",
]  # fmt: skip

MANIFESTS = "params/manifests/"
FORMAT = "tidegate/manifest/1"


def manifest_key(id_: str) -> str:
    """The key of the manifest of the version with this id."""
    return MANIFESTS + id_


def describe(name: str, tensor: Tensor) -> TensorInfo:
    """What a manifest says of a tensor; raises ParamsError for a name that is not Unicode."""
    name_bytes(name)
    return TensorInfo(
        name=name,
        id=tensor_id(tensor),
        dtype=tensor.dtype,
        shape=list(tensor.shape),
        size_bytes=len(tensor.data),
    )


def manifest_of(structure: Structure, tensors: Iterable[TensorInfo]) -> Manifest:
    """The manifest with its id, tensors in the order of their names' UTF-8 bytes."""
    infos = sorted(tensors, key=lambda info: name_bytes(info.name))
    # Through JSON and back, so that what is committed equals what will be loaded.
    plain = Structure.model_validate_json(canonical_json(structure_json(structure)))
    return Manifest(id=version_id(plain, infos), structure=plain, tensors=infos)


def commit(
    objects: Objects,
    structure: Structure,
    tensors: Mapping[str, Tensor],
    progress: Progress | None = None,
) -> Manifest:
    """The stored version of these tensors in this structure; the same content, the same id.

    Writes each tensor that is not stored yet, then the manifest: a version exists when its
    manifest does, so a commit that is killed leaves nothing visible and can simply be repeated.
    """
    manifest = manifest_of(structure, [describe(name, tensors[name]) for name in tensors])
    store(objects, manifest, tensors.__getitem__, progress)
    return manifest


def store(
    objects: Objects,
    manifest: Manifest,
    read: Callable[[str], Tensor],
    progress: Progress | None = None,
) -> None:
    """Write what is not stored yet of a version, its manifest last; ``read`` gives a tensor."""
    meter = Meter(progress, manifest.size_bytes)
    for info in manifest.tensors:
        key = tensor_key(info.id)
        if not objects.exists(key):
            objects.put(key, bytes(read(info.name).data))
        meter.add(info.size_bytes)
    written = objects.put(manifest_key(manifest.id), _manifest_bytes(manifest))
    if not written:
        load_manifest(objects, manifest.id)  # what stood there must be whole


def load_manifest(objects: Objects, id_: str) -> Manifest:
    """The manifest of a version, its id derived anew; raises IntegrityError on any difference."""
    key = manifest_key(id_)
    try:
        raw = objects.get(key)
    except IntegrityError as missing:
        raise IntegrityError(
            "the manifest of parameters {params} is missing: there is no object '{key}'",
            do="bring the object back from a backup, or commit the same parameters again",
            params=id_,
            key=key,
        ) from missing
    manifest = _parsed(raw)
    if manifest is None or manifest.id != id_ or _manifest_bytes(manifest) != raw:
        raise IntegrityError(
            "the manifest of parameters {params} is damaged: object '{key}' was changed",
            do="bring the object back from a backup, then run 'tidegate params fsck'",
            params=id_,
            key=key,
        )
    return manifest


def load(
    objects: Objects, manifest: Manifest, names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """The version's tensors by name, verified; ``names`` picks some, NotFound if one is none."""
    return {info.name: read_tensor(objects, info) for info in pick(manifest, names)}


def _manifest_bytes(manifest: Manifest) -> bytes:
    """Canonical JSON; defaults are left out as in the id, so that a new field changes nothing."""
    return canonical_json({"format": FORMAT, **manifest.model_dump(exclude_defaults=True)})


def _parsed(raw: bytes) -> Manifest | None:
    """The manifest that ``raw`` tells, with the id it truly has; None where it tells none."""
    try:
        content = json.loads(raw)
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            return None
        told = Manifest.model_validate(content)
        true = manifest_of(told.structure, told.tensors)
    except (ValueError, RecursionError, ParamsError):
        return None
    return true if all(_sized(info) for info in true.tensors) else None


def _sized(info: TensorInfo) -> bool:
    return info.size_bytes == math.prod(info.shape) * DTYPE_BYTES.get(info.dtype, -1)
