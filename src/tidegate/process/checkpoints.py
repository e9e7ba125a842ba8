"""How far the training of an update has come, beside the workspace until it is done."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.domain.canonical import digest
from tidegate.training.state import Saved

_FACTS = "facts"


class FileCheckpoint:
    """One file, replaced as a whole; what was saved for another job counts as nothing.

    ``job`` is all that the result depends on. Arrays alone are stored, and none is unpickled. A
    file that is damaged, or cannot be written, costs time and nothing else.
    """

    def __init__(self, folder: Path, name: str, job: Any):
        self._path = (
            folder / "checkpoints" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npz"
        )
        self._job = digest(job)

    def load(self) -> Saved | None:
        """What was saved last for this job; None where nothing, or nothing sound, is there."""
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(bytes(arrays.pop(_FACTS)))
            mine = facts["job"] == self._job
        except (OSError, ValueError, TypeError, AttributeError, LookupError, EOFError, MemoryError,
                zipfile.BadZipFile):  # fmt: skip
            return None
        return Saved(arrays, facts.get("told")) if mine else None

    def save(self, saved: Saved) -> None:
        """Keep this instead of what was saved before."""
        facts = json.dumps({"job": self._job, "told": saved.facts}).encode()
        made = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with made.open("wb") as file:
                arrays = {**saved.arrays, _FACTS: np.frombuffer(facts, np.uint8)}
                np.savez(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._path)
        except OSError:
            made.unlink(missing_ok=True)

    def done(self) -> None:
        """Forget what was saved: its result stands in the record."""
        self._path.unlink(missing_ok=True)
