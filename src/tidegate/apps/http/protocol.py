"""HTTP/1.1 as uvicorn reads it, within limits of time and size for a request's head.

uvicorn waits for one as long as the client likes, and keeps as much of it as comes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidegate.apps.http import tracing
from tidegate.apps.http.errors import HeadTooLarge, NoHttp, TooSlow
from tidegate.apps.http.problems import from_error
from tidegate.apps.http.wire import Joining
from tidegate.domain.errors import TidegateError

#: Bytes of a request line and its headers.
MAX_HEAD_BYTES = 64 * 2**10
#: How long a client may take to send them, from its first byte, or from when it connected.
HEAD_SECONDS = 30.0
#: The extension of a scope that holds the requests under way, this one among them.
UNDER_WAY = "tidegate.under_way"
#: The extension of a scope whose request has come as a whole.
WHOLE = "tidegate.whole"


class Protocol(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle
    _head = 0  # bytes of a head that is not whole yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come; one that says nothing is sent away."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]
        self._timer = self.loop.call_later(HEAD_SECONDS, self._waited, None)

    def on_message_begin(self) -> None:
        """A request begins; its scope tells which others are under way in this process."""
        super().on_message_begin()
        self.scope["extensions"] = {UNDER_WAY: self.tasks}  # type: ignore[dict-item]

    def on_message_complete(self) -> None:
        """All of a request has come."""
        super().on_message_complete()
        self.scope["extensions"][WHOLE] = {}

    def on_response_complete(self) -> None:
        """An answer is whole; that to HEAD has a head alone."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was sent away."""
        self._timer.cancel()  # else it would keep the connection in memory
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; what is no head by now is counted, and waited for so long."""
        super().data_received(data)
        if self.scope is None or "method" in self.scope:  # there is none, or it is whole
            self._head = 0
            return
        if not self._head:
            self._timer.cancel()
            self._timer = self.loop.call_later(HEAD_SECONDS, self._waited, self.scope)
        self._head += len(data)
        if self._head > MAX_HEAD_BYTES:
            self._refuse(
                HeadTooLarge(
                    "a request's headers hold at most {limit:,} bytes here",
                    do="send fewer or shorter ones",
                    limit=MAX_HEAD_BYTES,
                )
            )

    def _waited(self, scope: Any) -> None:
        """The time for the head of the request with this ``scope`` is over."""
        if self.scope is scope and (scope is None or "method" not in scope):
            self._refuse(
                TooSlow(
                    "the request's headers did not come within {seconds:g} seconds",
                    do="send them at once",
                    seconds=HEAD_SECONDS,
                )
            )

    def send_400_response(self, msg: str) -> None:
        """Tell a client that it does not speak HTTP."""
        self._refuse(NoHttp("this is no HTTP request", do="send HTTP/1.1"))

    def _refuse(self, error: TidegateError) -> None:
        """Answer with a problem, and close."""
        if self.transport.is_closing():
            return
        with tracing.begun({}):
            told = from_error(error, "en")
        head = [STATUS_LINE[told.status_code], *(b"%s: %s\r\n" % pair for pair in told.raw_headers)]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", told.body]))
        self.transport.close()
