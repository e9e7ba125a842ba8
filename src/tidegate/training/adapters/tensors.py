"""The plainest adapter: parameters come from files; nothing is trained and nothing is served."""

from typing import Any, NoReturn

from tidegate.domain.errors import WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.nearest import known_or_refuse
from tidegate.training.state import Fitted, Job, Rows, Scorer, State


class Tensors:
    """Parameters only: imported, versioned, compared, approved and released."""

    name = "tensors"
    tasks: frozenset[Task] = frozenset()
    strategies: frozenset[Strategy] = frozenset({Strategy.IMPORT})
    keeps_missing = True
    deterministic = True
    pulls = False
    grows = False
    parallel = False
    libraries: dict[str, str] = {}

    def defaults(self, task: Task) -> dict[str, Any]:
        """No settings."""
        return {}

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for any setting."""
        for name in settings:
            known_or_refuse(name, [], "adapter 'tensors' trains nothing, so '{name}' sets nothing")

    def space(self, task: Task) -> dict[str, Range]:
        """Nothing."""
        return {}

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """The groups of ``state``."""
        return list(state.groups) if state else []

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """None."""
        return []

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """None."""
        return []

    def blended(self, state: State) -> list[str]:
        """None."""
        return []

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Raise WrongUsage: there is nothing to train."""
        self._refuse()

    def load(self, state: State) -> Scorer:
        """Raise WrongUsage: there is nothing to serve."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise WrongUsage(
            "adapter 'tensors' keeps parameters only: it trains and serves nothing",
            do="bring parameters in with: tidegate params import, and take them out with: "
            "tidegate params checkout",
        )
