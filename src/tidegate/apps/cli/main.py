"""The program: global options anywhere on the line, one way to report errors, exit codes."""

import json
import os
import sys
import traceback
from pathlib import Path

import typer
from polars.exceptions import PanicException

from tidegate import __version__
from tidegate.apps.cli import (
    audit,
    data,
    documents,
    models,
    parameters,
    people,
    releases,
    running,
    trying,
    updates,
    usage,
)
from tidegate.apps.cli.session import Session
from tidegate.apps.cli.terminal import printable
from tidegate.domain.errors import StorageError, TidegateError
from tidegate.domain.messages import LANGUAGES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Updates of model parameters: a case file that passes eight gates, "
    "with a proof for every version.",
)
for room in (
    running,
    models,
    data,
    updates,
    parameters,
    releases,
    trying,
    audit,
    documents,
    people,
):
    room.register(app)

#: Global options that may stand anywhere on the line; True where one takes a value.
_GLOBAL = {"--json": False, "--workspace": True, "--lang": True, "--as": True}


@app.callback()
def _options(
    context: typer.Context,
    as_json: bool = typer.Option(False, "--json", help="One JSON document on standard output."),
    workspace: Path = typer.Option(
        None, "--workspace", help="The workspace's folder [$TIDEGATE_HOME, then ./.tidegate]."
    ),
    lang: str = typer.Option("en", "--lang", help="Language of messages: en or zh."),
    actor: str = typer.Option(
        None, "--as", help="Who acts [$TIDEGATE_USER, then whoever made the workspace]."
    ),
) -> None:
    if lang not in LANGUAGES:
        raise typer.BadParameter(
            f"'{lang}' is not one of: {', '.join(LANGUAGES)}", param_hint="--lang"
        )
    context.obj = Session(as_json=as_json, folder=workspace, lang=lang, actor=actor)


@app.command("version")
def _version() -> None:
    """The version of this program."""
    typer.echo(f"tidegate {__version__}")


def main(argv: list[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 failed, 2 wrong usage, 3 refused."""
    given = sys.argv[1:] if argv is None else argv
    as_json, lang = "--json" in given, "en"
    try:
        arguments = _globals_first(given)
        lang = arguments[arguments.index("--lang") + 1] if "--lang" in arguments else "en"
        code = app(arguments, standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except TidegateError as error:
        sys.exit(_report(type(error).__name__, error.text(lang), error.exit_code, as_json))
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        text = "stopped: nothing is lost; go on with: tidegate update resume ID"
        sys.exit(_report("Stopped", text, 130, as_json))
    except typer.TyperException as error:
        text = usage.in_language(error.format_message(), lang)
        sys.exit(_report("WrongUsage", text, error.exit_code, as_json))
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        told = _of_system(error)
        sys.exit(_report("StorageError", told.text(lang), told.exit_code, as_json))
    except (Exception, PanicException):  # polars gives its own up as no Exception
        traceback.print_exc()
        text = "an error that Tidegate did not expect (above): please report it"
        sys.exit(_report("Internal", text, 1, as_json))


def _of_system(error: OSError) -> StorageError:
    return StorageError(
        "the system refused: {problem} ({path})",
        do="mend that and run the command again; the workspace is as it was",
        problem=error.strerror or str(error),
        path=error.filename or "-",
    )


def _report(kind: str, text: str, code: int, as_json: bool) -> int:
    if as_json:
        document = {"error": {"kind": kind, "message": text, "exit_code": code}}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stderr.write(f"tidegate: {printable(text)}\n")
    return code


def _globals_first(arguments: list[str]) -> list[str]:
    """The same arguments with the global options in front, where the root command takes them."""
    front: list[str] = []
    rest: list[str] = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        name = argument.split("=", 1)[0]
        if argument == "--":
            rest += arguments[at:]
            break
        if name not in _GLOBAL:
            rest.append(argument)
        elif _GLOBAL[name] and "=" not in argument:
            if at + 1 == len(arguments):
                raise typer.BadParameter("it takes a value", param_hint=name)
            front += arguments[at : at + 2]
            at += 1
        else:
            front += argument.split("=", 1)
        at += 1
    return [*front, *rest]
