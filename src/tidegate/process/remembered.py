"""What a process remembers of the releases that it judges, so that the log is read once."""

from collections.abc import Collection
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from tidegate.monitoring.prediction_log import PredictionLog

What = TypeVar("What")


class Remembered(Generic[What]):
    """One thing a release, by log, model and update.

    Where it is not at hand, all is read again to the same end. Whoever judges takes it out
    meanwhile, so no two threads share it.
    """

    def __init__(self) -> None:
        self._by_log: WeakKeyDictionary[PredictionLog, dict[tuple[str, str], What]] = (
            WeakKeyDictionary()
        )

    def take(self, log: PredictionLog, model: str, update: str) -> What | None:
        """What is remembered of a release; it is not any more, until it is put back."""
        return self._by_log.setdefault(log, {}).pop((model, update), None)

    def put(self, log: PredictionLog, model: str, update: str, what: What) -> None:
        """Remember it."""
        self._by_log.setdefault(log, {})[model, update] = what

    def forget_but(self, log: PredictionLog, live: Collection[str], model: str | None) -> None:
        """Forget all releases, of one model or of all, but those of these updates."""
        known = self._by_log.get(log, {})
        for at in list(known):
            if at[1] not in live and model in (None, at[0]):
                known.pop(at, None)
