"""One connection: how long a head and trailers may be, however they come, and whose turn it is."""

import asyncio
import json

import pytest
import uvicorn
from uvicorn.server import ServerState

from tidegate.apps.http.protocol import EXCHANGE, MAX_HEAD_BYTES, Protocol

CHUNKED = b"POST /1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """What the server writes, in memory."""

    def __init__(self):
        super().__init__()
        self.out, self.closed = b"", False

    def write(self, data):
        assert not self.closed, "written after the end"
        self.out += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class Connection:
    """A client of an application that answers ``/hold`` when it is told to: by ASGI's messages, or
    ``at_once`` where it can."""

    def __init__(self, *, at_once=False):
        self.wire, self.go, self.seen = Wire(), asyncio.Event(), []
        self.at_once = at_once
        config = uvicorn.Config(self._answer, interface="asgi3", log_level="critical")
        self.protocol = Protocol(config, ServerState(), {})
        self.protocol.connection_made(self.wire)

    async def _answer(self, scope, receive, send):
        exchange = scope["extensions"].pop(EXCHANGE, None) if self.at_once else None
        more = exchange is None or not exchange.is_whole
        body = b"" if more else exchange.body()
        if body is None:
            return
        while more and scope["path"] != "/early":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/hold":
            await self.go.wait()
        self.seen.append((scope["path"], len(body), dict(scope["headers"])))
        told = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(told))]
        if exchange is None or not exchange.answer(headers, told):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": told})

    async def send(self, *reads):
        for read in reads:
            if not self.wire.closed:
                self.protocol.data_received(read)
        for _ in range(20):
            await asyncio.sleep(0)

    def answers(self):
        """The statuses and bodies that came, in their order."""
        found, left = [], self.wire.out
        while left:
            head, _, left = left.partition(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ") for line in head.split(b"\r\n")[1:])
            length = int(lines[b"content-length"])
            found.append((int(head.split()[1]), left[:length]))
            left = left[length:]
        return found

    def statuses(self):
        return [status for status, _ in self.answers()]


def run(story, *, at_once):
    async def told():
        connection = Connection(at_once=at_once)
        try:
            await story(connection)
        finally:
            connection.protocol.connection_lost(None)

    asyncio.run(told())


def connected(story):
    """A test that has a connection, to either kind of application."""

    @pytest.mark.parametrize("at_once", [False, True])
    def test(at_once):
        run(story, at_once=at_once)

    test.__name__ = story.__name__
    return test


def head(size, path="/1", more=""):
    """A request without a body whose head has so many bytes."""
    begin, end = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}X-Pad: ", "\r\n\r\n"
    return (begin + "x" * (size - len(begin) - len(end)) + end).encode()


def post(path, body):
    return f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@connected
async def test_a_body_is_no_part_of_the_next_head(connection):
    body, after = post("/1", b"b" * 2 * MAX_HEAD_BYTES), head(1000, "/2")
    await connection.send(body + after[:500], after[500:])
    assert connection.statuses() == [200, 200]
    assert [size for _, size, _ in connection.seen] == [2 * MAX_HEAD_BYTES, 0]


@connected
async def test_many_requests_in_one_read_are_no_long_head(connection):
    many = b"".join(head(1000, f"/{number}") for number in range(200))
    await connection.send(many[:-7], many[-7:])
    for _ in range(200):
        await asyncio.sleep(0)
    assert connection.statuses() == [200] * 200


@connected
async def test_a_head_is_measured_to_the_byte(connection):
    before = post("/0", b"b" * MAX_HEAD_BYTES)
    await connection.send(head(MAX_HEAD_BYTES))
    await connection.send(before + head(MAX_HEAD_BYTES)[:70], head(MAX_HEAD_BYTES)[70:])
    assert connection.statuses() == [200, 200, 200]
    await connection.send(head(MAX_HEAD_BYTES + 1))
    assert connection.statuses() == [200, 200, 200, 431]
    assert connection.wire.closed


@pytest.mark.parametrize("before", [b"", post("/0", b"b" * 1000)])
@pytest.mark.parametrize("read", [1000, MAX_HEAD_BYTES, 3 * MAX_HEAD_BYTES])
def test_a_head_without_end_is_cut_off(before, read):
    async def story(connection):
        endless = b"GET / HTTP/1.1\r\nX: " + b"x" * 4 * MAX_HEAD_BYTES
        raw = before + endless
        sent = 0
        while not connection.wire.closed:
            await connection.send(raw[sent : sent + read])
            sent += read
        assert connection.statuses() == ([200] if before else []) + [431]
        assert sent <= MAX_HEAD_BYTES + 2 * read + len(before)

    for at_once in (False, True):
        run(story, at_once=at_once)


@connected
async def test_a_head_that_comes_in_parts_is_measured_when_it_is_whole(connection):
    """Of the first read nobody knows how much was the head's."""
    long = head(3 * MAX_HEAD_BYTES)
    await connection.send(post("/0", b"b") + long[:-10], long[-10:])
    assert connection.statuses() == [200, 431]


@connected
async def test_blank_lines_without_end_are_cut_off(connection):
    await connection.send(*[b"\r\n" * 1000] * 100)
    assert connection.statuses() == [431]


@connected
async def test_a_refusal_waits_for_the_answers_before_it(connection):
    for path in ("/hold", "/2"):
        await connection.send(head(100, path))
    await connection.send(b"hello\r\n\r\n")
    await connection.send(head(100, "/3"))  # what comes after what is no HTTP
    assert connection.wire.out == b""
    connection.go.set()
    await connection.send()
    assert [status for status, _ in connection.answers()] == [200, 200, 400]
    assert [told for _, told in connection.answers()][:2] == [b"/hold", b"/2"]
    assert connection.wire.closed


@connected
async def test_a_long_head_is_refused_in_its_turn(connection):
    await connection.send(head(100, "/hold") + head(MAX_HEAD_BYTES + 1))
    assert connection.wire.out == b""
    connection.go.set()
    await connection.send()
    assert connection.statuses() == [200, 431]


@connected
async def test_a_body_that_is_none_is_refused_in_its_turn(connection):
    await connection.send(head(100, "/hold"), CHUNKED + b"no number\r\n")
    assert connection.wire.out == b""
    connection.go.set()
    await connection.send()
    assert connection.statuses() == [200, 400]
    assert [path for path, _, _ in connection.seen] == ["/hold"]


@connected
async def test_a_request_whose_body_is_none_has_one_answer(connection):
    await connection.send(CHUNKED + b"1\r\nx\r\n")
    await connection.send(b"no number\r\n")
    assert connection.statuses() == [400]
    assert connection.wire.closed


@connected
async def test_an_earlier_answer_that_closes_is_the_last(connection):
    await connection.send(head(100, "/hold", "Connection: close\r\n"), b"hello\r\n\r\n")
    connection.go.set()
    await connection.send()
    assert connection.statuses() == [200]
    assert connection.wire.closed


@connected
async def test_trailers_have_the_limit_of_a_head(connection):
    fine = b"X-T: " + b"t" * 1000 + b"\r\n"
    await connection.send(CHUNKED, b"1\r\nx\r\n0\r\n", *[fine] * 20, b"\r\n")
    assert connection.statuses() == [200]
    await connection.send(CHUNKED, b"1\r\nx\r\n0\r\n", *[fine] * 100, b"\r\n")
    assert connection.statuses() == [200, 431]
    assert json.loads(connection.answers()[1][1])["type"].endswith("head-too-large")


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"1;"])
def test_a_trailer_or_an_extension_without_end_is_cut_off(endless):
    async def story(connection):
        await connection.send(CHUNKED, endless, *[b"x" * 10_000] * 20)
        assert connection.statuses() == [431]

    for at_once in (False, True):
        run(story, at_once=at_once)


@connected
async def test_many_small_parts_of_a_body_are_no_trailers(connection):
    parts = [b"1\r\nx\r\n"] * 30_000
    await connection.send(CHUNKED, *parts, b"0\r\n\r\n")
    assert connection.statuses() == [200]
    assert connection.seen[0][1] == 30_000


@pytest.mark.parametrize("body", [b"", b"1\r\nx\r\n"])
def test_trailers_are_no_headers(body):
    """A proxy that says who asks lets none of a client's headers through, but its trailers."""

    async def story(connection):
        await connection.send(CHUNKED + body + b"0\r\nTidegate-User: root\r\n\r\n")
        assert connection.statuses() == [200]
        assert b"tidegate-user" not in connection.seen[0][2]

    for at_once in (False, True):
        run(story, at_once=at_once)


@pytest.mark.parametrize(
    "reads",
    [
        [post("/1", b"one")],
        [post("/1", b""), post("/2", b"x" * 100_000)],
        [post("/1", b"one") + post("/2", b"two") + post("/3", b"")],
        [b"POST /1 HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"],
        [b"POST /1 HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"],
        [b"POST /1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"],
        [b"POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"],
    ],
)
def test_what_is_answered_at_once_is_answered_as_by_messages(reads):
    async def told(*, at_once):
        connection = Connection(at_once=at_once)
        await connection.send(*reads)
        connection.protocol.connection_lost(None)
        out = connection.wire.out.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        return out, connection.seen, connection.wire.closed

    out, seen, closed = asyncio.run(told(at_once=True))
    assert (out, seen, closed) == asyncio.run(told(at_once=False))
    assert out.count(b"HTTP/1.1 200 OK\r\n") == len(seen) > 0


@connected
async def test_a_client_that_does_not_read_is_waited_for(connection):
    connection.protocol.pause_writing()
    await connection.send(post("/1", b"one"))
    assert connection.wire.out == b""
    connection.protocol.resume_writing()
    await connection.send(post("/2", b"two"))
    assert connection.answers() == [(200, b"/1"), (200, b"/2")]


@connected
async def test_a_client_that_has_gone_is_told_nothing(connection):
    await connection.send(post("/hold", b"one"))
    connection.protocol.data_received(post("/2", b"two"))
    connection.protocol.connection_lost(None)
    connection.go.set()
    await connection.send()
    assert connection.wire.out == b""


async def closed(wire):
    for _ in range(200):
        if wire.closed:
            return True
        await asyncio.sleep(0.01)
    return False


@connected
async def test_a_connection_that_nothing_comes_on_is_closed(connection):
    connection.protocol.timeout_keep_alive = 0.1
    await connection.send(post("/1", b"one"))
    await asyncio.sleep(0.03)
    await connection.send(post("/2", b"two"))  # it counts from the last answer
    assert await closed(connection.wire)
    assert connection.statuses() == [200, 200]


@pytest.mark.parametrize("size", [1, 20, len(post("/hold", b"one")) - 1])
def test_one_that_a_request_is_coming_on_is_not(size):
    async def story(connection):
        connection.protocol.timeout_keep_alive = 0.01
        request = post("/hold", b"one")
        await connection.send(post("/1", b""), request[:size])
        await asyncio.sleep(0.1)
        await connection.send(request[size:])
        await asyncio.sleep(0.1)
        assert connection.statuses() == [200]
        connection.go.set()
        assert await closed(connection.wire)
        assert connection.statuses() == [200, 200]

    run(story, at_once=True)


def test_what_is_answered_early_may_come_as_a_whole_all_the_same():
    async def story(connection):
        connection.protocol.timeout_keep_alive = 0.4
        request = post("/early", b"four")
        await connection.send(request[:-4])
        for byte in b"four":
            await asyncio.sleep(0.15)
            await connection.send(bytes([byte]))
        await connection.send(post("/1", b""))
        assert connection.answers() == [(200, b"/early"), (200, b"/1")]
        assert await closed(connection.wire)

    run(story, at_once=False)
