"""Linear and ridge regression: an incremental update is exact, as if all rows had been there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression as PlainEstimator
from sklearn.linear_model import Ridge as RidgeEstimator

from tidegate.domain.metrics import Task
from tidegate.domain.predictor import Predictions
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range
from tidegate.training.adapters.scikit import (
    MEMORY,
    SklearnAdapter,
    loss_of,
)
from tidegate.training.base import REGRESSION
from tidegate.training.state import Array, Fitted, Floats, Job, Rows, Scorer, State

GROUPS = ["coef", "intercept", "statistics"]


@dataclass(frozen=True)
class Moments:
    """All that least squares needs of rows, centred so that large means cost no digits.

    ``rows``: weight of the rows; ``mean_x`` ``(f,)``; ``mean_y`` ``()``; ``xx`` ``(f, f)`` and
    ``xy`` ``(f,)``: sums of products of deviations from the means.
    """

    rows: Floats
    mean_x: Floats
    mean_y: Floats
    xx: Floats
    xy: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats) -> "Moments":
        """The moments of rows."""
        mean_x, mean_y = x.mean(axis=0), y.mean()
        dx, dy = x - mean_x, y - mean_y
        return cls(np.array(float(len(x))), mean_x, np.array(mean_y), dx.T @ dx, dx.T @ dy)

    @classmethod
    def stored(cls, state: State) -> "Moments":
        """The moments that a version remembers."""
        return cls(**{
            name.removeprefix("statistics."): array
            for name, array in state.of_group("statistics").items()
        })  # fmt: skip

    def tensors(self) -> dict[str, Array]:
        """The tensors of the group ``statistics``."""
        return {f"statistics.{name}": np.asarray(value) for name, value in vars(self).items()}

    def faded(self, memory: float) -> "Moments":
        """The same rows, each counting ``memory`` times."""
        return Moments(
            self.rows * memory, self.mean_x, self.mean_y, self.xx * memory, self.xy * memory
        )

    def joined(self, new: "Moments") -> "Moments":
        """The moments of both sets of rows together.

        Pairwise update of Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115.
        """
        rows = self.rows + new.rows
        share = new.rows / rows
        dx, dy = new.mean_x - self.mean_x, new.mean_y - self.mean_y
        between = self.rows * share
        return Moments(
            rows,
            self.mean_x + share * dx,
            np.asarray(self.mean_y + share * dy),
            self.xx + new.xx + between * np.outer(dx, dx),
            self.xy + new.xy + between * dx * dy,
        )

    def shifted(self, new: "Moments") -> "Moments":
        """Both sets of rows about their own means: the slopes of all, the level of the new."""
        return Moments(new.rows, new.mean_x, new.mean_y, self.xx + new.xx, self.xy + new.xy)

    def slopes(self, alpha: float, intercept: Array | None = None) -> Floats:
        """Ridge coefficients ``(f,)``; of least norm where ``alpha`` is 0 and columns repeat.

        With an ``intercept`` given they are the best beside that one, else beside their own.
        """
        xx, xy = self.xx, self.xy
        if intercept is not None:
            xx = xx + self.rows * np.outer(self.mean_x, self.mean_x)
            xy = xy + self.rows * self.mean_x * (self.mean_y - intercept)
        if alpha > 0:
            return np.asarray(np.linalg.solve(xx + alpha * np.eye(len(xx)), xy))
        return np.asarray(np.linalg.pinv(xx, hermitian=True, rcond=1e-12) @ xy)

    def level(self, slopes: Array) -> Floats:
        """The intercept ``()`` that leaves no mean residual beside these slopes."""
        return np.asarray(self.mean_y - self.mean_x @ slopes)


class _LeastSquares(SklearnAdapter):
    """Groups ``coef``, ``intercept`` and ``statistics`` (the moments of all rows learned from).

    Incremental: least squares over the parent's rows, through their moments, and the new ones.
    """

    tasks = REGRESSION
    own = {"memory": MEMORY}
    averaged = ("coef", "intercept")

    def group_names(self, task: Task, state: State | None) -> list[str]:
        """``coef``, ``intercept``, ``statistics``."""
        return list(GROUPS)

    def trainable_groups(
        self, task: Task, state: State | None, settings: dict[str, Any]
    ) -> list[str]:
        """All of them."""
        return list(GROUPS)

    def key_groups(self, task: Task, state: State | None) -> list[str]:
        """The intercept: the level."""
        return ["intercept"]

    def fit(self, rows: Rows, job: Job) -> Fitted:
        """Parameters from rows."""
        alpha = float(job.settings.get("alpha", 0.0))
        new = Moments.of(rows.x, rows.y)
        if job.strategy is Strategy.FULL:
            estimator = self.estimator(job.task, job.settings, job.seed).fit(rows.x, rows.y)
            tensors = {"coef": estimator.coef_, "intercept": np.asarray(estimator.intercept_)}
            tensors |= new.tensors()
        else:
            old = self.parent_of(job)
            move = _incremental if job.strategy is Strategy.INCREMENTAL else _hybrid
            tensors = move(old, Moments.stored(old).faded(job.settings["memory"]), new, alpha, job)
        groups = {"coef": ["coef"], "intercept": ["intercept"]}
        groups["statistics"] = [name for name in tensors if name.startswith("statistics.")]
        state = State(self.architecture(rows, job), tensors, groups)
        before = float(np.mean((rows.y - rows.y.mean()) ** 2))
        if job.strategy is not Strategy.FULL and job.parent is not None:
            before = loss_of(self.load(job.parent)(rows.x), rows.y)
        return Fitted(state, [before, loss_of(self.load(state)(rows.x), rows.y)], True)

    def load(self, state: State) -> Scorer:
        """A function that gives values."""
        coef = self.shape(state, "coef", state.architecture["n_features"])
        intercept = self.shape(state, "intercept")
        return lambda x: Predictions(values=x @ coef + intercept)


class LinearRegression(_LeastSquares):
    """Ordinary least squares."""

    name = "sklearn.linear_regression"

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return PlainEstimator(**self.passed_of(settings))


class Ridge(_LeastSquares):
    """Least squares with a penalty on the squared coefficients."""

    name = "sklearn.ridge"
    passed = {"alpha": 1.0}
    searched = {"alpha": Range(low=1e-3, high=1e3, log=True)}

    def estimator(self, task: Task, settings: dict[str, Any], seed: int) -> Any:
        """An unfitted estimator with these settings."""
        return RidgeEstimator(**self.passed_of(settings))


def _incremental(
    parent: State, old: Moments, new: Moments, alpha: float, job: Job
) -> dict[str, Array]:
    """Least squares over all rows in the groups that move, beside what stays."""
    moves, tensors = job.trainable_groups, dict(parent.tensors)
    both = old.joined(new)
    if "coef" in moves:
        held = None if "intercept" in moves else tensors["intercept"]
        tensors["coef"] = both.slopes(alpha, held)
    if "intercept" in moves:
        tensors["intercept"] = both.level(tensors["coef"])
    if "statistics" in moves:
        tensors |= both.tensors()
    return tensors


def _hybrid(parent: State, old: Moments, new: Moments, alpha: float, job: Job) -> dict[str, Array]:
    """Key groups from the new rows alone, the others from all rows."""
    key = job.key_groups
    if "statistics" in key or {"coef", "intercept"} <= set(key):
        known = new
    else:
        known = old.shifted(new) if "intercept" in key else old.joined(new)
    coef = (new if "coef" in key else known).slopes(alpha)
    intercept = (new if "intercept" in key else known).level(coef)
    return {"coef": coef, "intercept": intercept, **known.tensors()}
