"""What training takes and gives: parameters, the job, the result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.domain.messages import Message
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range

Array = NDArray[Any]
Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


class Saved(NamedTuple):
    """How far training has come: arrays by name, and JSON beside them."""

    arrays: dict[str, Array]
    facts: dict[str, Any]


class Checkpoint(Protocol):
    """Where one run of training keeps how far it has come, so that a killed one goes on."""

    def load(self) -> Saved | None:
        """What was saved last; None at the beginning."""
        ...

    def save(self, saved: Saved) -> None:
        """Keep this instead of what was saved before."""
        ...


@dataclass(frozen=True)
class State:
    """The parameters of one version, in the adapter's terms.

    ``architecture`` is JSON (classes, number of features, settings that fix the structure);
    ``tensors`` are finite; every tensor stands in exactly one of ``groups``, whose order is the
    adapter's.
    """

    architecture: dict[str, Any]
    tensors: dict[str, Array]
    groups: dict[str, list[str]]

    def of_group(self, group: str) -> dict[str, Array]:
        """The tensors of one group."""
        return {name: self.tensors[name] for name in self.groups[group]}


@dataclass(frozen=True)
class Job:
    """One training run. ``settings`` are the user's, over the adapter's defaults.

    ``trainable_groups`` counts in an incremental update, ``key_groups`` in a hybrid one; empty
    means the adapter's own choice. ``patterns`` are the model file's groups, for adapters whose
    tensors have names of their own. ``pull`` is how
    strongly values are drawn back to the parent's, ``fisher`` whether those that mattered more to
    ``remembered`` rows, which the parent learned from, are drawn more strongly. ``limit`` is how
    far a group may go, as a share of its size. ``progress(done, total)`` is called where training
    takes longer than a second, and may raise to end it. ``checkpoint`` keeps how far it has come.
    """

    task: Task
    strategy: Strategy = Strategy.FULL
    parent: State | None = None
    trainable_groups: list[str] = field(default_factory=list)
    key_groups: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)
    pull: float = 0.0
    fisher: bool = False
    remembered: Floats | None = None
    limit: float | None = None
    seed: int = 0
    progress: Progress = silent
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class Fitted:
    """What came out: ``curve`` is the loss on the training rows over the run, lower is better."""

    state: State
    curve: list[float]
    converged: bool
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class Rows:
    """Checked rows to learn from.

    ``x``: float64 ``(n_rows, n_features)``. ``y``: int64 codes into ``classes``, or float64
    where ``classes`` is None.
    """

    x: Floats
    y: Array
    classes: list[Any] | None


#: Features ``(n_rows, n_features)`` in, predictions out.
Scorer = Callable[[Floats], Predictions]


class Adapter(Protocol):
    """One kind of model: how its parameters come to be and how they answer.

    ``keeps_missing``: whether features may be NaN. ``deterministic``: whether the same rows and
    seed give the same bits on one machine. ``pulls``: whether it knows ``Job.pull``; ``grows``:
    whether an update may bring new classes; ``parallel``: whether workers of one process group
    can train it together. ``libraries``: the versions its parameters load with. ``architecture``
    of a state that it trained holds ``n_features`` and, for classes, ``classes``. ``BaseAdapter``
    has what most share.
    """

    name: str
    tasks: frozenset[Task]
    strategies: frozenset[Strategy]
    keeps_missing: bool
    deterministic: bool
    pulls: bool
    grows: bool
    parallel: bool
    libraries: dict[str, str]

    def defaults(self, task: Task) -> dict[str, Any]:
        """Every setting and its default."""
        ...

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        ...

    def space(self, task: Task) -> dict[str, Range]:
        """Settings worth searching, and their ranges."""
        ...

    def starts(self, task: Task) -> list[dict[str, Any]]:
        """What a search tries first, over the defaults."""
        ...

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """The parameter groups: of ``state``, or those a first version will have."""
        ...

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """What an incremental update of ``state`` moves unless told otherwise."""
        ...

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """What a hybrid update of ``state`` retrains from scratch unless told otherwise."""
        ...

    def blended(self, state: State) -> list[str]:
        """Groups whose values may be averaged with the parent's."""
        ...

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows; ``job.settings`` are complete, its groups named and known."""
        ...

    def load(self, state: State) -> Scorer:
        """A function that predicts; raises Incompatible where ``state`` is not of this adapter."""
        ...
