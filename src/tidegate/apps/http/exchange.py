"""A request, read and answered by one call each, where it has come as a whole by then."""

from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class Exchange:
    """What ASGI's messages do with a request and its answer, at once: they take a tenth of the time
    that a small answer does. It is uvicorn's own record of the two that is read and kept here."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle):
        self._cycle = cycle

    @property
    def is_whole(self) -> bool:
        """Whether all of the request has come, or nothing more will: its ``body`` can be read."""
        return not self._cycle.more_body or self._cycle.disconnected

    def body(self) -> bytes | None:
        """All of the request's body; None where the client has gone."""
        cycle = self._cycle
        if cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.flow.resume_reading()
        return body

    def answer(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer with status 200 and ``headers``, content-length among them; False where that is
        left to messages, as the client has not read what was sent before."""
        cycle = self._cycle
        if cycle.flow.write_paused:
            return False
        if cycle.disconnected:
            return True
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        parts = [STATUS_LINE[200]]
        for name, value in (*cycle.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        parts.append(body)
        cycle.transport.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True
