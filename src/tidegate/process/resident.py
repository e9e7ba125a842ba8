"""Versions that are loaded in this process, and a word on those that cannot be."""

import copy
import ctypes
import logging
import threading
import time
import weakref
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from tidegate.domain.errors import StorageError, TidegateError
from tidegate.domain.messages import Message, say
from tidegate.domain.predictor import Predictions
from tidegate.domain.rollout import ServingNote
from tidegate.process.home import Home
from tidegate.process.ready import ready
from tidegate.release.route import Served

_LOG = logging.getLogger("tidegate")

#: How long after a version was refused it is tried again: so long at first, twice as long each
#: time, and at most so long. A load takes minutes of a large model, and the machine from answers.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


class Resident:
    """Loads each version once, and lets go of it when told that it is not live any more.

    One thread at a time may call it; ``notes`` may be read from any.
    """

    def __init__(self, home: Home):
        self._home = home
        self._served: dict[tuple[str, int], Served] = {}
        self._notes: dict[tuple[str, int], ServingNote] = {}
        self._troubles: dict[tuple[str, int], _Trouble] = {}
        self._let_go = threading.Event()

    @property
    def notes(self) -> list[ServingNote]:
        """Versions that the record names and that were refused here, or not asked in full."""
        return [note for _, note in sorted(self._notes.copy().items())]

    def load(self, model: str, number: int | None) -> Served | Exception | None:
        """The version, ready to answer, or why it is refused, of which a note is kept.

        One that was refused is tried again after a pause, longer each time, and at once where the
        record says something new of its model; until then it is refused as before. Raises where
        the record cannot be read: that is no fault of the version.
        """
        if number is None:
            return None
        if (model, number) not in self._served:
            with self._home.journal.read() as reader:
                said = reader.last_of(model)
            trouble = self._troubles.get((model, number))
            if trouble is not None and trouble.stands(said):
                return _bare(trouble.problem)
            try:
                made = ready(self._home, model, number)
            except Exception as problem:
                self._note(model, number, _refusal(f"{model}@{number}", problem), problem)
                return _bare(self._troubled((model, number), problem, said))
            finally:
                self._let_go.set()  # of what was read on the way
            self._troubles.pop((model, number), None)
            self._note(model, number, made.note)
            weakref.finalize(made.served, self._let_go.set).atexit = False
            self._served[model, number] = made.served
        return self._served[model, number]

    @property
    def due(self) -> str | None:
        """A model of which a version was refused, and is to be tried again now; None: there is
        none."""
        now = time.monotonic()
        troubles = sorted(self._troubles.copy().items(), key=lambda one: one[1].again)
        return next((at[0] for at, trouble in troubles if trouble.again <= now), None)

    def _troubled(self, at: tuple[str, int], problem: Exception, said: int) -> Exception:
        """The problem, as it is kept: as raised, it would hold on to all that it came through."""
        before = self._troubles.get(at)
        pause = FIRST_PAUSE_SECONDS
        # Where the store is at fault: when it is back, so is the version.
        if before is not None and before.said == said and not isinstance(problem, StorageError):
            pause = min(2 * before.pause, LONGEST_PAUSE_SECONDS)
        kept = _bare(problem)
        self._troubles[at] = _Trouble(kept, said, pause, time.monotonic() + pause)
        return kept

    def keep(self, model: str, live: Collection[int | None]) -> None:
        """Let go of all versions of a model but these."""
        self._served = {at: one for at, one in self._served.items() if _lives(at, model, live)}
        self._notes = {at: one for at, one in self._notes.items() if _lives(at, model, live)}
        troubles = self._troubles.items()
        self._troubles = {at: one for at, one in troubles if _lives(at, model, live)}

    def tidy(self) -> None:
        """Give memory back to the system where a load, or the last request of a version, has let go
        of some since this was called last."""
        if self._let_go.is_set():
            self._let_go.clear()
            give_back()

    def _note(
        self, model: str, number: int, text: Message | None, problem: Exception | None = None
    ) -> None:
        """Keep a word on a version, refused for this problem if there is one, and say it in the log
        where it is new."""
        if text is None:
            self._notes.pop((model, number), None)
            return
        note = ServingNote(model=model, version=number, refused=problem is not None, text=text)
        if note != self._notes.get((model, number)):
            self._notes[model, number] = note
            odd = None if isinstance(problem, TidegateError) else problem
            _LOG.log(
                logging.WARNING if problem is None else logging.ERROR, "%s", text, exc_info=odd
            )


class _Trouble(NamedTuple):
    """Why a version was refused, when the record's last word on its model was event ``said``, and
    when, ``pause`` seconds later, it is tried again."""

    problem: Exception
    said: int
    pause: float
    again: float

    def stands(self, said: int) -> bool:
        """Whether it is not tried again yet, the record's last word being event ``said``."""
        store = isinstance(self.problem, StorageError)  # whoever asks may find it back
        return not store and self.said == said and time.monotonic() < self.again


def _bare(problem: Exception) -> Exception:
    """A problem without the frames that it came through, which hold what was loaded in them."""
    try:
        return copy.copy(problem)
    except Exception:  # one that is made in a way of its own
        return RuntimeError(f"{type(problem).__name__}: {problem}")


@dataclass(frozen=True)
class Fails:
    """A version that could not be made ready: asked in the shadow, it fails."""

    problem: Exception = field(compare=False)  # told anew at each try

    def predict(self, rows: pl.DataFrame) -> Predictions:
        """Raises why."""
        raise _bare(self.problem)


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
