"""What the history is made of."""

from typing import Any

from tidegate.domain.messages import Frozen


class Event(Frozen):
    """Something that happened: who did what to which document, and what that left.

    ``seq`` counts from 1 without gaps. ``subject`` is the document's kind and id, ``digest`` the
    SHA-256 of the document as this event left it, ``evidence`` the digests filed with it.
    """

    seq: int
    at: str
    actor: str
    kind: str
    model: str | None
    subject: tuple[str, str]
    digest: str
    evidence: list[str] = []
    note: dict[str, Any] = {}


def subject_key(kind: str, id_: str) -> str:
    """A document's kind and id as one word.

    >>> subject_key("version", "credit@4")
    'version/credit@4'
    """
    return f"{kind}/{id_}"
