"""Putting a sheet in force, beside others that do the same."""

from tidegate.domain.errors import IntegrityError, StorageError
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.packs import pack_key
from tidegate.params.packed.references import (
    GONE,
    Reference,
    newest,
    read_reference,
    reference_key,
    references,
)
from tidegate.params.packed.sheet import Sheet, to_bytes
from tidegate.store.objects import Objects

#: A sheet younger than this is left as it is when the same version is committed again.
_FRESH_SECONDS = 60.0


def publish(objects: Objects, sheet: Sheet, lease: Lease) -> bool:
    """Put the sheet in force; False where one of the same version is already, and was kept.

    A store at a distance may write the sheet, lose its answer and refuse the second try: then the
    one in force is this one, or was made from it.
    """
    version = sheet.manifest.id
    while True:
        there = newest(objects, version)
        standing = _standing(objects, there) if there and not there.gone else None
        if standing and _ours(standing, lease):
            return True
        if there and standing and lease.written_at() - there.modified < _FRESH_SECONDS:
            return False
        # What stands is written again, so that nobody takes it for abandoned meanwhile.
        number = there.number + 1 if there else 0
        if objects.put(reference_key(version, number), to_bytes(standing or sheet)):
            break
    if not lease.held():
        _check_packs(objects, standing or sheet, number)
    return standing is None


def _ours(sheet: Sheet, lease: Lease) -> bool:
    """Whether a sheet needs packs of this writer's."""
    return any(pack.startswith(f"{lease.writer}/") for pack in sheet.packs)


def surely_not_in_force(objects: Objects, sheet: Sheet, lease: Lease) -> bool:
    """Whether a sheet whose publication failed needs its packs no more.

    A store at a distance may have put it in force, or do so later, and fail to tell: packs that
    no sheet names are for ``gc`` there.
    """
    return not objects.remote and not any(
        _ours(read_reference(objects, there), lease)
        for there in references(objects, sheet.manifest.id)
        if not there.gone
    )


def _standing(objects: Objects, there: Reference) -> Sheet | None:
    """The sheet in force, where it is whole and all its packs are there."""
    try:
        sheet = read_reference(objects, there)
    except IntegrityError:
        return None
    return sheet if all(objects.exists(pack_key(pack)) for pack in sheet.packs) else None


def _check_packs(objects: Objects, sheet: Sheet, number: int) -> None:
    """After the lease was taken for abandoned: withdraw the sheet where it names what is gone."""
    if all(objects.exists(pack_key(pack)) for pack in sheet.packs):
        return
    objects.put(reference_key(sheet.manifest.id, number + 1), GONE)
    raise StorageError(
        "the commit took so long that 'tidegate params gc' took its packs for abandoned",
        do="run the command again; keep the store's and this machine's connection alive meanwhile",
    )
