"""Answers: the Open Inference Protocol v2 in JSON, rows by column name, and what came true."""

import math
from typing import Any

import polars as pl
from fastapi import APIRouter, Request, Response
from pydantic import Field

from tidegate import __version__
from tidegate.apps.api.records import hub_of
from tidegate.domain.answer import Answer
from tidegate.domain.errors import Conflict, DataError
from tidegate.domain.messages import Frozen

router = APIRouter()

_TYPES: dict[str, type[pl.DataType]] = {
    "BOOL": pl.Boolean,
    "BYTES": pl.String,
    **dict.fromkeys(["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"], pl.Int64),
    **dict.fromkeys(["FP16", "FP32", "FP64"], pl.Float64),
}


class Tensor(Frozen):
    """One column of the request; null is a missing value.

    ``shape`` is [rows], or [rows, 1]; or [rows, width] where each row holds a vector, whose
    numbers come flat or as a list a row.
    """

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class Asked(Frozen):
    """An inference request; ``parameters.keys``, one a row, keep a user with one version."""

    id: str | None = None
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}


class Rows(Frozen):
    """Rows by column name; ``keys``, one a row, keep a user with one version."""

    rows: list[dict[str, Any]] = Field(min_length=1)
    keys: list[str] | None = None


class Labels(Frozen):
    """What came true, by request id."""

    labels: dict[str, Any] = Field(min_length=1)


@router.get("/v2")
def server() -> dict[str, Any]:
    """Who answers here."""
    return {"name": "tidegate", "version": __version__, "extensions": []}


@router.get("/v2/health/live")
@router.get("/v2/health/ready")
def healthy() -> dict[str, Any]:
    """The server runs, and has its workspace open."""
    return {"live": True, "ready": True}


@router.get("/v2/models/{name}")
def metadata(request: Request, name: str) -> dict[str, Any]:
    """A model's inputs and outputs, and the version in production."""
    signature = hub_of(request).serving.signature(name)
    return {
        "name": name,
        "versions": [str(signature.version)],
        "platform": signature.adapter,
        "inputs": [
            {
                "name": column.name,
                "datatype": "FP64" if column.numeric or column.width else "BYTES",
                "shape": [-1, column.width] if column.width else [-1],
            }
            for column in signature.inputs
        ],
        "outputs": [{"name": "predict", "datatype": _datatype(signature.classes), "shape": [-1]}],
    }


@router.get("/v2/models/{name}/ready")
def model_ready(request: Request, name: str) -> dict[str, Any]:
    """Whether a version is in production; a problem says why not."""
    hub_of(request).serving.signature(name)
    return {"name": name, "ready": True}


@router.post("/v2/models/{name}/infer")
def infer(request: Request, response: Response, name: str, asked: Asked) -> dict[str, Any]:
    """An answer a row. ``parameters.request_ids`` are what feedback is given under."""
    frame = pl.DataFrame([_series(tensor) for tensor in _of_one_length(asked.inputs)])
    keys = asked.parameters.get("keys")
    if keys is not None and not isinstance(keys, list):
        raise DataError("parameters.keys is no list", do="give one key a row, as a list")
    answers = hub_of(request).serving.infer(
        name, frame, [str(key) for key in keys] if keys else None
    )
    versions = _header(response, answers)
    document: dict[str, Any] = {
        "model_name": name,
        "model_version": ",".join(map(str, versions)),
        "outputs": _outputs(answers),
        "parameters": {
            "request_ids": [answer.request_id for answer in answers],
            "versions": [answer.version for answer in answers],
        },
    }
    return document if asked.id is None else {"id": asked.id, **document}


@router.post("/v1/models/{name}/predict")
def predict(request: Request, response: Response, name: str, asked: Rows) -> dict[str, Any]:
    """An answer a row, for rows by column name."""
    try:
        frame = pl.DataFrame(asked.rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise _not_a_table("rows", error) from None
    answers = hub_of(request).serving.infer(name, frame, asked.keys)
    _header(response, answers)
    return {
        "answers": [
            {
                "request_id": answer.request_id,
                "version": answer.version,
                "prediction": answer.prediction,
                "probabilities": answer.probabilities,
            }
            for answer in answers
        ]
    }


@router.post("/v1/models/{name}/feedback")
def feedback(request: Request, name: str, told: Labels) -> dict[str, Any]:
    """What came true. A canary is judged, and ended where it must be, before this returns."""
    kept = hub_of(request).serving.feedback(name, told.labels)
    return {"labelled": len(kept)}


def _datatype(classes: list[Any] | None) -> str:
    """The protocol's type for answers: one of ``classes``, or a number."""
    if classes is None:
        return "FP64"
    return {bool: "BOOL", int: "INT64", float: "FP64"}.get(type(classes[0]), "BYTES")


def _of_one_length(tensors: list[Tensor]) -> list[Tensor]:
    names = [tensor.name for tensor in tensors]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise DataError("input '{name}' is given twice", do="give each column once", name=double)
    for tensor in tensors:
        shape = tensor.shape
        if (
            len(shape) not in (1, 2)
            or any(width < 1 for width in shape[1:])
            or shape[0] != tensors[0].shape[0]
        ):
            raise DataError(
                "input '{name}' has shape {shape}",
                do="give every column on its own, with shape [rows], [rows, 1] or [rows, width]",
                name=tensor.name,
                shape=shape,
            )
    return tensors


def _series(tensor: Tensor) -> pl.Series:
    if tensor.datatype not in _TYPES:
        raise DataError(
            "input '{name}' has the unknown datatype '{datatype}'",
            do="use one of {known}",
            name=tensor.name,
            datatype=tensor.datatype,
            known=sorted(_TYPES),
        )
    flat = _flat(tensor)
    if math.prod(tensor.shape) != len(flat):
        raise DataError(
            "input '{name}' has shape {shape}, and holds {count} values",
            do="give as many values as the shape says",
            name=tensor.name,
            shape=tensor.shape,
            count=len(flat),
        )
    try:
        series = pl.Series(tensor.name, flat, _TYPES[tensor.datatype](), strict=True)
        return series.reshape(tuple(tensor.shape)) if math.prod(tensor.shape[1:]) > 1 else series
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise _not_a_table(tensor.name, error) from None


def _flat(tensor: Tensor) -> list[Any]:
    """All values, row by row; a row without a vector misses all of its numbers."""
    width = math.prod(tensor.shape[1:])
    nested = any(isinstance(given, list) for given in tensor.data)
    rows = [[None] * width if nested and given is None else given for given in tensor.data]
    return [v for given in rows for v in (given if isinstance(given, list) else [given])]


def _not_a_table(name: str, error: Exception) -> DataError:
    return DataError(
        "'{name}' cannot be read as a column of values: {problem}",
        do="give numbers, texts, true, false or null, all of one kind in a column",
        name=name,
        problem=str(error).splitlines()[0] if str(error) else type(error).__name__,
    )


def _header(response: Response, answers: list[Answer]) -> list[int]:
    """The versions that answered, told in the header as well."""
    if not answers:
        raise Conflict("there are no rows to answer", do="give at least one row")
    versions = sorted({answer.version for answer in answers})
    names = ", ".join(f"{answers[0].model}@{version}" for version in versions)
    response.headers["tidegate-version"] = names
    return versions


def _outputs(answers: list[Answer]) -> list[dict[str, Any]]:
    said = [answer.prediction for answer in answers]
    outputs: list[dict[str, Any]] = [
        {
            "name": "predict",
            "shape": [len(said)],
            "datatype": _datatype(said[:1]),
            "data": said,
        }
    ]
    shares = answers[0].probabilities
    if shares is not None and all(
        a.probabilities and a.probabilities.keys() == shares.keys() for a in answers
    ):
        outputs.append(
            {
                "name": "probabilities",
                "shape": [len(said), len(shares)],
                "datatype": "FP64",
                "data": [share for a in answers for share in (a.probabilities or {}).values()],
                "parameters": {"classes": list(shares)},
            }
        )
    return outputs
