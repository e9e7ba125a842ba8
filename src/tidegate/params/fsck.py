"""Finding every damaged or missing byte, and freeing what nothing refers to."""

import time
from collections.abc import Callable, Iterable

from tidegate.domain.errors import IntegrityError, StorageError
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.version import Manifest, TensorInfo
from tidegate.params.commit import MANIFESTS, load_manifest, manifest_key
from tidegate.params.progress import Meter, Progress, metered
from tidegate.params.tensors import TENSORS, stream_tensor, tensor_key
from tidegate.store.objects import Objects


class Damage(Frozen):
    """One damaged or missing tensor and every version it hurts.

    ``tensor`` is None where the manifest itself is hurt, and all of its tensors with it; ``key``
    is the object, ``what`` says what is wrong with it.
    """

    key: str
    tensor: str | None
    versions: list[str]
    what: Message


class Freed(Frozen):
    """What ``gc`` removed."""

    manifests: int = 0
    tensors: int = 0
    size_bytes: int = 0


def fsck(
    objects: Objects, manifests: Iterable[tuple[str, str]], progress: Progress | None = None
) -> list[Damage]:
    """Every damage among the versions given as (version's name, id of its parameters).

    Every object they refer to is read once, and hashed anew; memory is one chunk. A tensor that
    a version holds under two names is told under both. An object that the store cannot read is a
    damage too. Empty where all is whole.
    """
    versions: dict[str, list[str]] = {}
    for version, params in manifests:
        versions.setdefault(params, []).append(version)
    damages: list[Damage] = []
    uses: dict[tuple[str, str, tuple[int, ...]], dict[str, list[str]]] = {}
    infos: dict[tuple[str, str, tuple[int, ...]], TensorInfo] = {}
    for params, names in versions.items():
        manifest, problem = _manifest(objects, params)
        if manifest is None:
            damages.append(_damage(manifest_key(params), None, names, problem))
            continue
        for info in manifest.tensors:
            # A manifest that lies about dtype or shape is found because these are hashed too.
            content = (info.id, info.dtype, tuple(info.shape))
            infos.setdefault(content, info)
            uses.setdefault(content, {}).setdefault(info.name, []).extend(names)
    meter = Meter(progress, sum(info.size_bytes for info in infos.values()))
    for content, info in infos.items():
        problem = _tensor_problem(objects, info, meter)
        if problem is not None:
            key = tensor_key(info.id)
            damages += [_damage(key, name, hurt, problem) for name, hurt in uses[content].items()]
    return damages
