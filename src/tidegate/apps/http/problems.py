"""Errors over HTTP: problem details after RFC 9457, in the language the caller accepts."""

import logging
import re
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import PydanticSerializationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from tidegate.apps.http import tracing
from tidegate.apps.http.errors import NotAllowed, not_allowed, nothing_here
from tidegate.domain.errors import Busy, StorageError, TidegateError, WrongUsage
from tidegate.domain.messages import render

_LOG = logging.getLogger("tidegate")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` as a problem."""
    app.add_exception_handler(TidegateError, _told)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(OSError, _system)  # type: ignore[arg-type]
    # JSON may escape half a character, which no text can hold.
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_exception_handler(PydanticSerializationError, _no_text)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, kind: str, title: str, detail: str, **more: object) -> JSONResponse:
    """A problem document; ``kind`` names its type for machines, ``trace_id`` the request's lines in
    the log."""
    span = tracing.current()
    if span is not None:
        span.problem = kind, detail
        more["trace_id"] = span.trace_id
    document = {
        "type": f"urn:tidegate:error:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **more,
    }
    return JSONResponse(document, status, media_type="application/problem+json")


def language(request: Request) -> str:
    """``zh`` where the caller prefers Chinese to English, else ``en``."""
    return _language(request.headers.get("accept-language", ""))


def language_of(headers: Mapping[bytes, bytes]) -> str:
    """As ``language``, from headers as they came."""
    return _language(headers.get(b"accept-language", b"").decode("latin-1"))


def _language(accepted: str) -> str:
    weights: dict[str, float] = {}
    for part in accepted.split(",") if accepted else ():
        name, _, options = part.strip().partition(";")
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)", options) if options else None
        weights.setdefault(name.lower()[:2], float(quality[1]) if quality else 1.0)
    return "zh" if weights.get("zh", 0) > weights.get("en", 0) else "en"


def kind_of(error: TidegateError) -> str:
    """The kind of an error, for machines: in its problem, in the log and in metrics.

    >>> kind_of(WrongUsage("no", do="yes"))
    'wrong-usage'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def from_error(error: TidegateError, lang: str) -> JSONResponse:
    """A Tidegate error as a problem: what happened is the detail, the remedy is ``do``."""
    kind = kind_of(error)
    shown = _for_callers(error)
    what, do = (render(part, shown.values, lang) for part in (shown.what, shown.do))
    told = problem(error.status, kind, kind.replace("-", " ").capitalize(), what, do=do)
    span = tracing.current()
    if shown is not error and span is not None:
        span.problem = kind, error.text()
    if isinstance(error, Busy):
        told.headers["retry-after"] = "1"
    if isinstance(error, NotAllowed):
        told.headers["allow"] = ", ".join(error.values["methods"])
    return told


def _for_callers(error: TidegateError) -> TidegateError:
    """The error, or, where it tells which machines and folders things lie on, another one that does
    not: that is for whoever reads the log."""
    places = {"database"} | ({"key", "folder"} if isinstance(error, StorageError) else set())
    if not places & error.values.keys():
        return error
    return StorageError(
        "the server cannot read or write what it keeps",
        do="try again a little later; the server's log tells what is wrong",
    )


async def _told(request: Request, error: TidegateError) -> JSONResponse:
    return from_error(error, language(request))


async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    detail = f"{place}: {first['msg']}"
    return problem(422, "invalid-request", "Invalid request", detail)


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == 404:
        return from_error(nothing_here(request.url.path), language(request))
    if error.status_code == 405:
        return from_error(not_allowed(_methods(request)), language(request))
    return problem(error.status_code, "http", str(error.detail), str(error.detail))


def _methods(request: Request) -> list[str]:
    """What a path takes: FastAPI has a route for each method, and names those of the first."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


async def _no_text(request: Request, _error: Exception) -> JSONResponse:
    told = WrongUsage(
        "the request holds a text that is no Unicode",
        do="send whole characters: a lone surrogate is half of one",
    )
    return from_error(told, language(request))


async def _system(request: Request, error: OSError) -> JSONResponse:
    told = StorageError(
        "the system refused: {problem}",
        do="mend that and try again; the workspace is as it was",
        problem=error.strerror or type(error).__name__,
    )
    return from_error(told, language(request))


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    return unexpected(error)


def unexpected(error: Exception) -> JSONResponse:
    """The problem that tells nothing of an error but that the log does."""
    _LOG.error("an error that Tidegate did not expect", exc_info=error)
    detail = "an error that Tidegate did not expect: the server's log tells more"
    return problem(500, "internal", "Internal error", detail)
