"""Answers as responses of the Open Inference Protocol v2, and labels that were refused."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tidegate.apps.gateway.requests import Request
from tidegate.apps.gateway.tensors import encoded
from tidegate.domain.answer import Answer
from tidegate.domain.errors import TidegateError
from tidegate.domain.messages import render

_DATATYPES = {bool: "BOOL", int: "INT64", float: "FP64"}


def response_of(
    model: str, request: Request, answers: Sequence[Answer]
) -> tuple[bytes, int | None]:
    """The response, and the length of its JSON where outputs follow as bytes."""
    outputs = _outputs(answers)
    if request.outputs:
        outputs = [one for one in outputs if one["name"] in request.outputs]
    tails = [encoded(one) for one in outputs] if request.binary else []
    told: dict[str, Any] = {} if request.id is None else {"id": request.id}
    told["model_name"] = model
    told["model_version"] = ",".join(map(str, versions_of(answers)))
    told["outputs"] = outputs
    told["parameters"] = {
        "request_ids": [answer.request_id for answer in answers],
        "versions": [answer.version for answer in answers],
        "arms": [answer.arm for answer in answers],
        "params": sorted({answer.params for answer in answers}),
        "epoch": answers[0].epoch,
    }
    head = orjson.dumps(told)
    return (head + b"".join(tails), len(head)) if request.binary else (head, None)


def versions_of(answers: Sequence[Answer]) -> list[int]:
    """The versions that answered, each once."""
    if len(answers) == 1:
        return [answers[0].version]
    return sorted({answer.version for answer in answers})


def datatype(classes: list[Any] | None) -> str:
    """The protocol's type for answers: one of ``classes``, or a number."""
    if classes is None:
        return "FP64"
    return _DATATYPES.get(type(classes[0]), "BYTES")


def refused_labels(refused: Mapping[str, TidegateError], lang: str) -> list[dict[str, Any]]:
    """Why each of these labels was not kept, by the id of its request, in ``lang``."""
    return [
        {
            "request_id": request_id,
            "status": problem.status,
            "detail": render(problem.what, problem.values, lang),
            "do": render(problem.do, problem.values, lang),
        }
        for request_id, problem in refused.items()
    ]


def _outputs(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    said = [answer.prediction for answer in answers]
    outputs: list[dict[str, Any]] = [
        {"name": "predict", "shape": [len(said)], "datatype": datatype(said), "data": said}
    ]
    classes, shares = answers[0].classes, list[float]()
    if classes is None:
        return outputs
    for answer in answers:
        if not answer.shares or answer.classes != classes:
            return outputs
        shares += answer.shares
    outputs.append(
        {
            "name": "probabilities",
            "shape": [len(said), len(classes)],
            "datatype": "FP64",
            "data": shares,
            "parameters": {"classes": classes},
        }
    )
    return outputs
