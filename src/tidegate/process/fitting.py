"""Training as planned: rows in, parameters behind their transform out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from tidegate.data.features.fit import fit_transform, training_features
from tidegate.data.features.transform import Transform
from tidegate.data.replay import reservoir
from tidegate.data.split import split
from tidegate.data.table import stacked
from tidegate.domain.evidence import PlanEvidence
from tidegate.domain.messages import say
from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Array, Predictions, Predictor
from tidegate.domain.strategy import Strategy
from tidegate.process.compute import HERE, Compute
from tidegate.process.loading import Fitted
from tidegate.training.adapter import Fitted as Fit
from tidegate.training.adapter import Job, State, adapter, load
from tidegate.training.blend import best_share, shortened
from tidegate.training.state import Checkpoint

#: Share of the training rows that tell how much of the child to keep.
_ASIDE = 0.2
#: Rows that Fisher information is taken over where none are replayed.
_FISHER_ROWS = 512


@dataclass(frozen=True)
class TrainingRows:
    """Cleaned, labelled rows: of ``earlier`` snapshots, oldest first, and of the ``newest``
    without its hold-out.

    ``remembered``: drawn from all that the parent learned from; ``replayed``: those of them that
    are trained on again.
    """

    newest: pl.DataFrame
    earlier: Sequence[pl.DataFrame] = ()
    remembered: pl.DataFrame | None = None
    replayed: pl.DataFrame | None = None

    def of(self, strategy: Strategy, window: int | None = None) -> pl.DataFrame:
        """What a strategy trains on, the newest last: replayed rows stand in for earlier ones
        where an update moves on. ``window``: no more snapshots than that."""
        before = self.earlier
        if window is not None:
            before = before[max(0, len(before) + 1 - window) :]
        if strategy is Strategy.INCREMENTAL:
            before = () if self.replayed is None else (self.replayed,)
        return stacked([*before, self.newest]) if before else self.newest


def gathered(
    spec: ModelSpec,
    plan: PlanEvidence,
    newest: pl.DataFrame,
    learned: Callable[[str], pl.DataFrame],
) -> TrainingRows:
    """What the plan trains on; ``learned`` gives the rows of a snapshot by its id."""
    window = max((way.snapshots for way in (plan, *plan.rivals)), key=len)
    remember = spec.policy.training.remember
    drawn = reservoir(
        map(learned, plan.remembered), remember.replay_rows or _FISHER_ROWS,
        spec.policy.training.seed,
    )  # fmt: skip
    return TrainingRows(
        newest=newest,
        earlier=[learned(name) for name in window[:-1]],
        remembered=drawn,
        replayed=drawn if remember.replay_rows else None,
    )


def fit_candidate(
    spec: ModelSpec,
    plan: PlanEvidence,
    rows: pl.DataFrame,
    parent: Fitted | None,
    progress: Callable[[int, int], None],
    *,
    settings: dict[str, Any] | None = None,
    remembered: pl.DataFrame | None = None,
    checkpoint: Checkpoint | None = None,
    compute: Compute = HERE,
) -> tuple[Fitted, Fit]:
    """Parameters trained as planned on labelled rows; pure but for the CPU it burns.

    A full update fits the feature transform anew; the others keep the parent's, since their
    parameters continue behind it, and stay within the step budget as far as the adapter's values
    can be averaged. ``settings`` go over the policy's; ``remembered`` rows tell which values
    mattered to what the parent learned.
    """
    assert spec.task is not None and spec.target is not None  # noqa: S101, PT018
    how, policy = adapter(spec.adapter), spec.policy.training
    job = Job(
        task=spec.task,
        strategy=plan.strategy,
        trainable_groups=plan.trainable_groups,
        key_groups=plan.key_groups,
        settings={**policy.settings, **(settings or {})},
        patterns=spec.groups,
        seed=policy.seed,
        progress=progress,
        checkpoint=checkpoint,
    )
    if plan.strategy is Strategy.FULL or parent is None:
        transform = fit_transform(rows, spec, keep_missing=how.keeps_missing)
        x = training_features(transform, rows, spec)
        fit = compute.fit(how.name, x, target_of(rows, spec), job)
        return Fitted(spec.adapter, fit.state, transform), fit
    transform, remember = parent.transform, policy.remember
    job = replace(
        job,
        parent=parent.state,
        pull=remember.pull,
        fisher=remember.fisher,
        remembered=None if remembered is None else transform.apply(remembered),
        limit=policy.max_relative_step,
    )
    averaged = remember.average or policy.max_changed_predictions is not None
    aside = None
    if averaged and how.blended(parent.state):
        parts = split(rows, spec, _ASIDE, policy.seed + 2)
        rows, aside = rows[parts.train.tolist()], rows[parts.holdout.tolist()]
    fit = compute.fit(how.name, transform.apply(rows), target_of(rows, spec), job)
    if policy.max_relative_step is not None:
        state, cut = shortened(how, parent.state, fit.state, policy.max_relative_step,
                               plan.key_groups)  # fmt: skip
        told = [say("shortened to the step budget: {groups}", groups=cut)] if cut else []
        fit = replace(fit, state=state, notes=[*fit.notes, *told])
    if aside is not None:
        fit = _averaged(spec, transform, parent, fit, aside, plan.key_groups)
    return Fitted(spec.adapter, fit.state, transform), fit


def score_on(spec: ModelSpec, predictor: Predictor, rows: pl.DataFrame) -> float:
    """The primary metric on labelled rows."""
    return float(
        METRICS[spec.metric.name][1](target_of(rows, spec), predictor.predict(rows).values)
    )


def changed_share(task: Task, truth: Any, now: Any, before: Any) -> float:
    """Share of answers that are other ones: another class, or a number that moved by more than
    the mean error before."""
    if task is not Task.REGRESSION:
        return float(np.mean(now != before))
    usual = float(np.mean(np.abs(before - truth)))
    return float(np.mean(np.abs(now - before) > usual))


def _averaged(
    spec: ModelSpec,
    transform: Transform,
    parent: Fitted,
    fit: Fit,
    aside: pl.DataFrame,
    anew: Sequence[str],
) -> Fit:
    """Parent and child averaged in the proportion that scores best on rows kept aside, where
    policy asks for that; else as much of the child as changes no more answers than it allows."""
    assert spec.task is not None  # noqa: S101
    how, truth, x = adapter(spec.adapter), target_of(aside, spec), transform.apply(aside)
    limit, task = spec.policy.training.max_changed_predictions, spec.task
    sign = 1 if spec.metric.greater_is_better else -1

    def answers(state: State) -> Predictions:
        return load(spec.adapter, state).predict(x)

    before = answers(parent.state).values

    def score(state: State) -> float:
        now = answers(state).values
        if limit is not None and changed_share(task, truth, now, before) > limit:
            return -np.inf
        better = sign * METRICS[spec.metric.name][1](truth, now)
        return better if spec.policy.training.remember.average else 0.0

    state, share = best_share(how, parent.state, fit.state, score, anew)
    if share == 1:
        if not spec.policy.training.remember.average:
            return fit
        kept = say("averaging with the parent would score no better: all of it is new")
        return replace(fit, notes=[*fit.notes, kept])
    told = say("averaged with the parent: {share:.0%} of it is new", share=share)
    return replace(fit, state=state, notes=[*fit.notes, told])


def target_of(rows: pl.DataFrame, spec: ModelSpec) -> Array:
    """The labels of some rows, ``(n_rows,)``."""
    assert spec.target is not None  # noqa: S101 - it is trained
    return np.asarray(rows[spec.target].to_numpy())
