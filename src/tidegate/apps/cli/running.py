"""``tidegate init``, ``demo``, ``up`` and ``serve``."""

from pathlib import Path

import typer

from tidegate.apps.cli.session import session
from tidegate.apps.http.logs import Form
from tidegate.process.workspace import Workspace, default_folder


def register(app: typer.Typer) -> None:
    """Put these commands on the program."""
    app.command("init")(init)
    app.command("demo")(demo)
    app.command("up")(up)
    app.command("serve")(serve)


def init(
    context: typer.Context,
    folder: Path = typer.Argument(
        None, help="Where [--workspace, then $TIDEGATE_HOME, ./.tidegate]."
    ),
    database: str = typer.Option(
        "tidegate.sqlite", "--database", help="A file, or postgresql+psycopg://..."
    ),
    objects: str = typer.Option("objects", "--objects", help="A folder, or s3://bucket/prefix."),
) -> None:
    """Make a workspace; whoever makes it is its first administrator."""
    s = session(context)
    at = folder or s.folder or default_folder()
    with Workspace.init(at, actor=s.actor, database=database, objects=objects) as ws:
        owner = ws.home.actor
    s.emit(
        {"workspace": str(at), "administrator": owner},
        lambda: s.out.print(
            s.say(
                "a workspace is in {folder}; {person} is its administrator", folder=at, person=owner
            )
        ),
    )


def demo(
    context: typer.Context,
    folder: Path = typer.Option(None, "--dir", help="Keep the workspace here [./demo-workspace]."),
) -> None:
    """Walk the whole loop on real data, telling the story."""
    from tidegate.apps.demo import run_demo

    s = session(context)
    document = run_demo(s, folder or Path("demo-workspace"))
    s.emit(document, lambda: None)


_HOST = typer.Option("127.0.0.1", "--host", help="Address to listen on.")
_PORT = typer.Option(8350, "--port", help="Port to listen on.")
_LOG = typer.Option(
    None, "--log", help="Lines on standard error: text, or json [text on a terminal, else json]."
)


def up(context: typer.Context, host: str = _HOST, port: int = _PORT, log: Form = _LOG) -> None:
    """All that serve does, and a worker beside it: updates that are asked for over HTTP."""
    from tidegate.apps.api import serve as serve_app

    s = session(context)
    serve_app(s.folder, s.actor, host=host, port=port, worker=True, log=log)


def serve(context: typer.Context, host: str = _HOST, port: int = _PORT, log: Form = _LOG) -> None:
    """The gateway, the HTTP API, and the judge of releases."""
    from tidegate.apps.api import serve as serve_app

    s = session(context)
    serve_app(s.folder, s.actor, host=host, port=port, worker=False, log=log)
