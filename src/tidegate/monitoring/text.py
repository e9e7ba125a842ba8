"""Values as the JSON text that the logs keep."""

import json
import math
from typing import Any

import orjson

#: Dates as text; numbers of an array as numbers.
_JSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_SERIALIZE_NUMPY


def as_json(value: Any) -> str:
    """``value`` as JSON; dates as text, and NaN and infinity, which JSON does not know, as null."""
    try:
        return orjson.dumps(value, default=str, option=_JSON).decode()
    except TypeError:  # whole numbers beyond 64 bits, and halves of characters
        return json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
