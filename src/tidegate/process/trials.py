"""Settings and strategies tried on parts of the training rows, before the candidate is trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from tidegate.data.folds import folds
from tidegate.data.split import Split, split
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.evidence import PlanEvidence, Search, Trial
from tidegate.domain.metrics import METRICS, Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.predictor import Predictor
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import SearchPolicy
from tidegate.process.compute import Compute
from tidegate.process.fitting import TrainingRows, fit_candidate, target_of
from tidegate.process.loading import Fitted
from tidegate.training.adapter import Adapter, adapter
from tidegate.training.search import Proposal, behind, best_of, search, space_of
from tidegate.training.validation.calibration import brier

#: Share of the newest rows that strategies compete on.
_ASIDE = 0.2


@dataclass(frozen=True)
class Work:
    """What every trial needs: handed to a cluster once."""

    spec: ModelSpec
    plan: PlanEvidence
    parent: Fitted | None
    parts: Sequence["Part"]


@dataclass(frozen=True)
class Part:
    """Rows that a trial trains on, and rows that it is scored on."""

    train: TrainingRows
    test: pl.DataFrame


def tried(
    spec: ModelSpec,
    plan: PlanEvidence,
    rows: TrainingRows,
    parent: Fitted | None,
    compute: Compute,
    progress: Callable[[int, int], None],
) -> Search | None:
    """What is searched for this plan; None where it asks for nothing.

    Without a search, rival strategies are tried once each with the settings that stand.
    """
    asked = spec.policy.training.search if plan.searches else None
    if asked is None and len(plan.rivals) < 2:
        return None
    how, seed = adapter(spec.adapter), spec.policy.training.seed
    assert spec.task is not None  # noqa: S101 - it is trained
    defaults = {**how.defaults(spec.task), **spec.policy.training.settings}
    strategies = [way.strategy for way in plan.rivals] or [plan.strategy]
    if asked is None:
        work = Work(spec, plan, parent, [_aside(rows, spec, seed)])
        proposals = [Proposal(_standing(plan), strategy, []) for strategy in strategies]
        trials = compute.map(attempt, work, proposals, progress)
        return _decided(trials)
    work = Work(spec, plan, parent, _parts(rows, spec, asked, strategies))
    return search(
        asked,
        space_of(how, spec.task, spec.policy.training),
        defaults,
        strategies,
        plan.windows or [None],
        [*plan.settings[:1], defaults, *plan.settings[1:], *_starts(how, spec.task, defaults)],
        lambda proposals: compute.map(attempt, work, proposals, lambda _done, _total: None),
        seed=seed,
        progress=progress,
    )


def _starts(how: Adapter, task: Task, defaults: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**defaults, **start} for start in how.starts(task)]


def attempt(work: Work, proposal: Proposal) -> Trial:
    """One trial: trained and scored on part after part, until it falls behind."""
    facts: dict[str, Any] = {
        "settings": proposal.settings, "strategy": proposal.strategy, "window": proposal.window,
    }  # fmt: skip
    plan, scores, merits = work.plan.taking(proposal.strategy), list[float](), list[float]()
    for part in work.parts:
        try:
            fitted, _ = fit_candidate(
                work.spec, plan, part.train.of(plan.strategy, proposal.window), work.parent,
                lambda _done, _total: None, settings=proposal.settings,
                remembered=part.train.remembered,
            )  # fmt: skip
            score, merit = _judged(work.spec, fitted.predictor(), part.test)
        except (DataError, WrongUsage) as error:
            return Trial(**facts, state="failed", merits=merits, why=error.text())
        scores.append(score)
        merits.append(merit)
        if behind(merits, proposal.least):
            break
    done = len(merits) == len(work.parts)
    return Trial(
        **facts,
        state="complete" if done else "pruned",
        score=sum(scores) / len(scores),
        merits=merits,
    )


def _judged(spec: ModelSpec, predictor: Predictor, rows: pl.DataFrame) -> tuple[float, float]:
    """The primary metric, and what trials are ranked by."""
    assert spec.task is not None  # noqa: S101 - it is trained
    truth, said = target_of(rows, spec), predictor.predict(rows)
    score = float(METRICS[spec.metric.name][1](truth, said.values))
    if not math.isfinite(score):
        raise DataError(
            "the score is no finite number", do="bring the target's values into a smaller range"
        )
    search = spec.policy.training.search
    near = brier(truth, said) if search is None or search.by == "probabilities" else None
    if near is not None:
        return score, -near
    return score, score if spec.metric.greater_is_better else -score


def _parts(
    rows: TrainingRows, spec: ModelSpec, asked: SearchPolicy, strategies: Sequence[Strategy]
) -> list[Part]:
    """What comes next is what settings are to tell, so each of the newest snapshots is told from
    those before it. A strategy that moves on has learned from those: it is tried on folds."""
    seed = spec.policy.training.seed
    if rows.earlier and set(strategies) == {Strategy.FULL}:
        line = [*rows.earlier, rows.newest]
        first = max(1, len(line) - asked.folds)
        return [
            Part(TrainingRows(line[at - 1], line[: at - 1]), line[at])
            for at in range(first, len(line))
        ]
    if asked.folds == 1:
        return [_aside(rows, spec, seed)]
    return [_part(rows, one) for one in folds(rows.newest, spec, asked.folds, seed)]


def _aside(rows: TrainingRows, spec: ModelSpec, seed: int) -> Part:
    return _part(rows, split(rows.newest, spec, _ASIDE, seed + 1))


def _part(rows: TrainingRows, parts: Split) -> Part:
    train = replace(rows, newest=rows.newest[parts.train.tolist()])
    return Part(train, rows.newest[parts.holdout.tolist()])


def _standing(plan: PlanEvidence) -> dict[str, Any]:
    """Settings that an earlier search ended with, where none is made now."""
    return plan.settings[0] if plan.settings and not plan.searches else {}


def _decided(trials: list[Trial]) -> Search:
    best = best_of(trials)
    if best is None:
        raise DataError(
            "no strategy could be trained; the first one: {problem}",
            do="add rows, or name one strategy",
            problem=trials[0].why or "-",
        )
    return Search(trials=trials, best=best, repeatable=True, of_settings=False)


def chosen(
    search: Search | None, plan: PlanEvidence
) -> tuple[Strategy, dict[str, Any], int | None]:
    """The strategy, the settings and the window that won; those that stand where nothing was
    tried."""
    if search is None:
        return plan.strategy, _standing(plan), None
    best = search.trials[search.best]
    return best.strategy, best.settings, best.window
