"""Putting a sheet in force, beside others that do the same."""

from typing import NoReturn

from tidegate.domain.errors import IntegrityError, StorageError
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.packs import Listed
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


def publish(objects: Objects, sheet: Sheet, lease: Lease, *, anew: bool = False) -> bool:
    """Put the sheet in force; False where one of the same version is already, and was kept.

    With ``anew`` only this one will do. A store at a distance may write the sheet, lose its answer
    and refuse the second try: then the one in force is this one, or was made from it.

    Raises StorageError where the lease was taken for abandoned before the sheet was in force: a
    collector may have looked for sheets meanwhile, and not seen this one.
    """
    version = sheet.manifest.id
    while True:
        there = newest(objects, version)
        standing = _standing(objects, there) if there and not there.gone else None
        arrived = standing is not None and _ours(standing, lease)
        if anew or arrived:
            standing = None
        if arrived:
            break
        if there and standing and lease.written_at() - there.modified < _FRESH_SECONDS:
            return False
        # What stands is written again, so that nobody takes it for abandoned meanwhile.
        number = there.number + 1 if there else 0
        if objects.put(reference_key(version, number), to_bytes(standing or sheet)):
            break
    # Whoever collects takes abandoned leases away before reading the sheets: a lease that is still
    # there tells that the sheet was seen, or will be.
    if standing is None and not lease.held():
        _withdraw(objects, sheet, lease)
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
    """The sheet in force, where it is whole and all its packs are there, none of them cut."""
    try:
        sheet = read_reference(objects, there)
    except IntegrityError:
        return None
    return sheet if Listed(objects).holds(sheet) else None


def _withdraw(objects: Objects, sheet: Sheet, lease: Lease) -> NoReturn:
    """Take the writer's sheet, and what others made of it, out of force."""
    version = sheet.manifest.id
    while (there := newest(objects, version)) and not there.gone:
        found = read_reference(objects, there)
        if found != sheet and not _ours(found, lease):
            break
        objects.put(reference_key(version, there.number + 1), GONE)
    raise StorageError(
        "the commit took so long that 'tidegate params gc' took its packs for abandoned",
        do="run the command again; keep the store's and this machine's connection alive meanwhile",
    )
