"""The server process."""

import gc
import ipaddress
import os
import socket
import sys
from pathlib import Path

import uvicorn

from tidegate.apps.api.app import make_app
from tidegate.apps.api.beside import Beside
from tidegate.apps.http import logs
from tidegate.apps.http.protocol import Protocol
from tidegate.domain.errors import Conflict, WrongUsage
from tidegate.process.workspace import Workspace

#: How long requests under way are waited for at the end: a client may never read its answer.
STOP_SECONDS = 20


def serve(
    folder: Path | None,
    actor: str | None,
    *,
    host: str,
    port: int,
    worker: bool,
    log: logs.Form | None = None,
) -> None:
    """Serve until stopped, telling of it as ``log`` says (see ``logs.form_of``).

    Raises WrongUsage for an address that other machines can reach, Conflict for one that is taken.
    """
    if not _is_loopback(host):
        raise WrongUsage(
            "{host} can be reached from other machines, and the API asks for no credentials",
            do="listen on 127.0.0.1, and put a proxy that knows your people in front of it",
            host=host,
        )
    Workspace(folder, actor=actor).close()  # what is wrong with it is told before we listen
    _free(host, port)
    form = logs.form_of(log)
    app = make_app(folder, actor, beside=Beside(folder, actor, updates=worker, log=form))
    # What is loaded now stays, and a request makes a hundred lists and dicts that soon go: the
    # collector need not look at the first again, nor at the others so often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    # Answers are given in the main thread: others give way to it within a tenth of a millisecond,
    # and one that reads the record, which asks for its turn dozens of times, has it as soon.
    sys.setswitchinterval(0.0001)
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=Protocol,
        log_config=logs.config(form),
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def _free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise Conflict(
            "nothing can listen on port {port} of {host}: {problem}",
            do="end what listens there, or choose another port with --port",
            port=port,
            host=host,
            problem=os.strerror(error.errno or 0),
        ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
