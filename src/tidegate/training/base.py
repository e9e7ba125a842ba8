"""What adapters share: settings with their ranges, architecture, and the words of a refusal."""

from typing import Any

from tidegate.domain.errors import Incompatible, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.nearest import known_or_refuse
from tidegate.training.state import Array, Job, Rows, State

CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})
REGRESSION = frozenset({Task.REGRESSION})
ALL_STRATEGIES = frozenset({Strategy.FULL, Strategy.INCREMENTAL, Strategy.HYBRID})

#: A setting with a range: its default, and the least and greatest value.
Own = tuple[float, float, float]


class BaseAdapter:
    """Settings, groups and architecture, as most adapters have them.

    ``deterministic``: whether the same rows and seed give the same bits on one machine;
    ``pulls``: whether it knows ``Job.pull``; ``grows``: whether an update may bring new classes;
    ``parallel``: whether workers of one process group can train it together.
    ``passed`` are settings handed on as they are, with their defaults, and ``limits`` the ranges
    of those that their framework does not check itself; ``own`` are the adapter's own, with a
    range; ``structural`` are those that a version keeps for life, since its tensors depend on
    them; ``searched`` are those worth searching, unless a model file names others, and
    ``portfolio`` what a search tries first, over the defaults: settings far from one another, each
    of which is best on some data (Feurer et al. 2022). ``averaged`` are groups whose values may
    be averaged with the parent's, and so held to a step budget. What is left to write is ``name``,
    ``tasks``, ``fit`` and ``load``.
    """

    name: str
    tasks: frozenset[Task]
    strategies: frozenset[Strategy] = ALL_STRATEGIES
    keeps_missing: bool = False
    deterministic: bool = True
    pulls: bool = False
    grows: bool = False
    parallel: bool = False
    libraries: dict[str, str] = {}
    passed: dict[str, Any] = {}
    limits: dict[str, tuple[float, float]] = {}
    own: dict[str, Own] = {}
    structural: frozenset[str] = frozenset()
    searched: dict[str, Range] = {}
    portfolio: tuple[dict[str, Any], ...] = ()
    averaged: tuple[str, ...] = ()

    def defaults(self, task: Task) -> dict[str, Any]:
        """Every setting and its default."""
        return {**self.passed, **{name: default for name, (default, _, _) in self.own.items()}}

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        for name in settings:
            known_or_refuse(name, self.defaults(task), "there is no setting '{name}'")
        limited = {name: (self.passed[name], *ends) for name, ends in self.limits.items()}
        for name, (default, low, high) in {**self.own, **limited}.items():
            value = settings.get(name, default)
            whole = isinstance(default, int)
            if not _is_number(value, whole) or not low <= value <= high:
                raise WrongUsage(
                    "setting '{name}' cannot be {value}",
                    do="give a number from {low:g} to {high:g}",
                    name=name,
                    value=repr(value),
                    low=low,
                    high=high,
                )

    def space(self, task: Task) -> dict[str, Range]:
        """Settings worth searching, and their ranges: none, unless an adapter says."""
        return dict(self.searched)

    def starts(self, task: Task) -> list[dict[str, Any]]:
        """The portfolio."""
        return list(self.portfolio)

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """The groups of ``state``; none are known of a first version."""
        return list(state.groups) if state else []

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """All of them."""
        return self.group_names(task, state)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The last one."""
        return self.group_names(task, state)[-1:]

    def blended(self, state: State) -> list[str]:
        """Groups whose values may be averaged with the parent's: ``averaged``."""
        return [group for group in self.averaged if group in state.groups]

    def architecture(self, rows: Rows, job: Job) -> dict[str, Any]:
        """What the tensors are loaded into: the parent's, or one for these rows."""
        if job.strategy is not Strategy.FULL and job.parent is not None:
            return dict(job.parent.architecture)
        made: dict[str, Any] = {"task": str(job.task), "n_features": rows.x.shape[1]}
        if rows.classes is not None:
            made["classes"] = list(rows.classes)
        for name in sorted(self.structural):
            value = job.settings[name]
            made[name] = list(value) if isinstance(value, tuple) else value
        return made

    def parent_of(self, job: Job) -> State:
        """The parent of an update that has one; its structural settings must be the job's."""
        assert job.parent is not None  # noqa: S101 - train() saw to it
        for name in self.structural:
            kept, asked = job.parent.architecture.get(name), job.settings[name]
            asked = list(asked) if isinstance(asked, tuple) else asked
            if kept != asked:
                raise WrongUsage(
                    "the parent version has {name} = {kept}, the settings ask for {asked}",
                    do="use a full update, which builds a new structure, or set it back",
                    name=name,
                    kept=repr(kept),
                    asked=repr(asked),
                )
        return job.parent

    def shape(self, state: State, name: str, *shape: int | None) -> Array:
        """The tensor of that name; raises Incompatible where it is missing or another shape.

        None in ``shape`` stands for any length.
        """
        array = state.tensors.get(name)
        fits = array is not None and array.ndim == len(shape)
        if (
            array is None
            or not fits
            or any(
                want is not None and want != got
                for want, got in zip(shape, array.shape, strict=True)
            )
        ):
            raise Incompatible(
                "adapter '{adapter}' needs a tensor '{name}' of shape {wanted}, and has {found}",
                do="load the version that this architecture belongs to",
                adapter=self.name,
                name=name,
                wanted=str(["any" if want is None else want for want in shape]),
                found="none" if array is None else str(list(array.shape)),
            )
        return array


def _is_number(value: Any, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)
