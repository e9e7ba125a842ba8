"""References: the numbered sheets of a version, of which the newest counts.

Sheet ``n`` of a version lies under its id and that number and is never changed. Who wants to
put a newer one in force, or to take the version away, creates number ``n + 1``; the store lets
only one succeed, and the other reads again.
"""

import re
from typing import NamedTuple

from tidegate.domain.errors import IntegrityError
from tidegate.params.packed.sheet import Sheet, from_bytes
from tidegate.store.objects import Entry, Objects

VERSIONS = "params/versions/"
#: What stands in place of a sheet where a version was taken away.
GONE = b"gone\n"
#: An id and a number, at least eight digits; no number has two names.
_NAME = re.compile("([0-9a-f]{64})/([0-9]{8}|[1-9][0-9]{8,17})")


class Reference(NamedTuple):
    """One reference: of which version, its number, and when it was written."""

    version: str
    number: int
    gone: bool
    modified: float

    @property
    def key(self) -> str:
        """The key of its object."""
        return reference_key(self.version, self.number)


def reference_key(version: str, number: int) -> str:
    """The key of a version's ``number``-th sheet."""
    return f"{VERSIONS}{version}/{number:08d}"


def references(objects: Objects, version: str | None = None) -> list[Reference]:
    """All references, oldest first; of one version, or of every one."""
    prefix = VERSIONS if version is None else f"{VERSIONS}{version}/"
    told = (_reference(entry) for entry in objects.entries(prefix))
    return sorted(reference for reference in told if reference is not None)


def newest(objects: Objects, version: str) -> Reference | None:
    """The reference that counts; None where there is none."""
    return max(references(objects, version), default=None)


def read_sheet(objects: Objects, version: str) -> Sheet:
    """The version's sheet, its id derived anew; raises IntegrityError on any difference."""
    reference = newest(objects, version)
    if reference is None or reference.gone:
        raise IntegrityError(
            "parameters {params} are missing: there is no object in '{folder}'",
            do="bring the folder back from a backup, or commit the same parameters again",
            params=version,
            folder=f"{VERSIONS}{version}",
        )
    return read_reference(objects, reference)


def read_reference(objects: Objects, reference: Reference) -> Sheet:
    """The sheet that a reference names; raises IntegrityError where it was changed."""
    sheet = from_bytes(objects.get(reference.key))
    if sheet is None or sheet.manifest.id != reference.version:
        raise IntegrityError(
            "the sheet of parameters {params} is damaged: object '{key}' was changed",
            do="bring the object back from a backup, then run 'tidegate params fsck'",
            params=reference.version,
            key=reference.key,
        )
    return sheet


def _reference(entry: Entry) -> Reference | None:
    """The reference that an object is; None for what only lies beside them."""
    found = _NAME.fullmatch(entry.key.removeprefix(VERSIONS))
    if found is None:
        return None
    return Reference(found[1], int(found[2]), entry.size == len(GONE), entry.modified)
