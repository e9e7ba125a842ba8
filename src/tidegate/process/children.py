"""Processes that this one starts of the same program."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def program(module: str, folder: Path | None) -> list[str]:
    """What runs a module of ours on the workspace in ``folder``, as this process itself runs."""
    # -P: nothing is imported from the folder that this was started in.
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    # One word each: a value may begin with a dash.
    given = [] if folder is None else [f"--workspace={folder}"]
    return [sys.executable, *flags, "-P", "-m", module, *given]


def started(program: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
    """The program as a process that reads what we write. What a terminal tells its foreground,
    Ctrl-C say, it does not hear: this process ends it."""
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=stdout, process_group=0)  # noqa: S603 - ours


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Write and read no more: it ends as its input does."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it did not read
                pipe.close()


def ended_in(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether it ends by itself within so many seconds; where it does not, it is ended."""
    close_pipes(process)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
