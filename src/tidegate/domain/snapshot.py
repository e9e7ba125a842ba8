"""An immutable set of rows, named by its content."""

import hashlib
from typing import Literal

from tidegate.domain.messages import Frozen
from tidegate.domain.schema import Column

#: How closely the rows must be kept: for everyone, for the house, for few, or by law.
Sensitivity = Literal["public", "internal", "confidential", "personal"]


def snapshot_id(model: str, digest: str) -> str:
    """The name of these rows among a model's snapshots: the same rows, the same name.

    >>> snapshot_id("credit", "ab" * 32)
    's-4142b1516768b628c57bc21f'
    """
    return "s-" + hashlib.sha256(f"{model}\n{digest}".encode()).hexdigest()[:24]


class Snapshot(Frozen):
    """Rows as they came. ``id`` is ``snapshot_id`` of model and ``digest``.

    ``digest`` is BLAKE3 over the schema and the rows (logical, so the same rows from CSV or
    Parquet are one snapshot), in the way that ``format`` names; ``object_digest`` is BLAKE3 over
    the stored Parquet bytes, and ``profile`` over the stored profile of the rows. ``columns``
    stand in the order of the rows. ``parents`` are the snapshots that this one was derived from or
    follows. What was said of licence, sensitivity and parents when the rows first came stands.
    """

    id: str
    model: str
    digest: str
    object_digest: str
    rows: int
    labelled_rows: int
    size_bytes: int
    columns: list[Column]
    sources: list[str]
    time_from: str | None = None
    time_to: str | None = None
    profile: str | None = None
    added_at: str
    added_by: str
    format: str = "tidegate/rows/1"
    licence: str | None = None
    sensitivity: Sensitivity | None = None
    parents: list[str] = []
