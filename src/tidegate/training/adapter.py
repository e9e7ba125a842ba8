"""The two things done with an adapter: train and load."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.domain.errors import DataError, Incompatible, TidegateError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.training.labels import classes_of, codes_of, plain, refuse_one_class
from tidegate.training.libraries import check_libraries
from tidegate.training.nearest import known_or_refuse
from tidegate.training.registry import adapter, known_adapters
from tidegate.training.state import Adapter, Array, Fitted, Floats, Job, Rows, Scorer, State
from tidegate.training.steps import moved_tensors

__all__ = [
    "Adapter",
    "Fitted",
    "Job",
    "Loaded",
    "State",
    "adapter",
    "check_groups",
    "known_adapters",
    "load",
    "train",
]


class Loaded:
    """Parameters ready to answer."""

    def __init__(self, state: State, scorer: Scorer):
        self._features: int = state.architecture["n_features"]
        self._scorer = scorer

    def predict(self, x: Floats) -> Predictions:
        """Predictions for ``x``, float64 ``(n_rows, n_features)``; rows may be none."""
        if x.ndim != 2 or x.shape[1] != self._features:
            raise Incompatible(
                "these parameters take {wanted} features, and rows of shape {given} were given",
                do="use the feature transform that was stored with them",
                wanted=self._features,
                given=str(list(x.shape)),
            )
        if len(x) == 0:  # scikit-learn answers no empty request
            one = self._scorer(np.zeros((1, self._features)))
            shares = None if one.probabilities is None else one.probabilities[:0]
            return Predictions(one.values[:0], one.classes, shares)
        return self._scorer(np.ascontiguousarray(x, dtype=np.float64))


def load(adapter_name: str, state: State, libraries: Mapping[str, str] | None = None) -> Loaded:
    """``state`` ready to answer.

    Raises Incompatible where an installed library lies outside ``libraries`` (the ones stored
    with the version; the adapter's own where none are given), or where tensors and architecture
    do not fit together.
    """
    how = adapter(adapter_name)
    check_libraries(how.libraries if libraries is None else libraries)
    return Loaded(state, how.load(state))


def train(how: Adapter, x: Floats, y: Array, job: Job) -> Fitted:
    """Parameters from labelled rows, and proof that what was frozen stayed as it was.

    ``x``: float64 ``(n_rows, n_features)``, NaN only where the adapter keeps missing values;
    ``y``: labels of any plain type, or float64 for regression. Raises WrongUsage for a job that
    the adapter cannot do, DataError for rows that it cannot learn from.
    """
    _check_job(how, job)
    rows = _rows(how, x, y, job)
    settings = {**how.defaults(job.task), **job.settings}
    job = dataclasses.replace(job, settings=settings)
    job = dataclasses.replace(job, **_groups(how, job))
    fitted = _fit(how, rows, job)
    _check_groups(fitted.state)
    if job.strategy is Strategy.INCREMENTAL and job.parent is not None:
        frozen = [g for g in job.parent.groups if g not in job.trainable_groups]
        _check_frozen(how, job.parent, fitted.state, frozen)
    return dataclasses.replace(fitted, settings=settings)


def _fit(how: Adapter, rows: Rows, job: Job) -> Fitted:
    """What the adapter makes of them; what its framework raises, in a sentence."""
    try:
        fitted = how.fit(rows, job)
    except TidegateError:
        raise
    except Exception as error:  # of whatever kind a framework chooses
        raise DataError(
            "adapter '{adapter}' could not train: {kind}: {problem}",
            do="check the settings under policy.training.settings against the framework's "
            "documentation, and the rows",
            adapter=how.name,
            kind=type(error).__name__,
            problem=str(error)[:500],
        ) from error
    if not np.isfinite(fitted.curve).all():
        raise DataError(
            "the loss became NaN or infinite",
            do="lower the learning rate, or bring the target's values into a smaller range",
        )
    return fitted


def _check_job(how: Adapter, job: Job) -> None:
    if job.task not in how.tasks:
        raise WrongUsage(
            "adapter '{adapter}' does not do the task '{task}'",
            do="it does: {tasks}",
            adapter=how.name,
            task=job.task,
            tasks=sorted(how.tasks),
        )
    if job.strategy not in how.strategies:
        raise WrongUsage(
            "adapter '{adapter}' cannot do {strategy} updates",
            do="it can do: {strategies}",
            adapter=how.name,
            strategy=job.strategy,
            strategies=sorted(how.strategies),
        )
    if job.strategy is not Strategy.FULL and job.parent is None:
        raise WrongUsage(
            "{strategy} updates move on from a version, and there is none",
            do="make the first version with a full update",
            strategy=job.strategy,
        )
    how.check_settings(job.task, job.settings)


def _rows(how: Adapter, x: Floats, y: Array, job: Job) -> Rows:
    if x.ndim != 2 or x.shape[1] == 0 or len(x) != len(y) or len(x) < 2:
        raise DataError(
            "training needs at least 2 rows and 1 feature with a label each: "
            "{rows} rows, {features} features and {labels} labels were given",
            do="add labelled rows, or exclude fewer columns",
            rows=len(x),
            features=x.shape[1] if x.ndim == 2 else 0,
            labels=len(y),
        )
    x = np.ascontiguousarray(x, dtype=np.float64)
    bad = np.isinf(x) if how.keeps_missing else ~np.isfinite(x)
    if bad.any():
        row, feature = (int(place[0]) for place in np.nonzero(bad))
        raise DataError(
            "{count} feature values are NaN or infinite, the first in row {row}, feature {feature}",
            do="fill or drop missing values, and bring infinite ones into range",
            count=int(bad.sum()),
            row=row,
            feature=feature,
        )
    parent = job.parent if job.strategy is not Strategy.FULL else None
    if parent is not None:
        _check_parent(parent, x, job.task)
    if job.task is Task.REGRESSION:
        return Rows(x, _target(y), None)
    known = [] if parent is None else parent.architecture["classes"]
    found = classes_of(y) if parent is None or how.grows else []
    classes = [*known, *(label for label in found if label not in known)]
    codes = codes_of(y, classes)
    refuse_one_class([classes[code] for code in np.unique(codes)])
    if job.task is Task.BINARY and len(classes) > 2:
        raise DataError(
            "a binary target has two classes, and {count} were found: {names}",
            do="declare the task as multiclass, or merge classes",
            count=len(classes),
            names=[str(plain(label)) for label in classes[:10]],
        )
    return Rows(x, codes, classes)


def _check_parent(parent: State, x: Floats, task: Task) -> None:
    known = parent.architecture
    if known.get("n_features") != x.shape[1] or known.get("task") != task:
        raise Incompatible(
            "the parent version is for {known_task} on {known} features, the rows are for {task} "
            "on {given}",
            do="use a full update, which starts a new structure",
            known_task=known.get("task"),
            known=known.get("n_features"),
            task=task,
            given=x.shape[1],
        )


def _target(y: Array) -> Floats:
    try:
        target = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "the target of a regression holds values that are not numbers",
            do="mend the target column, or declare the task as multiclass",
        ) from None
    bad = ~np.isfinite(target)
    if bad.any():
        raise DataError(
            "the target holds {count} values that are NaN or infinite, the first in row {row}",
            do="leave unlabelled rows out, and bring infinite values into range",
            count=int(bad.sum()),
            row=int(np.argmax(bad)),
        )
    return target


def _groups(how: Adapter, job: Job) -> dict[str, Any]:
    """The groups that move, named and known: those asked for, or the adapter's own choice."""
    trainable: list[str] = []
    key: list[str] = []
    if job.strategy is Strategy.INCREMENTAL:
        trainable = job.trainable_groups or how.trainable_groups(job.task, job.parent, job.settings)
    elif job.strategy is Strategy.HYBRID:
        key = job.key_groups or how.key_groups(job.task, job.parent)
    if job.parent is not None:
        check_groups(how, job.task, job.parent, job.settings, trainable, key)
    return {"trainable_groups": trainable, "key_groups": key}


def check_groups(
    how: Adapter,
    task: Task,
    parent: State,
    settings: Mapping[str, Any],
    trainable: Sequence[str],
    key: Sequence[str],
) -> None:
    """Raise WrongUsage, naming the nearest one, for a group that ``parent`` does not have.

    Trainable groups may also be ones that an incremental update adds, such as new trees.
    """
    known = how.group_names(task, parent)
    added = how.trainable_groups(task, parent, {**how.defaults(task), **settings})
    for groups, names in ((trainable, [*known, *added]), (key, known)):
        for group in groups:
            known_or_refuse(group, names, "there is no parameter group '{name}'")


def _check_groups(state: State) -> None:
    """Every tensor in exactly one group: what the proof of frozen groups rests on."""
    listed = [name for names in state.groups.values() for name in names]
    if sorted(listed) != sorted(state.tensors):
        raise Incompatible(
            "the adapter left tensors out of its groups, or named one twice: {names}",
            do="mend the adapter: every tensor belongs to exactly one group",
            names=sorted(set(listed) ^ set(state.tensors))[:5],
        )


def _check_frozen(how: Adapter, parent: State, child: State, frozen: list[str]) -> None:
    for group in frozen:
        moved = moved_tensors(parent, child, group)
        if moved:
            raise Incompatible(
                "adapter '{adapter}' moved {tensors} of the frozen group '{group}'",
                do="mend the adapter: an incremental update leaves frozen groups as they are",
                adapter=how.name,
                tensors=moved[:5],
                group=group,
            )
