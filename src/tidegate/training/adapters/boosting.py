"""Histogram gradient boosting: an update adds trees, or replaces some, and keeps the others."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.params.parallel import openmp
from tidegate.training.adapters.boosting_trees import BoostedTrees, threads_for, tree_tensors
from tidegate.training.adapters.scikit import (
    SklearnAdapter,
)
from tidegate.training.adapters.trees import (
    FIRST,
    check_tree_groups,
    next_group,
    tree_groups,
)
from tidegate.training.base import CLASSIFICATION, REGRESSION
from tidegate.training.labels import class_predictions
from tidegate.training.state import Array, Fitted, Job, Progress, Rows, Scorer, State


class _Continued:
    """Fits on from given trees with given bins, and reports every round.

    scikit-learn's own warm start finds the bins anew on every fit, which would move the splits
    of the trees that are there.
    """

    bins: _BinMapper | None = None
    report: Callable[[int], None]
    scored_every = 1

    def _bin_data(
        self,
        X: Any,  # noqa: N803 - the name in scikit-learn
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self.bins is None:
            return super()._bin_data(X, *args, **kwargs)  # type: ignore[misc]
        self._bin_mapper = self.bins
        return np.asarray(self.bins.transform(X), order="F")

    def _check_early_stopping_loss(self, *args: Any, **kwargs: Any) -> Any:
        done = len(self._predictors)  # type: ignore[attr-defined]
        self.report(done)
        if done % self.scored_every and done != self.max_iter:  # type: ignore[attr-defined]
            return False
        return super()._check_early_stopping_loss(*args, **kwargs)  # type: ignore[misc]


class _Classifier(_Continued, HistGradientBoostingClassifier):
    known = 2

    def _encode_y(self, y: Any) -> Any:
        self.classes_ = np.arange(self.known)  # rows of an update may lack a class
        self.n_trees_per_iteration_ = 1 if self.known == 2 else self.known
        return np.asarray(y, dtype=np.float64)

    _encode_y_val = _encode_y


class _Regressor(_Continued, HistGradientBoostingRegressor):
    pass


class HistGradientBoosting(SklearnAdapter):
    """Boosted trees on binned features.

    Groups: ``baseline``, ``binning`` and ``trees.0``, ``trees.1``, ... one for each update.

    Incremental adds a group of trees, fitted to what the others leave over. Hybrid replaces
    the key groups by as many rounds, fitted to what the groups kept leave over: one step of
    backfitting (Breiman and Friedman 1985, doi:10.1080/01621459.1985.10478157). Trees that are
    fitted beside others have a penalty on their leaves of their own: where the others are sure,
    the curvature is close to zero and a leaf without a penalty is as large as it likes.
    """

    name = "sklearn.hist_gradient_boosting"
    tasks = CLASSIFICATION | REGRESSION
    keeps_missing = True
    passed = {
        "learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31, "max_depth": None,
        "min_samples_leaf": 20, "l2_regularization": 0.0, "max_features": 1.0, "max_bins": 255,
        "early_stopping": False, "n_iter_no_change": 10, "validation_fraction": 0.1, "tol": 1e-7,
    }  # fmt: skip
    own = {"added_iter": (20, 1, 10_000), "added_l2_regularization": (5.0, 0.0, 1e6)}
    structural = frozenset({"max_bins"})
    searched = {
        "learning_rate": Range(low=0.02, high=0.3, log=True),
        "max_leaf_nodes": Range(low=4, high=127, log=True),
        "min_samples_leaf": Range(low=5, high=100, log=True),
        "max_iter": Range(low=30, high=300, log=True),
    }
    portfolio = ({"max_leaf_nodes": 7, "learning_rate": 0.05}, {"min_samples_leaf": 100})

    def space(self, task: Task) -> dict[str, Range]:
        """As declared; the loss of a regression as well."""
        if task is not Task.REGRESSION:
            return dict(self.searched)
        return {**self.searched, "loss": Range(choices=list(_LOSSES))}

    def starts(self, task: Task) -> list[dict[str, Any]]:
        """As declared; of a regression, each loss with trees that suit it."""
        if task is not Task.REGRESSION:
            return list(self.portfolio)
        return [
            {"loss": "absolute_error", "max_leaf_nodes": 15},
            {"loss": "poisson", "max_leaf_nodes": 7, "learning_rate": 0.3, "max_iter": 150},
            *self.portfolio,
        ]

    def defaults(self, task: Task) -> dict[str, Any]:
        """Every setting and its default; regression has a ``loss`` to choose."""
        loss = {"loss": "squared_error"} if task is Task.REGRESSION else {}
        return {**super().defaults(task), **loss}

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        passed = self.passed_of(settings)
        if passed["early_stopping"] is False:
            # Never stops, but scores every round: that is the curve.
            passed |= {"early_stopping": True, "validation_fraction": None,
                       "n_iter_no_change": 1_000_000}  # fmt: skip
        common = {"scoring": "loss", "categorical_features": None, "random_state": seed}
        if task is Task.REGRESSION:
            return _Regressor(**passed, **common, loss=settings["loss"])
        return _Classifier(**passed, **common)

    def check_settings(self, task: Task, settings: dict[str, Any]) -> None:
        """Raise WrongUsage for an unknown setting or a value that cannot be."""
        super().check_settings(task, settings)
        stops, loss = settings.get("early_stopping", False), settings.get("loss")
        if not isinstance(stops, bool) or loss not in (None, *_LOSSES):
            name = "loss" if isinstance(stops, bool) else "early_stopping"
            raise WrongUsage(
                "setting '{name}' cannot be {value}",
                do="use one of {known}",
                name=name,
                value=repr(settings[name]),
                known=list(_LOSSES) if name == "loss" else ["true", "false"],
            )

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``baseline``, ``binning``, and a group of trees for each update."""
        return list(state.groups) if state else ["baseline", "binning", FIRST]

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """The group of trees to add."""
        return [next_group(state) if state else FIRST]

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The newest group of trees."""
        return tree_groups(state)[-1:] if state else [FIRST]

    def architecture(self, rows: Rows, job: Job) -> dict[str, Any]:
        """As for every family; the loss of a regression is part of it."""
        made = super().architecture(rows, job)
        if job.task is Task.REGRESSION:
            made.setdefault("loss", job.settings["loss"])
        return made

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        estimator = self.estimator(job.task, job.settings, job.seed)
        if rows.classes is not None:
            estimator.known = len(rows.classes)
        elif job.settings["loss"] == "poisson" and (rows.y.min() < 0 or rows.y.sum() <= 0):
            raise DataError(
                "the loss 'poisson' needs a target without negative values, and not all zero",
                do="use another loss, or mend the target column",
            )
        if job.strategy is Strategy.FULL:
            _run(estimator, rows, job.settings["max_iter"], 0, job.progress)
            rounds = {FIRST: estimator._predictors}
            state = self._state(estimator, rows, job, rounds)
        else:
            state = self._move_on(estimator, rows, job)
        return Fitted(state, _curve(estimator), True)

    def _move_on(self, estimator: Any, rows: Rows, job: Job) -> State:
        parent = self.parent_of(job)
        check_tree_groups(job, parent)
        standing = BoostedTrees(self, parent)
        fresh = [next_group(parent)] if job.strategy is Strategy.INCREMENTAL else job.key_groups
        kept = [group for group in tree_groups(parent) if group not in fresh]
        sizes = [
            len(standing.rounds.get(group, [])) or job.settings["added_iter"] for group in fresh
        ]
        before = standing.hand_to(estimator, kept, job.seed)
        if kept:
            estimator.l2_regularization = job.settings["added_l2_regularization"]
        _run(estimator, rows, sum(sizes), before, job.progress)
        grown = estimator._predictors[before:]
        ends = np.cumsum(sizes)
        rounds = {
            group: grown[end - size : end]
            for group, size, end in zip(fresh, sizes, ends.tolist(), strict=True)
        }
        made = self._state(estimator, rows, job, rounds)
        names = [*parent.groups, *(group for group in fresh if group not in parent.groups)]
        groups = {group: made.groups.get(group) or parent.groups[group] for group in names}
        tensors = {
            name: made.tensors[name] if group in rounds else parent.tensors[name]
            for group, listed in groups.items()
            for name in listed
        }
        return State(made.architecture, tensors, groups)

    def _state(self, estimator: Any, rows: Rows, job: Job, rounds: dict[str, Any]) -> State:
        """The estimator's bins and baseline, and the named rounds of its trees."""
        thresholds = estimator._bin_mapper.bin_thresholds_
        tensors: dict[str, Array] = {
            "baseline": np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1),
            "binning.counts": np.array([len(t) for t in thresholds], dtype=np.int32),
            "binning.thresholds": np.concatenate(thresholds).astype(np.float64),
        }
        groups = {
            "baseline": ["baseline"],
            "binning": ["binning.counts", "binning.thresholds"],
        }
        for group, predictors in rounds.items():
            trees = tree_tensors(group, predictors)
            groups[group] = list(trees)
            tensors |= trees
        return State(self.architecture(rows, job), tensors, groups)

    def load(self, state: State) -> Scorer:
        """A function that gives class probabilities, or values."""
        trees = BoostedTrees(self, state)
        task, classes = Task(state.architecture["task"]), state.architecture.get("classes")
        names: tuple[str, ...] = ("max_bins", "loss")
        kept = {name: state.architecture[name] for name in names if name in state.architecture}
        bare = self.estimator(task, {**self.defaults(task), **kept}, 0)
        bare.n_trees_per_iteration_ = trees.outputs
        loss = bare._get_loss(sample_weight=None)
        if classes is None:
            return lambda x: Predictions(values=np.asarray(loss.link.inverse(trees.raw(x).ravel())))
        return lambda x: class_predictions(classes, loss.predict_proba(trees.raw(x)))


#: Points of a curve; the loss on all rows after each round would be a fifth of a large fit.
_POINTS = 16
_LOSSES = ("squared_error", "absolute_error", "poisson")


def _run(estimator: Any, rows: Rows, rounds: int, standing: int, progress: Progress) -> None:
    """Fit ``rounds`` more rounds on top of those that stand."""
    estimator.max_iter = standing + rounds
    if estimator.validation_fraction is None:  # it never stops: some points make a curve
        estimator.scored_every = max(1, rounds // _POINTS)
    estimator.report = lambda done: progress(done - standing, rounds)
    with openmp(threads_for(rows.x)):
        estimator.fit(rows.x, rows.y)


def _curve(estimator: Any) -> list[float]:
    """The loss as it fell: on rows held out, after each round, where it stops early; else on all
    rows, after every so many rounds."""
    scores = estimator.validation_score_ if len(estimator.validation_score_) else None
    return [-float(score) for score in (estimator.train_score_ if scores is None else scores)]
