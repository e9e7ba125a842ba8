"""Requests of the Open Inference Protocol v2: read, and checked by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import orjson
import polars as pl

from tidegate.apps.gateway.plain import plain_block, plain_bytes, plain_row
from tidegate.apps.gateway.tensors import NUMBERS, RANGES, check_finite, check_range, decoded
from tidegate.apps.gateway.values import block_of, check_amount, not_a_table, shown
from tidegate.domain.answer import Asked
from tidegate.domain.errors import DataError, WrongUsage

#: Which plain values each datatype takes.
_TAKES: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool, type(None)}),
    "BYTES": frozenset({str, type(None)}),
    **dict.fromkeys(
        ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"],
        frozenset({int, type(None)}),
    ),
    **dict.fromkeys(["FP16", "FP32", "FP64"], frozenset({float, int, type(None)})),
}
_KEYS = frozenset({str, int})
OUTPUTS = frozenset({"predict", "probabilities"})
_NONE = frozenset[str]()


@dataclass(slots=True)
class Request:
    """An inference request, read and checked. ``keys``, one a row, keep a user with one version;
    ``outputs``: those asked for, all where none are named; ``binary``: whether as bytes."""

    asked: Asked
    keys: list[str] | None
    id: str | None
    outputs: frozenset[str]
    binary: bool


def request_of(body: bytes, header_length: int | None, inputs: tuple[str, ...] | None) -> Request:
    """The request in ``body``; of the binary extension, ``header_length`` bytes of it are JSON.

    ``inputs``: the model's columns where all are numbers; a single tensor ``[rows, columns]`` is
    then all of them, in this order. Raises DataError or WrongUsage for what is no request.
    """
    if header_length is not None and header_length > len(body):
        raise DataError(
            "the JSON is said to be {length} bytes, and the body is {size}",
            do="give the length of the JSON before the tensors, or leave it out",
            length=header_length,
            size=len(body),
        )
    told = document(body if header_length is None else body[:header_length])
    tensors = told.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise _no_inputs()
    parameters = _object(told, "parameters")
    asked = None if header_length is None else plain_bytes(tensors, body[header_length:])
    if header_length is not None and asked is None:
        tensors = _with_bytes(tensors, body[header_length:])
    if asked is None:
        asked = plain_row(tensors) if len(tensors) > 1 else plain_block(tensors[0], inputs)
    if asked is None:
        if not all(isinstance(one, dict) for one in tensors):
            raise _no_inputs()
        names, data = _checked(tensors)
        asked = _whole(tensors[0], data[0], inputs) if len(tensors) == 1 else None
        asked = asked or _asked(tensors, names, data)
    keys = parameters.get("keys")
    if keys is not None and (type(keys) is not list or not {type(key) for key in keys} <= _KEYS):
        raise DataError("parameters.keys is no list of texts", do="give one key a row, as a text")
    wanted = told.get("outputs")
    outputs, binary = _wanted(wanted) if wanted else (_NONE, False)
    identity = told.get("id")
    if isinstance(identity, (list, dict)):
        raise WrongUsage("id is no text", do="give a text, or leave it out")
    return Request(
        asked,
        [str(key) for key in keys] if keys else None,
        None if identity is None else str(identity),
        outputs,
        binary or bool(parameters.get("binary_data_output", False)),
    )


def _wanted(outputs: Any) -> tuple[frozenset[str], bool]:
    """The names of these outputs, and whether one of them is to come as bytes."""
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise WrongUsage("outputs is no list of outputs", do="name the outputs, or leave it out")
    binary = any(_object(one, "parameters").get("binary_data", False) for one in outputs)
    given = [one.get("name") for one in outputs]
    named = frozenset(name if type(name) is str else shown(name) for name in given)
    if not named <= OUTPUTS:
        raise DataError(
            "there is no output '{name}'",
            do="ask for {known}, or leave outputs out",
            name=min(named - OUTPUTS),
            known=sorted(OUTPUTS),
        )
    return named, binary


def _no_inputs() -> WrongUsage:
    return WrongUsage(
        "the request has no inputs", do='give "inputs": a list of tensors, one a column'
    )


def document(body: bytes) -> dict[str, Any]:
    """A body's JSON object; raises WrongUsage for anything else."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WrongUsage(
            "the body is no JSON: {problem}", do="send a JSON object", problem=str(error)
        ) from None
    if not isinstance(told, dict):
        raise WrongUsage("the body is no JSON object", do="send a JSON object")
    return told


def _object(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.get(name)
    if found is not None and not isinstance(found, dict):
        raise WrongUsage("{name} is no object", do="give a JSON object, or leave it out", name=name)
    return found or {}


def _checked(tensors: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[Any]]:
    """Names and values of tensors that have what a tensor has."""
    names, data = list[str](), list[Any]()
    rows, seen = None, set[str]()
    for tensor in tensors:
        name, shape, kind = tensor.get("name"), tensor.get("shape"), tensor.get("datatype")
        if type(name) is not str or type(kind) is not str or kind not in _TAKES:
            _refuse_tensor(name, kind)
        if (
            type(shape) is not list
            or len(shape) not in (1, 2)
            or not all(type(width) is int for width in shape)
            or any(width < 1 for width in shape[1:])
            or (rows is not None and shape[0] != rows)
        ):
            raise DataError(
                "input '{name}' has shape {shape}",
                do="give every column on its own, with shape [rows], [rows, 1] or [rows, width]",
                name=name,
                shape=str(shape),
            )
        rows, values = shape[0], tensor.get("data")
        check_amount(rows, math.prod(shape))
        if type(values) is not list and not isinstance(values, np.ndarray):
            raise DataError(
                "input '{name}' has no data",
                do="give its values as a list, or as bytes with binary_data_size",
                name=name,
            )
        if name in seen:
            raise DataError("input '{name}' is given twice", do="give each column once", name=name)
        seen.add(name)
        names.append(name)
        data.append(values)
    return tuple(names), data


def _refuse_tensor(name: Any, kind: Any) -> NoReturn:
    if type(name) is not str:
        raise WrongUsage("an input has no name", do="name each tensor as its column is named")
    raise DataError(
        "input '{name}' has the unknown datatype '{datatype}'",
        do="use one of {known}",
        name=name,
        datatype=kind if type(kind) is str else shown(kind),
        known=sorted(_TAKES),
    )


def _whole(tensor: dict[str, Any], data: Any, inputs: tuple[str, ...] | None) -> Asked | None:
    """One tensor of all columns, where the model's are numbers and no column has its name."""
    shape = tensor["shape"]
    if inputs is None or len(shape) != 2 or tensor["name"] in inputs:
        return None
    if tensor["datatype"] not in NUMBERS:
        return None
    if shape[1] != len(inputs):
        raise DataError(
            "'{name}' is none of the columns, and holds {width} values a row, not {count}",
            do="give all values in this order, or each column by its name: {columns}",
            name=tensor["name"],
            width=shape[1],
            count=len(inputs),
            columns=list(inputs),
        )
    values = np.asarray(_values(tensor, data, inputs), np.float64)
    return Asked(inputs, shape[0], block=values.reshape(shape))


def _asked(tensors: list[dict[str, Any]], names: tuple[str, ...], data: list[Any]) -> Asked:
    """One tensor a column. Numbers alone go as one array, everything else as a frame."""
    columns = {
        name: _values(tensor, values)
        for tensor, name, values in zip(tensors, names, data, strict=True)
    }
    if all(one["datatype"] in NUMBERS and one["shape"][1:] in ([], [1]) for one in tensors):
        return Asked(names, tensors[0]["shape"][0], columns=columns, block=block_of(columns))
    series = [_series(tensor, columns[name]) for tensor, name in zip(tensors, names, strict=True)]
    return Asked.of(pl.DataFrame(series))


def _values(tensor: dict[str, Any], data: Any, columns: Sequence[str] | None = None) -> Any:
    """All values of a tensor, row by row: as many, and of such a kind, as it says. ``columns``:
    what it holds side by side, where that is not one column."""
    values = data
    if isinstance(data, list):
        if len(tensor["shape"]) == 2:
            values = _unnested(tensor, data)
        _check_kinds(tensor, values)
    _check_count(tensor, len(values))
    if isinstance(values, np.ndarray):
        check_finite(values, columns or [tensor["name"]] * math.prod(tensor["shape"][1:]))
    return values


def _unnested(tensor: dict[str, Any], values: list[Any]) -> list[Any]:
    """All values, row by row; a row without a vector misses all of its numbers."""
    kinds = set(map(type, values))
    if list not in kinds:
        return values
    _check_count(tensor, len(values), tensor["shape"][:1])
    width = tensor["shape"][1]
    gone = [None] * width
    rows = [gone if v is None else v if type(v) is list else [v] for v in values]
    for row, vector in enumerate(rows):
        if len(vector) != width:
            raise DataError(
                "input '{name}' has shape {shape}, and its row {row} holds {count} values",
                do="give as many values in each row as the shape says; the first row is row 0",
                name=tensor["name"],
                shape=str(tensor["shape"]),
                row=row,
                count=len(vector),
            )
    return list(chain.from_iterable(rows))


def _check_kinds(tensor: dict[str, Any], values: list[Any]) -> None:
    kinds = {type(value) for value in values}
    if not kinds <= _TAKES[tensor["datatype"]]:
        bad = next(value for value in values if type(value) not in _TAKES[tensor["datatype"]])
        raise DataError(
            "input '{name}' is declared as {datatype}, and holds {value}",
            do="give numbers, texts, true, false or null, all of one kind in a column",
            name=tensor["name"],
            datatype=tensor["datatype"],
            value=shown(bad),
        )
    if int in kinds and tensor["datatype"] in RANGES:
        check_range(tensor, values)


def _check_count(tensor: dict[str, Any], count: int, shape: Sequence[int] | None = None) -> None:
    if math.prod(tensor["shape"] if shape is None else shape) != count:
        raise DataError(
            "input '{name}' has shape {shape}, and holds {count} values",
            do="give as many values as the shape says",
            name=tensor["name"],
            shape=tensor["shape"],
            count=count,
        )


def _series(tensor: dict[str, Any], values: Any) -> pl.Series:
    kind, shape = tensor["datatype"], tensor["shape"]
    type_ = {"BOOL": pl.Boolean, "BYTES": pl.String}.get(kind)
    if type_ is None:
        type_ = pl.Float64 if kind.startswith("FP") else pl.Int64
    try:
        series = pl.Series(
            tensor["name"], values, type_(), strict=not isinstance(values, np.ndarray)
        )
        return series.reshape(tuple(shape)) if math.prod(shape[1:]) > 1 else series
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise not_a_table(tensor["name"], error) from None


def _with_bytes(tensors: list[dict[str, Any]], tail: bytes) -> list[dict[str, Any]]:
    """The tensors, each with the values that lie in the bytes behind the JSON."""
    found, at = list[dict[str, Any]](), 0
    for tensor in tensors:
        if not isinstance(tensor, dict):
            raise _no_inputs()
        size, kind = _object(tensor, "parameters").get("binary_data_size"), tensor.get("datatype")
        if size is None:
            found.append(tensor)
            continue
        if type(kind) is not str or kind not in _TAKES:
            _refuse_tensor(tensor.get("name"), kind)
        if type(size) is not int or size < 0 or at + size > len(tail):
            raise DataError(
                "input '{name}' says it is {size} bytes, and {left} are left",
                do="send as many bytes as binary_data_size says, in the order of the inputs",
                name=str(tensor.get("name")),
                size=str(size),
                left=len(tail) - at,
            )
        found.append({**tensor, "data": decoded(tensor, tail[at : at + size])})
        at += size
    if at != len(tail):
        raise DataError(
            "{left} bytes behind the JSON belong to no input",
            do="give each input its binary_data_size",
            left=len(tail) - at,
        )
    return found
