"""What a request leaves behind: nothing that waits for the collector, which stops everybody."""

import asyncio
import gc

import orjson
import pytest
import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from tidegate.apps.api.app import make_app
from tidegate.apps.http.protocol import Protocol

REQUESTS = 20


class Wire(asyncio.Transport):
    """Keeps what the server wrote."""

    def __init__(self):
        super().__init__()
        self.out = b""

    def write(self, data):
        self.out += data

    def is_closing(self):
        return False

    def close(self):
        pass

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def infer(body, extra=""):
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
    return f"{head}\r\n{extra}\r\n".encode() + body


COLUMNS = orjson.dumps(
    {"inputs": [{"name": n, "shape": [1], "datatype": "FP64", "data": [0.5]} for n in "ab"]}
)


@pytest.mark.parametrize(
    "reads",
    [
        [infer(COLUMNS)],
        [infer(COLUMNS)[:60], infer(COLUMNS)[60:]],
        [infer(COLUMNS)[: -len(COLUMNS)], COLUMNS],
        [infer(COLUMNS) + infer(COLUMNS)],
        [infer(COLUMNS, "Tidegate-Arm: candidate\r\n")],
    ],
    ids=["at once", "in parts", "head and body", "two in one read", "to the candidate"],
)
def test_nothing(lived, tmp_path, reads):
    async def story():
        app = make_app(tmp_path / ".tidegate", "root")
        config = uvicorn.Config(app, http=Protocol, log_level="critical")
        config.load()
        life = LifespanOn(config)
        await life.startup()
        protocol, wire = Protocol(config, ServerState(), life.state), Wire()
        protocol.connection_made(wire)

        async def asked():
            wire.out = b""
            for read in reads:
                protocol.data_received(read)
                await asyncio.sleep(0)
            while not wire.out or protocol.cycle is None or not protocol.cycle.response_complete:
                await asyncio.sleep(0)
            assert wire.out.startswith(b"HTTP/1.1 200 OK"), wire.out

        for _ in range(3):  # what is kept for later ones is made by the first
            await asked()
        await asyncio.sleep(0.2)
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await asked()
            return gc.collect()
        finally:
            gc.enable()
            protocol.connection_lost(None)
            await life.shutdown()

    assert asyncio.run(story()) < REQUESTS
