"""Finding every damaged or missing byte, and whom it hurts."""

from collections.abc import Iterable
from typing import NamedTuple

from tidegate.domain.errors import IntegrityError, StorageError, TidegateError
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.version import TensorInfo
from tidegate.params.finite import NonfiniteCount
from tidegate.params.packed.blocks import element_width
from tidegate.params.packed.codec import bits_of
from tidegate.params.packed.packs import pack_key
from tidegate.params.packed.reader import Unit, check_empty, read_unit, units
from tidegate.params.packed.references import (
    newest,
    read_reference,
    read_sheet,
    reference_key,
    references,
)
from tidegate.params.packed.sheet import Frame
from tidegate.params.parallel import on_threads
from tidegate.params.progress import Meter, Progress
from tidegate.store.objects import Objects


class Damage(Frozen):
    """One damaged or missing tensor and every version it hurts.

    ``tensor`` is None where the sheet itself is hurt, and all of its tensors with it; ``key`` is
    the object, ``message`` says what is wrong with it. A damage that hurts no version is of an
    older sheet, which nobody reads any more.
    """

    key: str
    tensor: str | None
    versions: list[str]
    message: Message


class Hurt(Frozen):
    """One damaged or missing object, with every version that cannot be read because of it."""

    key: str
    tensors: int
    versions: list[str]
    message: Message


def by_object(damages: Iterable[Damage]) -> list[Hurt]:
    """The damages of each object together: what was changed is one object, whatever lies in it."""
    of: dict[str, list[Damage]] = {}
    for damage in damages:
        of.setdefault(damage.key, []).append(damage)
    return [_hurt(key, found) for key, found in of.items()]


def _hurt(key: str, damages: list[Damage]) -> Hurt:
    versions = dict.fromkeys(version for damage in damages for version in damage.versions)
    tensors = list(dict.fromkeys(damage.tensor for damage in damages if damage.tensor is not None))
    message = damages[0].message
    if len(tensors) > 1:
        names: list[object] = list(tensors[1 : 1 + _FEW])
        if len(tensors) > 1 + _FEW:
            names.append(say("and {count} more", count=len(tensors) - 1 - _FEW))
        message = say(
            "{first}; {count} more tensor(s) lie in the same object: {tensors}",
            first=message,
            count=len(tensors) - 1,
            tensors=names,
        )
    return Hurt(key=key, tensors=len(tensors), versions=list(versions), message=message)


#: Tensors of one object that are named; the rest are counted.
_FEW = 5

#: What decides whether a unit is whole: the content it should have, and the frames that give it.
_Content = tuple[
    tuple[tuple[str, str, str, tuple[int, ...], tuple[int, int]], ...],
    tuple[tuple[Frame, ...], ...],
]


class _Used(NamedTuple):
    """A unit, what a sheet says of its values that are not finite, and the versions it is of."""

    unit: Unit
    told: dict[str, tuple[int, int]]
    params: str
    versions: list[str]


def fsck(
    objects: Objects, manifests: Iterable[tuple[str, str]], progress: Progress | None = None
) -> list[Damage]:
    """Every damage among the versions given as (version's name, id of its parameters).

    What each version consists of is decoded and hashed anew, once where versions share it, in
    memory of some blocks. An object that the store cannot read is a damage too. Empty where all
    is whole.
    """
    versions: dict[str, list[str]] = {}
    for version, params in manifests:
        versions.setdefault(params, []).append(version)
    damages: list[Damage] = []
    users: dict[_Content, _Used] = {}
    for params, names in versions.items():
        try:
            sheet = read_sheet(objects, params)
            for info in sheet.manifest.tensors:
                if not info.size_bytes:
                    check_empty(info)
        except (IntegrityError, StorageError) as error:
            there = newest(objects, params)
            key = there.key if there else reference_key(params, 0)
            damages.append(_damage(key, None, names, error))
            continue
        damages += _older(objects, params)
        for unit in units(sheet):
            told = {i.name: sheet.nonfinite.get(i.name, (0, 0)) for i in unit.infos}
            used = users.setdefault(_content(unit, told), _Used(unit, told, params, []))
            used.versions.extend(names)
    meter = Meter(progress, sum(used.unit.size_bytes for used in users.values()))

    def check(used: _Used) -> list[Damage]:
        found = _damages(objects, used)
        meter.add(used.unit.size_bytes)
        return found

    for found in on_threads(check, users.values()):
        damages += found
    return damages


def _damages(objects: Objects, used: _Used) -> list[Damage]:
    """What is wrong with a unit: each of its tensors is told, since none can be read."""
    unit, hurt = used.unit, used.versions
    counts = {info.name: NonfiniteCount(info.dtype) for info in unit.infos}

    def count(info: TensorInfo, _start: int, part: memoryview) -> None:
        counts[info.name].add(bits_of(part, element_width(info.dtype)))

    try:
        read_unit(objects, unit, count)
    except (IntegrityError, StorageError) as problem:
        told = problem.values.get("key") or pack_key(unit.blocks[0].chain[-1].pack)
        return [_damage(str(told), info.name, hurt, problem) for info in unit.infos]
    return [
        _miscounted(objects, used, name, counted.count)
        for name, counted in counts.items()
        if (counted.count, counted.first) != used.told[name]
    ]


def _miscounted(objects: Objects, used: _Used, name: str, found: int) -> Damage:
    there = newest(objects, used.params)
    key = there.key if there else reference_key(used.params, 0)
    problem = IntegrityError(
        "tensor '{tensor}' holds {found:,} values that are NaN or infinite, and its sheet, object "
        "'{key}', does not say so",
        do="bring the object back from a backup, or import the parameters again with --repair",
        tensor=name,
        found=found,
        key=key,
    )
    return _damage(key, name, used.versions, problem)


def _older(objects: Objects, params: str) -> list[Damage]:
    """Sheets of this version that a newer one has replaced, and that were changed."""
    damages = []
    for reference in references(objects, params)[:-1]:
        try:
            if not reference.gone:
                read_reference(objects, reference)
        except (IntegrityError, StorageError) as problem:
            damages.append(_damage(reference.key, None, [], problem))
    return damages


def _content(unit: Unit, told: dict[str, tuple[int, int]]) -> _Content:
    tensors = tuple((i.name, i.id, i.dtype, tuple(i.shape), told[i.name]) for i in unit.infos)
    return tensors, tuple(block.chain for block in unit.blocks)


def _damage(key: str, tensor: str | None, versions: list[str], problem: TidegateError) -> Damage:
    values = problem.values if tensor is None else {**problem.values, "tensor": tensor}
    return Damage(key=key, tensor=tensor, versions=versions, message=say(problem.what, **values))
