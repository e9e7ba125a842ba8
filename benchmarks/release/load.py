"""Load on a server over keep-alive HTTP/1.1, in a process of its own: ``python load.py``.

Takes an order a line in JSON on stdin and answers each with a line: what came back, all of it
checked after the clock has stopped. Bare sockets and epoll, since asyncio costs more than the
server that is measured. A line on stdin ends a run that is on.
"""

import gc
import json
import select
import socket
import sys
import time
from array import array
from collections import deque

from checks import summary

#: An answer that takes longer than this is a failure.
PATIENCE = 10.0
BUFFER = 1 << 18
clock = time.monotonic


class Connection:
    """A socket with at most one request under way."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.busy, self.which, self.due, self.buffer = False, 0, 0.0, b""


class Run:
    """One order: ``requests`` are sent in turn, each a whole HTTP request.

    ``rate``: requests a second, on time whatever the server does, each answer's latency counted
    from when it was due; without it each connection sends its next request upon an answer.
    """

    def __init__(self, port, requests, concurrency, seconds, most, rate=None):
        self.port, self.requests, self.most = port, requests, most
        self.seconds, self.rate = seconds, rate
        self.sent, self.got = (array("d", bytes(8 * most)) for _ in range(2))
        self.which, self.answers = array("l", bytes(8 * most)), [b""] * most
        self.begun = self.done = 0
        self.epoll = select.epoll()
        self.epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self.open = {}
        self.free, self.late = deque(), deque()
        for _ in range(concurrency):
            self._connect()

    def _connect(self):
        connection = Connection(self.port)
        self.open[connection.socket.fileno()] = connection
        self.epoll.register(connection.socket.fileno(), select.EPOLLIN)
        self.free.append(connection)

    def go(self):
        """Everything sent and, but for what takes too long, answered."""
        began, used = clock(), time.process_time()
        self.end = began + self.seconds
        if self.rate:
            self._paced(began)
        else:
            while self.free:
                self._send(self.free.popleft(), clock())
            while clock() < self.end and self.begun < self.most:
                self._poll(0.1)
        last = clock()
        wait = last + PATIENCE
        self.end = 0.0
        while any(each.busy for each in self.open.values()) and clock() < wait:
            self._poll(0.1)
        for connection in self.open.values():
            if connection.busy:
                self._record(connection.due, connection.which, b"no answer in time")
            connection.socket.close()
        self.epoll.close()
        return min(last, max(self.got[: self.done], default=last)) - began, (
            time.process_time() - used
        )

    def _paced(self, began):
        due, step = began, 1 / self.rate
        while clock() < self.end and self.begun < self.most:
            now = clock()
            while due <= now:
                self.late.append(due)
                due += step
            while self.late and self.free and self.begun < self.most:
                self._send(self.free.popleft(), self.late.popleft())
            # epoll waits in whole milliseconds, select in microseconds; to ask again and again
            # would take a core from the servers.
            select.select([self.epoll.fileno()], [], [], max(0.0, due - clock()))
            self._poll(0)
        for due in list(self.late)[: self.most - self.begun]:
            self._record(due, 0, b"no connection was free in time")

    def _send(self, connection, due):
        connection.which = self.begun % len(self.requests)
        connection.busy, connection.due, connection.buffer = True, due, b""
        self.begun += 1
        try:
            connection.socket.sendall(self.requests[connection.which])
        except OSError:
            self._lost(connection)

    def _poll(self, timeout):
        for handle, _ in self.epoll.poll(timeout):
            connection = self.open.get(handle)
            if connection is None:  # stdin: whoever ordered this has seen enough
                self.end = 0.0
                self.epoll.unregister(handle)
                continue
            try:
                data = connection.socket.recv(BUFFER)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._lost(connection)
                continue
            if connection.buffer:
                data = connection.buffer + data
            if not whole(data):
                connection.buffer = data
                continue
            if connection.busy:
                self._record(connection.due, connection.which, data)
                connection.busy = False
                self._next(connection)

    def _record(self, due, which, data):
        at = self.done
        self.sent[at], self.got[at] = due, clock()
        self.which[at], self.answers[at] = which, data
        self.done = at + 1

    def _next(self, connection):
        if self.rate:
            self.free.append(connection)
        elif self.begun < self.most and clock() < self.end:
            self._send(connection, clock())

    def _lost(self, connection):
        """The server hung up; a request under way counts as failed."""
        handle = connection.socket.fileno()
        self.epoll.unregister(handle)
        del self.open[handle]
        connection.socket.close()
        if connection.busy:
            self._record(connection.due, connection.which, b"hung up")
        try:
            self._connect()
        except OSError:
            time.sleep(0.01)  # nobody listens; the others' requests will fail as well
            return
        if not self.rate:
            self._next(self.free.pop())


def whole(data):
    """Whether this is an answer from its first byte to its last."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = data.find(b"ontent-length: ", 0, head)
    if at < 0:
        at = data.find(b"ontent-Length: ", 0, head)
    if at < 0:
        return data.endswith(b"0\r\n\r\n")
    return len(data) >= head + 4 + int(data[at + 15 : data.find(b"\r", at)])


def requests_of(order):
    """Whole HTTP requests from the file of bodies that the order names."""
    with open(order["bodies"], "rb") as file:
        bodies = file.read()
    found, at = [], 0
    headers = "".join(f"{name}: {value}\r\n" for name, value in order["headers"].items())
    for size in order["sizes"]:
        head = (
            f"POST {order['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
            f"Content-Length: {size}\r\n\r\n"
        )
        found.append(head.encode() + bodies[at : at + size])
        at += size
    return found


def main():
    gc.disable()
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if order["do"] == "stop":
            continue  # came after the run had ended
        try:
            run = Run(order["port"], requests_of(order), order["concurrency"], order["seconds"],
                      order["most"], order.get("rate"))  # fmt: skip
            seconds, used = run.go()
            told = summary(run, order, seconds, used)
        except OSError as error:
            told = {"error": str(error)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
