"""Requests that end in an error, and those of the API: answered, timed, and told of in the log."""

import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.apps.http import logs, tracing
from tidegate.apps.http.errors import Incomplete, TooLarge, TooSlow
from tidegate.apps.http.problems import from_error, language_of, unexpected
from tidegate.domain.errors import TidegateError

#: Errors after which more of the request may come, that nobody reads.
_CUT_OFF = (Incomplete, TooLarge, TooSlow)


async def refuse(
    error: Exception,
    headers: Mapping[bytes, bytes],
    began: float,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Answer a request, ``began`` at this time of ``time.perf_counter``, with what went wrong."""
    with tracing.begun(headers):
        if isinstance(error, TidegateError):
            response = from_error(error, language_of(headers))
            if isinstance(error, _CUT_OFF):
                response.headers["connection"] = "close"
        else:
            response = unexpected(error)
        await response(scope, receive, send)
        seconds = time.perf_counter() - began
        logs.of_request(scope["method"], scope["path"], response.status_code, seconds)


class Traced:
    """Middleware: each request is a span, and the log tells of those that change something, are
    refused, fail, or take long."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with tracing.begun(dict(scope["headers"])):
            try:
                await self._app(scope, receive, noted)
            except Exception:
                if status < 500:  # else it is told already, to the caller and to the log
                    raise
            finally:
                seconds, changes = time.perf_counter() - began, scope["method"] not in _READING
                logs.of_request(
                    scope["method"], scope["path"], status or 500, seconds, changes=changes
                )


_READING = ("GET", "HEAD", "OPTIONS")
