"""What came true, held against the answer it is about: taken in the answer's type, or refused."""

import json
import math
import time
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from tidegate.domain.answer import given_at
from tidegate.domain.errors import Busy, Conflict, DataError, NotFound, TidegateError
from tidegate.monitoring.text import as_json

#: How long after it was given an answer may wait to be written: a twentieth of a second, and longer
#: where a database refused, or another gateway's clock is behind.
SOON_SECONDS = 10.0
#: How far another gateway's clock may be ahead.
SKEW_SECONDS = 5.0
#: Characters of a number.
_LONGEST = 40


def fitted(
    request_id: str,
    label: Any,
    row: sa.Row[Any] | None,
    model: str | None,
    *,
    whole: Collection[int],
) -> str | TidegateError:
    """``label`` as JSON in the type of the answer in ``row``, or why it cannot be kept.

    ``model``: whose answer it must be. ``whole``: versions whose classes are whole numbers, though
    floats.
    """
    if row is None:
        return _unknown(request_id)
    if model is not None and row.model != model:
        return NotFound(
            "answer '{request}' was given by model '{other}', not by '{model}'",
            do="tell what came true to the model that answered; nothing was changed",
            request=request_id,
            other=row.model,
            model=model,
        )
    prediction = json.loads(row.prediction)
    value = _alike(label, prediction, whole=row.version in whole)
    if value is None:
        return DataError(
            "the label {label} of answer '{request}' is not of the kind of the answer {prediction}",
            do="give what came true as the model would have answered it",
            label="{…}" if isinstance(label, (list, dict)) else repr(label)[:200],
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


def _unknown(request_id: str) -> TidegateError:
    """Busy where the answer may wait to be written still, elsewhere than here."""
    given = given_at(request_id)
    if given is not None and -SKEW_SECONDS < time.time() - given < SOON_SECONDS:
        return Busy(
            "answer '{request}' is not in the log yet",
            do="send its label again in a few seconds: the gateway that gave the answer may not "
            "have written it",
            request=request_id,
        )
    return NotFound(
        "there is no answer '{request}' in the log",
        do="give the request_id that came with the answer",
        request=request_id,
    )


def _alike(label: Any, prediction: Any, *, whole: bool) -> Any:
    """``label`` in the type of ``prediction``, so that equal things compare equal; else None."""
    if isinstance(label, (list, dict)) or (isinstance(label, float) and not math.isfinite(label)):
        return None
    if isinstance(prediction, str):
        return _text(label, prediction)
    if isinstance(label, str) and (len(label) > _LONGEST or "_" in label or not label.isascii()):
        return None  # what Python takes for a number, and nobody else
    try:
        if isinstance(prediction, bool):
            return {"true": True, "1": True, "false": False, "0": False}[str(label).lower()]
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


def _text(label: Any, prediction: str) -> str | None:
    """A label as a text: true is "true", or "True" where classes are written so, and a number is
    the answer's text where that is the same number."""
    if isinstance(label, bool):
        told = str(label)
        return told if prediction in ("True", "False") else told.lower()
    if isinstance(label, (int, float)):
        try:
            return prediction if float(prediction) == label else str(label)
        except ValueError:
            return str(label)
    return label if isinstance(label, str) else None


def _whole(number: Any) -> int:
    if int(number) != number:
        raise ValueError
    return int(number)
