"""The documents that the record keeps: how each is called, and by what name it is found."""

from typing import NamedTuple

from tidegate.domain.messages import Frozen
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import Person
from tidegate.domain.rollout import Deployment
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.update import Update
from tidegate.domain.version import Version


class Kind(NamedTuple):
    """``id_field`` names a document; ``of_model`` says whether it belongs to one."""

    name: str
    id_field: str
    of_model: bool = True


KINDS: dict[type[Frozen], Kind] = {
    ModelSpec: Kind("model", "model"),
    Snapshot: Kind("snapshot", "id"),
    Version: Kind("version", "name"),
    Update: Kind("update", "id"),
    Deployment: Kind("deployment", "model"),
    Person: Kind("person", "name", of_model=False),
}


def named(document: Frozen) -> tuple[Kind, str, str | None]:
    """A document's kind, its id, and the model it belongs to."""
    kind = KINDS[type(document)]
    return kind, getattr(document, kind.id_field), getattr(document, "model", None)
