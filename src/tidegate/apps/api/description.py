"""How the API describes itself: its own paths, the gateway's, and the problems each may tell."""

from importlib.resources import files
from typing import Any

import yaml
from fastapi import FastAPI

#: Told whatever is asked.
_ALWAYS = {
    403: "Who asks may not do this, or a foreign page asks.",
    421: "The request is addressed to another host.",
    422: "The request makes no sense, or its data cannot be read.",
    500: "Something is broken here; the log tells more.",
    503: "Somebody else writes for long; try again after Retry-After seconds.",
    507: "Rows or bytes cannot be read or written.",
}
#: Told where something is named.
_NAMED = {
    404: "What was named does not exist.",
    409: "This cannot be done as things stand.",
}
#: Told where a body comes along.
_WITH_BODY = {
    400: "The body cannot be read.",
    408: "The body did not come in time.",
    413: "The body is too large, or holds too many rows.",
}
#: Told where models answer.
_ANSWERING = {503: "Too many requests wait already; try again after Retry-After seconds."}
#: Told where labels come.
_TOLD_LATER = {503: "The answers may wait to be written; try again after Retry-After seconds."}


def describe(app: FastAPI) -> None:
    """Have ``app`` describe all that this server answers, at ``/openapi.json``."""
    own = app.openapi

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None:
            told, gateway = own(), gateways_part()
            told["paths"] |= gateway["paths"]
            for kind, parts in gateway["components"].items():
                told["components"].setdefault(kind, {}).update(parts)
            for path, methods in told["paths"].items():
                for operation in methods.values():
                    _add_problems(path, operation)
        return app.openapi_schema or {}

    app.openapi = whole  # type: ignore[method-assign]


def gateways_part() -> dict[str, Any]:
    """The gateway's paths and components."""
    text = (files("tidegate.apps.gateway") / "openapi.yaml").read_text("utf-8")
    part: dict[str, Any] = yaml.safe_load(text)
    return part


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    taken = operation.get("parameters", ())
    named = any(one.get("in") != "header" for one in taken) or "requestBody" in operation
    told = _ALWAYS | (_NAMED if named else {})
    if "requestBody" in operation:
        told |= _WITH_BODY
    if path.endswith(("/infer", "/predict")):
        told |= _ANSWERING
    if path.endswith("/feedback"):
        told |= _TOLD_LATER
    schema = {"$ref": "#/components/schemas/Problem"}
    operation["responses"] = operation["responses"] | {
        str(status): {
            "description": what,
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status, what in told.items()
    }
