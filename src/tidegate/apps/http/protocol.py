"""HTTP/1.1 as uvicorn reads it, within limits of time and size for a request's head.

uvicorn waits for one as long as the client likes, and keeps as much of it as comes; so it does with
what may follow a body in chunks, the trailers.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidegate.apps.http import tracing
from tidegate.apps.http.errors import HeadTooLarge, NoHttp, TooSlow
from tidegate.apps.http.exchange import Exchange
from tidegate.apps.http.problems import from_error
from tidegate.domain.errors import TidegateError

#: Bytes of a request line and its headers; of trailers as well.
MAX_HEAD_BYTES = 64 * 2**10
#: How long a client may take to send them, from its first byte, or from when it connected.
HEAD_SECONDS = 30.0
#: The extension of a scope that holds the requests under way, this one among them.
UNDER_WAY = "tidegate.under_way"
#: The extension of a scope that holds the request's ``Exchange``. Whoever takes it takes it out: it
#: leads back to the scope, and what leads back to itself waits for the collector, which stops
#: everybody for as long as dozens of answers take.
EXCHANGE = "tidegate.exchange"

_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)

#: Called by its name where each request comes by: ``super()`` takes twice as long.
_Above = HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """One connection.

    What comes in one read may be the end of a request and the beginning of the next, and the parser
    tells no places. So a head is measured by its parts once it is whole, and only where it may be
    too long; one that is not whole counts what is surely its own.
    """

    _timer: asyncio.TimerHandle
    _whole: Any = None  # the scope of the last request that has come as a whole
    _waiting: Any = None  # the scope of the request that was not whole after a read
    _most = 0  # bytes read since the last whole head: no head can have more
    _count = 0  # bytes that are surely of its head or its trailers
    _in_head = True  # whether that is a head
    _passed = False  # a part of a body has come
    _refusal: bytes | None = None  # what is told once all that was asked before is answered
    _answered = 0.0  # when the last answer was whole, or the last part of a request came
    _resting: asyncio.TimerHandle | None = None  # ends a connection that nothing comes on

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come; one that says nothing is sent away."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._waited, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was sent away."""
        for timer in (self._timer, self._resting):
            if timer is not None:
                timer.cancel()  # else it would keep the connection in memory
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; those of a request that is not whole by now are counted."""
        if self._refusal is not None:
            return
        self._most += len(data)
        if (b"grade:" in data or b"GRADE:" in data) and (self.scope is None or self._is_whole()):
            data = _unasked(data)
        _Above.data_received(self, data)
        if self.scope is not None and self._is_whole():
            self._most = 0
        else:
            self._answered = self.loop.time()  # an answer may come before all of its request
            self._not_whole(len(data))

    def on_message_begin(self) -> None:
        """A request begins; its scope tells which others are under way in this process."""
        _Above.on_message_begin(self)
        self.scope["extensions"] = {UNDER_WAY: self.tasks}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """A head is whole."""
        if self._most > MAX_HEAD_BYTES and self._told() > MAX_HEAD_BYTES:
            self._refuse(_too_large())
            raise ValueError  # it ends the parser's work
        _Above.on_headers_complete(self)
        if self.cycle is not None and self.cycle.scope is self.scope:
            self.scope["extensions"][EXCHANGE] = Exchange(self.cycle)  # type: ignore[assignment]

    def on_chunk_header(self) -> None:
        """A chunk begins; what may follow the last one is no header of the request."""
        if self.headers is self.scope["headers"]:
            self.headers = self.headers.copy()

    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._passed = True
        _Above.on_body(self, body)

    def on_message_complete(self) -> None:
        """All of a request has come."""
        _Above.on_message_complete(self)
        self._whole = self.scope

    def on_response_complete(self) -> None:
        """An answer is whole."""
        if self._refusal is not None and not self.pipeline:
            self._end()
        if self.pipeline or self.transport.is_closing():
            _Above.on_response_complete(self)
            return
        # As uvicorn does, but for its timer: one for each answer, which the next request takes
        # back, costs more than to look at the last one again.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._answered = self.loop.time()
        if self._resting is None:
            self._rest_for(self.timeout_keep_alive)

    def _rest_for(self, seconds: float) -> None:
        self._resting = self.loop.call_later(seconds, self._rested)

    def _rested(self) -> None:
        """Close where nothing has come since the last answer for as long as may be."""
        self._resting = None
        if not self.cycle.response_complete or self.cycle.scope is not self.scope:
            return  # a request is under way, and its answer begins anew
        left = self._answered + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest_for(left)
        elif not self.transport.is_closing():
            self.transport.close()

    def _not_whole(self, size: int) -> None:
        """Count what was read last, and wait for what is missing of a head."""
        scope, before, in_head = self.scope, self._waiting, self._in_head
        self._waiting, self._in_head = scope, scope is None or "method" not in scope
        if scope is not before:  # it began within that
            self._count = self._told() if self._in_head else 0
        elif self._passed or self._in_head is not in_head:
            self._count = 0
        else:
            self._count += size
        self._passed = False
        if not self._in_head:
            self._most = 0
        elif scope is not before:
            self._timer.cancel()
            self._timer = self.loop.call_later(HEAD_SECONDS, self._waited, scope)
        if self._count > MAX_HEAD_BYTES:
            self._refuse(_too_large())

    def _told(self) -> int:
        """Bytes of a head, as far as the parser has told of it."""
        line = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n\r\n")
        return line + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

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
        """Answer with a problem, in its turn, and close; nothing more is read."""
        if self._refusal is not None or self.transport.is_closing():
            return
        with tracing.begun({}):
            told = from_error(error, "en")
        head = [STATUS_LINE[told.status_code], *(b"%s: %s\r\n" % pair for pair in told.raw_headers)]
        self._refusal = b"".join([*head, b"connection: close\r\n\r\n", told.body])
        last = self.cycle
        if last is not None and last.scope is self.scope and not self._is_whole():
            if self.pipeline:  # it waits for its turn, which is now the refusal's
                self.pipeline.popleft()
                return
            if last.response_started:  # no second answer
                self._refusal = b""
            last.disconnected = True
            last.message_event.set()
            self._end()
        elif last is None or last.response_complete:
            self._end()

    def _is_whole(self) -> bool:
        return self._whole is self.scope

    def _end(self) -> None:
        """Tell the refusal, and close."""
        if not self.transport.is_closing():
            self.transport.write(self._refusal or b"")
            self.transport.close()


def _unasked(data: bytes) -> bytes:
    """A head without its wish for another protocol, which need not be heard; the parser would take
    what follows the head for that protocol's. Of as many bytes: they are counted."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-grade:", head) + end + rest


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(
        "a request's headers hold at most {limit:,} bytes here",
        do="send fewer or shorter ones",
        limit=MAX_HEAD_BYTES,
    )
