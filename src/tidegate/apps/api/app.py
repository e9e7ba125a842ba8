"""The application: guard, routes, gateway, and errors as problems."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate import __version__
from tidegate.apps.api import records, uploads
from tidegate.apps.api.beside import Beside
from tidegate.apps.api.description import describe
from tidegate.apps.api.hub import Hub
from tidegate.apps.gateway.app import GatewayApp
from tidegate.apps.http import problems
from tidegate.apps.http.guard import LOOPBACK, Guard
from tidegate.apps.http.paths import of_gateway
from tidegate.apps.http.refusing import Traced


class Doors:
    """The gateway's paths to the gateway, all others to the API."""

    def __init__(self, app: ASGIApp, gateway: GatewayApp):
        self._app, self._gateway = app, gateway

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request, or the life of the application."""
        mine = scope["type"] == "http" and of_gateway(scope["path"])
        return (self._gateway if mine else self._app)(scope, receive, send)


def make_app(
    folder: Path | None = None,
    actor: str | None = None,
    *,
    worker: bool = False,
    beside: Beside | None = None,
    hosts: frozenset[str] = LOOPBACK,
) -> ASGIApp:
    """An ASGI application on the workspace in ``folder``.

    Callers act in the name that the header ``Tidegate-User`` gives, else as ``actor``. ``worker``:
    also run open updates on; ``beside``: the process that judges releases, and runs updates on, in
    this one's place. ``hosts``: names that requests may be addressed to.
    """

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        app.state.hub = Hub(folder, actor, worker=worker, beside=beside)
        app.state.hub.start()
        yield
        app.state.hub.close()

    app = FastAPI(
        title="Tidegate",
        version=__version__,
        description="Updates of model parameters: a case file that passes eight gates.",
        lifespan=alive,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    for room in (records, uploads):
        app.include_router(room.router)
    problems.install(app)
    describe(app)
    # Around FastAPI, not in it: of what a request costs there, most is FastAPI.
    return Guard(Doors(Traced(app), GatewayApp(lambda: app.state.hub.serving)), hosts)
