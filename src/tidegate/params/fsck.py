"""Finding every damaged or missing byte, and freeing what nothing refers to."""

import time
from collections.abc import Callable, Iterable

from tidegate.domain.errors import IntegrityError, StorageError, TidegateError
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.version import TensorInfo
from tidegate.params.commit import MANIFESTS, load_manifest, manifest_key
from tidegate.params.progress import Meter, Progress, metered
from tidegate.params.tensors import TENSORS, stream_tensor, tensor_key
from tidegate.store.objects import Objects


class Damage(Frozen):
    """One damaged or missing tensor and every version it hurts.

    ``tensor`` is None where the manifest itself is hurt, and all of its tensors with it; ``key``
    is the object, ``message`` says what is wrong with it.
    """

    key: str
    tensor: str | None
    versions: list[str]
    message: Message


class Freed(Frozen):
    """What ``gc`` removed."""

    manifests: int = 0
    tensors: int = 0
    size_bytes: int = 0


#: A tensor's content: id, dtype, shape. A manifest that lies about the last two is found too.
_Content = tuple[str, str, tuple[int, ...]]


def fsck(
    objects: Objects, manifests: Iterable[tuple[str, str]], progress: Progress | None = None
) -> list[Damage]:
    """Every damage among the versions given as (version's name, id of its parameters).

    Every object they refer to is read once and hashed anew, in memory of one chunk. A tensor
    that a version holds under two names is told under both. An object that the store cannot read
    is a damage too. Empty where all is whole.
    """
    versions: dict[str, list[str]] = {}
    for version, params in manifests:
        versions.setdefault(params, []).append(version)
    damages: list[Damage] = []
    infos: dict[_Content, TensorInfo] = {}
    users: dict[_Content, dict[str, list[str]]] = {}
    for params, names in versions.items():
        try:
            manifest = load_manifest(objects, params)
        except (IntegrityError, StorageError) as error:
            damages.append(_damage(manifest_key(params), None, names, error))
            continue
        for info in manifest.tensors:
            content = (info.id, info.dtype, tuple(info.shape))
            infos.setdefault(content, info)
            users.setdefault(content, {}).setdefault(info.name, []).extend(names)
    meter = Meter(progress, sum(info.size_bytes for info in infos.values()))
    for content, info in infos.items():
        problem = _problem(objects, info, meter)
        if problem is not None:
            key = tensor_key(info.id)
            damages += [_damage(key, name, hurt, problem) for name, hurt in users[content].items()]
    return damages


def gc(
    objects: Objects,
    live_params_ids: set[str],
    grace_seconds: float,
    now: Callable[[], float] = time.time,
) -> Freed:
    """What was removed: manifests not among the live ones, then tensors that no manifest names.

    Objects younger than ``grace_seconds`` stay, and so do the tensors that a young manifest
    names, so that a commit in progress keeps what it wrote. A tensor that was garbage already and
    is taken up by a commit at this very moment is not protected: the caller sees to it that
    nobody commits meanwhile. Raises IntegrityError, and removes nothing, where a manifest that
    stays cannot be read, for then nobody knows which tensors it needs.
    """
    oldest_kept = now() - grace_seconds
    listed = list(objects.list(MANIFESTS))
    doomed = [
        (key, size)
        for key, size in listed
        if key.removeprefix(MANIFESTS) not in live_params_ids
        and objects.modified(key) < oldest_kept
    ]
    gone = {key.removeprefix(MANIFESTS) for key, _ in doomed}
    staying = {key.removeprefix(MANIFESTS) for key, _ in listed} - gone
    needed = {
        tensor_key(tensor.id)
        for params in sorted(staying | live_params_ids)
        for tensor in load_manifest(objects, params).tensors
    }
    loose = [
        (key, size)
        for key, size in objects.list(TENSORS)
        if key not in needed and objects.modified(key) < oldest_kept
    ]
    for key, _ in doomed + loose:  # manifests first: none ever names a tensor that is gone
        objects.delete(key)
    return Freed(
        manifests=len(doomed),
        tensors=len(loose),
        size_bytes=sum(size for _, size in doomed + loose),
    )


def _problem(objects: Objects, info: TensorInfo, meter: Meter) -> TidegateError | None:
    """What is wrong with a stored tensor, if anything is."""
    try:
        for _ in metered(stream_tensor(objects, info), meter):
            pass  # the hash is checked at the end
    except (IntegrityError, StorageError) as problem:
        return problem
    return None


def _damage(key: str, tensor: str | None, versions: list[str], problem: TidegateError) -> Damage:
    told = say(problem.what, **{**problem.values, "tensor": tensor})
    return Damage(key=key, tensor=tensor, versions=versions, message=told)
