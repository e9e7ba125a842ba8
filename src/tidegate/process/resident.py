"""Versions that are loaded in this process, and a word on those that cannot be."""

import ctypes
import logging
import threading
import weakref
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from tidegate.domain.errors import TidegateError
from tidegate.domain.messages import Message, say
from tidegate.domain.predictor import Predictions
from tidegate.domain.rollout import ServingNote
from tidegate.process.home import Home
from tidegate.process.ready import ready
from tidegate.release.route import Served

_LOG = logging.getLogger("tidegate")


class Resident:
    """Loads each version once, and lets go of it when told that it is not live any more.

    One thread at a time may call it; ``notes`` may be read from any.
    """

    def __init__(self, home: Home):
        self._home = home
        self._served: dict[tuple[str, int], Served] = {}
        self._notes: dict[tuple[str, int], ServingNote] = {}
        self._let_go = threading.Event()

    @property
    def notes(self) -> list[ServingNote]:
        """Versions that the record names and that were refused here, or not asked in full."""
        return [note for _, note in sorted(self._notes.copy().items())]

    def load(self, model: str, number: int | None) -> Served | None:
        """The version, ready to answer; raises what ``ready`` raises, and keeps a note of it."""
        if number is None:
            return None
        if (model, number) not in self._served:
            try:
                made = ready(self._home, model, number)
            except Exception as problem:
                self._note(model, number, _refusal(f"{model}@{number}", problem), refused=True)
                raise
            finally:
                self._let_go.set()  # of what was read on the way
            self._note(model, number, made.note, refused=False)
            weakref.finalize(made.served, self._let_go.set).atexit = False
            self._served[model, number] = made.served
        return self._served[model, number]

    def keep(self, model: str, live: Collection[int | None]) -> None:
        """Let go of all versions of a model but these."""
        self._served = {at: one for at, one in self._served.items() if _lives(at, model, live)}
        self._notes = {at: one for at, one in self._notes.items() if _lives(at, model, live)}

    def tidy(self) -> None:
        """Give memory back to the system where a load, or the last request of a version, has let go
        of some since this was called last."""
        if self._let_go.is_set():
            self._let_go.clear()
            give_back()

    def _note(self, model: str, number: int, text: Message | None, *, refused: bool) -> None:
        """Keep a word on a version, and say it in the log where it is new."""
        if text is None:
            self._notes.pop((model, number), None)
            return
        note = ServingNote(model=model, version=number, refused=refused, text=text)
        if note != self._notes.get((model, number)):
            self._notes[model, number] = note
            _LOG.log(logging.ERROR if refused else logging.WARNING, "%s", text)


@dataclass(frozen=True)
class Fails:
    """A version that could not be made ready: asked in the shadow, it fails."""

    problem: Exception

    def predict(self, rows: pl.DataFrame) -> Predictions:
        """Raises why."""
        raise self.problem


def give_back() -> None:
    """Have glibc return what is free between what is in use; nothing where there is none.

    It keeps that otherwise, as arrays of up to 32 MB lie in its heaps: of versions of 120 MB, which
    came one after the other, twice as much stayed as the two that were loaded took.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _lives(at: tuple[str, int], model: str, live: Collection[int | None]) -> bool:
    return at[0] != model or at[1] in live


def _refusal(version: str, problem: Exception) -> Message:
    what: str | Message = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, TidegateError):
        what = say(problem.what, **problem.values)
    return say("version {version} is not routed here: {problem}", version=version, problem=what)
