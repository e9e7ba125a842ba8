"""Freeing what nothing refers to, while others read and write."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from tidegate.domain.errors import IntegrityError
from tidegate.domain.messages import Frozen
from tidegate.params.packed import leases
from tidegate.params.packed.leases import Held, Lease, live_leases
from tidegate.params.packed.packs import all_packs, pack_key
from tidegate.params.packed.references import (
    GONE,
    Reference,
    newest,
    read_reference,
    read_sheet,
    reference_key,
    references,
)
from tidegate.params.rows import DIFFS
from tidegate.store.objects import Entry, Objects


class Freed(Frozen):
    """What ``gc`` removed: versions, packs of bytes that none needs, and their bytes."""

    versions: int = 0
    packs: int = 0
    size_bytes: int = 0


def gc(objects: Objects, live_params_ids: set[str], grace_seconds: float) -> Freed:
    """What was removed: versions not among the live ones, then packs that no version names.

    Safe while others commit, read and collect. Who commits holds a lease on the versions it
    builds on, and its packs lie under the lease's name. So first the packs are listed, then the
    dead versions are marked as gone (from then on nobody builds on them), then the leases are
    read, then the sheets: whatever a commit wrote before is seen as its lease or as its sheet.
    What is younger than ``grace_seconds`` by the store's clock stays, so that a version that was
    just committed has the time to be recorded, and a reader to finish.

    Raises IntegrityError, and removes no pack, where a sheet that stays cannot be read, or needs a
    pack that is not there: then nobody knows which packs hold its bytes.
    """
    for version in sorted(live_params_ids):
        there = newest(objects, version)
        if there is None or there.gone:
            read_sheet(objects, version)  # says what is missing
    with Lease(objects) as lease:
        now = lease.written_at()
        before = now - grace_seconds
        packs = all_packs(objects)
        _mark_gone(objects, live_params_ids, before, live_leases(objects, now))
        held = live_leases(objects, now)
        needed, dead = _sorted_out(objects, before, held)
        _check_there(objects, needed, packs.keys())
        loose = [
            entry
            for pack, entry in packs.items()
            if pack not in needed
            and entry.modified <= before
            and pack.partition("/")[0] not in held.writers
        ]
        sizes = [_remove(objects, entry) for entry in loose]
        freed = {reference.version for reference in dead if reference.gone}
        for reference in dead:  # a version's mark is its newest reference, and goes last
            objects.delete(reference.key)
        _forget_diffs(objects, freed)
        objects.forget_uploads(min(before, now - leases.HOLDS_SECONDS))
    return Freed(versions=len(freed), packs=len(loose), size_bytes=sum(sizes))


def _mark_gone(objects: Objects, live: set[str], before: float, held: Held) -> None:
    """Take away every version that is not live, not in use, and older than the grace."""
    for version, there in _newest(references(objects)).items():
        idle = version not in live and version not in held.versions
        if idle and not there.gone and there.modified <= before:
            objects.put(reference_key(version, there.number + 1), GONE)


def _sorted_out(
    objects: Objects, before: float, held: Held
) -> tuple[dict[str, list[Reference]], list[Reference]]:
    """The packs that sheets need, with the sheets; and the references that may go, each version's
    oldest first."""
    found = references(objects)
    last = _newest(found)
    following = dict(pairwise(found))
    needed: dict[str, list[Reference]] = {}
    dead: list[Reference] = []
    for reference in found:
        counts = last[reference.version]
        replaced = reference is not counts and following[reference].modified <= before
        if reference.version not in held.versions and (counts.gone or replaced):
            dead.append(reference)
        elif not reference.gone:
            for pack in read_reference(objects, reference).packs:
                needed.setdefault(pack, []).append(reference)
    return needed, dead


def _check_there(
    objects: Objects, needed: Mapping[str, Sequence[Reference]], listed: Collection[str]
) -> None:
    """Raise IntegrityError where a pack is missing that a sheet in force needs.

    What was written after the listing is there; and what another collector takes meanwhile
    belongs to a version that it took away.
    """
    for pack in sorted(needed.keys() - listed):
        if objects.exists(pack_key(pack)):
            continue
        for reference in needed[pack]:
            if newest(objects, reference.version) == reference:
                raise IntegrityError(
                    "parameters {params} need object '{key}', which is missing; nothing was "
                    "removed, for what they need may lie elsewhere",
                    do="bring the object back from a backup, or import the same parameters again",
                    params=reference.version,
                    key=pack_key(pack),
                )


def _newest(found: list[Reference]) -> dict[str, Reference]:
    return {reference.version: reference for reference in found}  # the last of each stays


def _remove(objects: Objects, entry: Entry) -> int:
    objects.delete(entry.key)
    return entry.size


def _forget_diffs(objects: Objects, freed: set[str]) -> None:
    """Remove the kept diffs of versions that are gone."""
    if freed:
        for key, _ in list(objects.list(DIFFS)):
            if freed & set(key.removeprefix(DIFFS).split("/")):
                objects.delete(key)
