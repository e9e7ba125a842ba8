"""An immutable set of rows, named by its content."""

from tidegate.domain.messages import Frozen
from tidegate.domain.schema import Column


class Snapshot(Frozen):
    """Rows as they came. ``id`` is ``s-`` and the first 24 hex digits of ``digest``.

    ``digest`` is BLAKE3 over the schema and the rows (logical, so the same rows from CSV or
    Parquet are one snapshot); ``object_digest`` is BLAKE3 over the stored Parquet bytes.
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
    added_at: str
    added_by: str
