"""Routes that carry files: rows in, parameters in and out. They go to disk as they come."""

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from tidegate.apps.api.records import Acting, standing
from tidegate.apps.cli.session import plain
from tidegate.apps.http.body import parts_of
from tidegate.domain.errors import WrongUsage
from tidegate.process.intake import Arrival

router = APIRouter(prefix="/v1")

#: How a body that is a file is described.
_FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@asynccontextmanager
async def received(request: Request, name: str) -> AsyncIterator[Path]:
    """The request's body as a file called ``name``, for as long as it is needed."""
    if re.fullmatch(r"[\w][\w .()-]{0,120}", name) is None:
        raise WrongUsage(
            "'{name}' is no name for a file",
            do="name it with ?name=, letters and digits and an ending like .csv",
            name=name,
        )
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            async for part in parts_of(request):
                await run_in_threadpool(file.write, part)
        yield path


@router.post("/models/{model}/data", status_code=201, openapi_extra=_FILE)
async def add_data(
    ws: Acting,
    request: Request,
    model: str,
    name: str,
    licence: str | None = None,
    sensitivity: str | None = None,
    parents: Annotated[list[str] | None, Query()] = None,
) -> dict[str, Any]:
    """An immutable snapshot of the body, a CSV, JSON lines or Parquet file called ``name``."""
    async with received(request, name) as path:
        arrival: Arrival = await run_in_threadpool(
            ws.add_data,
            model,
            [path],
            licence=licence,
            sensitivity=sensitivity,
            parents=parents or (),
        )
    snapshot = arrival.snapshot
    return {
        "snapshot": snapshot.id,
        "new": arrival.new,
        "rows": snapshot.rows,
        "labelled_rows": snapshot.labelled_rows,
        "columns": plain(snapshot.columns),
        "quality": {"passed": arrival.verdict.passed, "findings": plain(arrival.verdict.findings)},
        "consistency": plain(arrival.found.consistency),
    }


@router.post("/models/{model}/parameters", status_code=201, openapi_extra=_FILE)
async def import_params(
    ws: Acting,
    request: Request,
    model: str,
    reason: str,
    allow_nonfinite: bool = False,
    allow_other_structure: bool = False,
) -> dict[str, Any]:
    """A case file for the body, a safetensors file."""
    async with received(request, "parameters.safetensors") as path:
        update = await run_in_threadpool(
            ws.import_params,
            model,
            path,
            reason=reason,
            allow_nonfinite=allow_nonfinite,
            allow_other_structure=allow_other_structure,
        )
    return standing(ws, update)


class Bytes(FileResponse):
    """A file as its bytes."""

    media_type = "application/octet-stream"


@router.get("/versions/{version}/parameters", response_class=Bytes)
def checkout(ws: Acting, version: str) -> Bytes:
    """A version as a safetensors file, exactly."""
    folder = tempfile.TemporaryDirectory(prefix="tidegate-")
    path = Path(folder.name) / "parameters.safetensors"
    try:
        ws.checkout(version, path)
    except BaseException:
        folder.cleanup()
        raise
    return Bytes(
        path,
        filename=f"{version.replace('@', '-')}.safetensors",
        background=BackgroundTask(folder.cleanup),
    )
