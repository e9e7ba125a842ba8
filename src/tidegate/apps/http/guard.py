"""What never reaches a route: foreign hosts and origins, and bodies beyond the limit.

The API has no credentials yet, so it serves this machine alone. A web page that someone has open
here could still send requests: one under a name that resolves to this machine (DNS rebinding) is
stopped by its Host, one from a foreign page by its Origin.
"""

import time
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.apps.http.body import whole_body
from tidegate.apps.http.errors import ForeignHost, ForeignOrigin
from tidegate.apps.http.paths import of_gateway
from tidegate.apps.http.refusing import refuse
from tidegate.domain.errors import TidegateError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_MOST_SEEN = 64


class Guard:
    """Middleware in front of every route."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] = LOOPBACK):
        self._app, self._hosts = app, hosts
        self._seen: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: refused here, or passed on with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if not self._known(headers.get(b"host", b"")):
            foreign = ForeignHost("this API serves localhost only", do="address it as localhost")
            await refuse(foreign, headers, time.perf_counter(), scope, receive, send)
        elif origin is not None and _host(origin.decode("latin-1")) not in self._hosts:
            page = ForeignOrigin("no page but ours may ask", do="ask from a program, not a page")
            await refuse(page, headers, time.perf_counter(), scope, receive, send)
        elif _upload(scope) or of_gateway(scope["path"]):  # they count for themselves
            await self._app(scope, receive, send)
        else:
            await self._within_limits(headers, scope, receive, send)

    def _known(self, host: bytes) -> bool:
        """Whether requests may be addressed to this; what was found is kept, as most are alike."""
        if host in self._seen:
            return True
        known = _host(f"//{host.decode('latin-1')}") in self._hosts
        if known and len(self._seen) < _MOST_SEEN:
            self._seen.add(host)
        return known

    async def _within_limits(
        self, headers: dict[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        began = time.perf_counter()
        try:
            whole = await whole_body(headers, receive)
        except TidegateError as error:
            await refuse(error, headers, began, scope, receive, send)
            return
        waiting = iter([{"type": "http.request", "body": whole, "more_body": False}])

        async def replayed() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replayed, send)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _upload(scope: Scope) -> bool:
    path = scope["path"]
    return bool(scope["method"] == "POST" and path.endswith(("/data", "/parameters")))
