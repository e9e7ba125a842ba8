"""The application: guard, routes, and errors as problems."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from tidegate import __version__
from tidegate.apps.api import inference, problems, records, uploads
from tidegate.apps.api.guard import LOOPBACK, Guard
from tidegate.apps.api.hub import Hub


def make_app(
    folder: Path | None = None,
    actor: str | None = None,
    *,
    worker: bool = False,
    hosts: frozenset[str] = LOOPBACK,
) -> FastAPI:
    """An ASGI application on the workspace in ``folder``.

    Callers act in the name that the header ``Tidegate-User`` gives, else as ``actor``. ``worker``:
    also run open updates on. ``hosts``: names that requests may be addressed to.
    """

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        app.state.hub = Hub(folder, actor, worker=worker)
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
    for room in (records, uploads, inference):
        app.include_router(room.router)
    problems.install(app)
    app.add_middleware(Guard, hosts=hosts)
    return app
