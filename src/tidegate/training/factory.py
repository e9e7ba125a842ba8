"""A user's own module, made by a function that the model file names, and kept to making it."""

import importlib
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Message, say

#: Flags of ``open`` that change a file or make one.
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: What the interpreter reports before it reaches out; names as in its table of audit events.
_REACHES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown",
    "os.link", "os.symlink", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.forkpty", "os.kill", "os.killpg", "os.setxattr", "os.startfile", "pty.spawn",
    "subprocess.Popen", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg",
    "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "ftplib.connect",
    "smtplib.connect", "sqlite3.connect", "shutil.rmtree", "shutil.move", "shutil.copyfile",
    "shutil.make_archive", "_thread.start_new_thread",
}  # fmt: skip

#: Packages that hold no factories: what ships with Python, and libraries that load or run what an
#: argument names. A stored structure names its factory, so it must not reach into those.
_NO_FACTORIES = sys.stdlib_module_names | {
    "torch", "torchvision", "torchaudio", "functorch", "triton", "ray", "optuna", "sklearn",
    "scipy", "numpy", "pandas", "polars", "pyarrow", "xgboost", "lightgbm", "joblib", "pip",
    "setuptools", "pkg_resources", "pytest", "_pytest", "click", "typer", "uvicorn", "starlette",
    "jinja2", "sqlalchemy", "transformers", "huggingface_hub", "timm",
}  # fmt: skip


class _Making(threading.local):
    """Whether this thread makes a module now; a context of one's own does not end that."""

    now = False


_making = _Making()
_watched = False


class _ReachedOut(Exception):
    def __init__(self, deed: Message):
        super().__init__()
        self.deed = deed


def make(name: str, arguments: dict[str, Any], *, n_features: int, n_outputs: int) -> Any:
    """What the function ``package.module:function`` returns for so many features and outputs.

    Called as ``function(n_features=..., n_outputs=..., **arguments)``; of Python's own packages
    and of large libraries no function is called. While its module is imported and while it runs,
    this thread can write no file, reach no network and start no program through Python: the
    interpreter's audit hooks refuse (PEP 578). They do not see what compiled code does by itself
    (``torch.save`` writes), so that keeps slips and model files from doing harm; it is no prison
    for a package that means harm, which installing it has let in already. Raises WrongUsage, with
    what the function raised or tried.
    """
    found = re.fullmatch(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)", name)
    if found is None:
        raise WrongUsage(
            "'{name}' does not name a factory",
            do="write package.module:function, of a package that is installed",
            name=name,
        )
    if found[1].partition(".")[0] in _NO_FACTORIES:
        raise WrongUsage(
            "'{name}' is no factory: {package} is not a package of models",
            do="write a function of your own package that makes the module",
            name=name,
            package=found[1].partition(".")[0],
        )
    try:
        with _only_making():
            function = getattr(importlib.import_module(found[1]), found[2])
            if getattr(function, "__module__", None) != found[1]:
                raise AttributeError(f"{found[1]} does not define {found[2]}")
            return function(n_features=n_features, n_outputs=n_outputs, **arguments)
    except _ReachedOut as reached:
        raise WrongUsage(
            "the factory '{name}' tried to {deed}",
            do="let it build the module and nothing else; ship what it needs with its package",
            name=name,
            deed=reached.deed,
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it is, sys.exit() included, is the user's to mend
        raise WrongUsage(
            "the factory '{name}' failed: {kind}: {problem}",
            do="mend the function or its arguments in the model file's training settings",
            name=name,
            kind=type(error).__name__,
            problem=str(error)[:500],
        ) from error


@contextmanager
def _only_making() -> Iterator[None]:
    global _watched
    if not _watched:
        sys.addaudithook(_refuse)  # a hook stays for good; it looks only where something is made
        _watched = True
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    before, _making.now = _making.now, True
    try:
        yield
    finally:
        _making.now = before
        sys.dont_write_bytecode = kept


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if not _making.now:
        return
    if event == "open":
        path, _, flags = args
        if isinstance(flags, int) and flags & _WRITES and path != os.devnull:
            raise _ReachedOut(say("write the file {path}", path=str(path)))
    elif event in _REACHES:
        raise _ReachedOut(say("do {event}", event=event))
