"""What came true, held against the answer it is about: taken in the answer's type, or refused."""

import json
import math
from typing import Any

import sqlalchemy as sa

from tidegate.domain.errors import Conflict, DataError, NotFound, TidegateError
from tidegate.monitoring.text import as_json


def fitted(
    request_id: str, label: Any, row: sa.Row[Any] | None, model: str | None, *, whole: bool
) -> str | TidegateError:
    """``label`` as JSON in the type of the answer in ``row``, or why it cannot be kept.

    ``model``: whose answer it must be. ``whole``: classes are whole numbers, though floats.
    """
    if row is None:
        return NotFound(
            "there is no answer '{request}' in the log",
            do="give the request_id that came with the answer",
            request=request_id,
        )
    if model is not None and row.model != model:
        return NotFound(
            "answer '{request}' was given by model '{other}', not by '{model}'",
            do="tell what came true to the model that answered; nothing was changed",
            request=request_id,
            other=row.model,
            model=model,
        )
    prediction = json.loads(row.prediction)
    value = _alike(label, prediction, whole=whole)
    if value is None:
        return DataError(
            "the label {label} of answer '{request}' is not of the kind of the answer {prediction}",
            do="give what came true as the model would have answered it",
            label=repr(label)[:200],
            request=request_id,
            prediction=repr(prediction)[:200],
        )
    told = as_json(value)
    if row.label is not None and row.label != told:
        return Conflict(
            "answer '{request}' was labelled {label} already",
            do="a label stands; nothing was changed",
            request=request_id,
            label=row.label,
        )
    return told


def _alike(label: Any, prediction: Any, *, whole: bool) -> Any:
    """``label`` in the type of ``prediction``, so that equal things compare equal; else None."""
    if isinstance(label, float) and not math.isfinite(label):
        return None
    try:
        if isinstance(prediction, bool):
            return {"true": True, "1": True, "false": False, "0": False}[str(label).lower()]
        if isinstance(prediction, str):
            return str(label) if isinstance(label, (str, int, float)) else None
        if isinstance(label, bool):
            return None
        if isinstance(prediction, int):
            return int(label) if isinstance(label, str) else _whole(label)
        # A number, or null: a number that JSON cannot say, so any is better.
        number = float(label)
        if not math.isfinite(number):
            return None
        return float(_whole(number)) if whole else number
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _whole(number: Any) -> int:
    if int(number) != number:
        raise ValueError
    return int(number)
