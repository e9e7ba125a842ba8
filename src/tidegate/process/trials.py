"""Settings and strategies tried on parts of the training rows, before the candidate is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tidegate.data.folds import folds
from tidegate.data.split import Split, split
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.evidence import PlanEvidence, Search, Trial
from tidegate.domain.model import ModelSpec
from tidegate.domain.policy import SearchPolicy
from tidegate.domain.strategy import Strategy
from tidegate.process.compute import Compute
from tidegate.process.fitting import TrainingRows, fit_candidate, score_on
from tidegate.process.loading import Fitted
from tidegate.training.adapter import adapter
from tidegate.training.search import Proposal, behind, search

#: Share of the newest rows that strategies compete on.
_ASIDE = 0.2


@dataclass(frozen=True)
class Work:
    """What every trial needs: handed to a cluster once."""

    spec: ModelSpec
    plan: PlanEvidence
    rows: TrainingRows
    parent: Fitted | None
    parts: Sequence[Split]


def tried(
    spec: ModelSpec,
    plan: PlanEvidence,
    rows: TrainingRows,
    parent: Fitted | None,
    compute: Compute,
    progress: Callable[[int, int], None],
) -> Search | None:
    """What policy has searched for this plan; None where it asks for nothing.

    Without a search, rival strategies are tried once each with the model's own settings.
    """
    asked = spec.policy.training.search
    if asked is None and len(plan.rivals) < 2:
        return None
    how, seed = adapter(spec.adapter), spec.policy.training.seed
    assert spec.task is not None  # noqa: S101 - it is trained
    defaults = {**how.defaults(spec.task), **spec.policy.training.settings}
    strategies = [way.strategy for way in plan.rivals] or [plan.strategy]
    if asked is None:
        parts = [split(rows.newest, spec, _ASIDE, seed + 1)]
        work = Work(spec, plan, rows, parent, parts)
        proposals = [Proposal({}, strategy, []) for strategy in strategies]
        trials = compute.map(attempt, work, proposals, progress)
        return _decided(trials, spec)
    parts = _parts(rows.newest, spec, asked, seed)
    work = Work(spec, plan, rows, parent, parts)
    return search(
        asked,
        asked.space or how.space(spec.task),
        defaults,
        strategies,
        plan.settings,
        lambda proposals: compute.map(attempt, work, proposals, lambda _done, _total: None),
        greater=spec.metric.greater_is_better,
        seed=seed,
        progress=progress,
    )


def attempt(work: Work, proposal: Proposal) -> Trial:
    """One trial: trained and scored on part after part, until it falls behind."""
    facts: dict[str, Any] = {"settings": proposal.settings, "strategy": proposal.strategy}
    plan, parts = work.plan.taking(proposal.strategy), list[float]()
    for part in work.parts:
        train = work.rows.of(plan.strategy, work.rows.newest[part.train.tolist()])
        try:
            fitted, _ = fit_candidate(
                work.spec, plan, train, work.parent, lambda _done, _total: None,
                settings=proposal.settings, remembered=work.rows.remembered,
            )  # fmt: skip
            parts.append(
                score_on(work.spec, fitted.predictor(), work.rows.newest[part.holdout.tolist()])
            )
        except (DataError, WrongUsage) as error:
            return Trial(**facts, state="failed", parts=parts, why=error.text())
        if behind(parts, proposal.least, greater=work.spec.metric.greater_is_better):
            break
    done = len(parts) == len(work.parts)
    return Trial(
        **facts,
        state="complete" if done else "pruned",
        score=sum(parts) / len(parts),
        parts=parts,
    )


def _parts(newest: pl.DataFrame, spec: ModelSpec, asked: SearchPolicy, seed: int) -> list[Split]:
    if asked.folds == 1:
        return [split(newest, spec, _ASIDE, seed + 1)]
    return folds(newest, spec, asked.folds, seed)


def _decided(trials: list[Trial], spec: ModelSpec) -> Search:
    complete = [place for place, trial in enumerate(trials) if trial.state == "complete"]
    if not complete:
        raise DataError(
            "no strategy could be trained; the first one: {problem}",
            do="add rows, or name one strategy",
            problem=trials[0].why or "-",
        )
    sign = 1 if spec.metric.greater_is_better else -1
    best = max(complete, key=lambda place: (sign * (trials[place].score or 0.0), -place))
    return Search(trials=trials, best=best, repeatable=True)


def chosen(search: Search | None, plan: PlanEvidence) -> tuple[Strategy, dict[str, Any]]:
    """The strategy and the settings that won; the plan's own where nothing was tried."""
    if search is None:
        return plan.strategy, {}
    best = search.trials[search.best]
    return best.strategy, best.settings
