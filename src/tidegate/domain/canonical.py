"""One byte string for one value: canonical JSON and its digest."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical_json(value: Any) -> bytes:
    """``value`` as UTF-8 JSON with sorted keys, no blanks and shortest round-trip floats.

    Equal values give equal bytes. NaN and infinity have no JSON form and raise ``ValueError``.

    >>> canonical_json({"b": 1.50, "a": "水"}).decode()
    '{"a":"水","b":1.5}'
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
