"""Plan: which strategy, on which data, moving which parameter groups, and why."""

from tidegate.domain.evidence import PlanEvidence, PrepareEvidence
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.process.case import Case, Done
from tidegate.process.history import learned_from
from tidegate.process.loading import load_fitted
from tidegate.training.adapter import State, adapter
from tidegate.training.strategy import choose_strategy


def run(case: Case) -> Done:
    """The plan for this update."""
    update, spec = case.update, case.update.spec
    if update.source is not None:
        return Done(
            PlanEvidence(
                strategy=Strategy.IMPORT,
                requested=update.requested,
                supported=[Strategy.IMPORT],
                parent=update.champion,
                why=[say("the parameters are taken as they are in the file")],
            )
        )
    prepared = case.earlier(Stage.PREPARE, PrepareEvidence)
    with case.home.journal.read() as reader:
        history = learned_from(reader, update.model, update.champion)
    parent = load_fitted(case.home, update.model, update.champion)
    before = [past.id for past in history if past.id != update.snapshot]
    return Done(
        make_plan(
            spec,
            prepared,
            requested=update.requested,
            parent=parent.state if parent else None,
            parent_number=update.champion,
            earlier=[(past.id, past.labelled_rows) for past in history if past.id in before],
        )
    )


def make_plan(
    spec: ModelSpec,
    prepared: PrepareEvidence,
    *,
    requested: str,
    parent: State | None,
    parent_number: int | None,
    earlier: list[tuple[str, int]],
) -> PlanEvidence:
    """A plan from the evidence on the data; ``earlier`` are the snapshots learned so far,
    oldest first, with their labelled rows."""
    assert prepared.snapshot is not None and spec.task is not None  # noqa: S101, PT018
    how, policy = adapter(spec.adapter), spec.policy.training
    size = policy.window_snapshots  # the new snapshot is one of them
    kept = earlier if size is None else earlier[len(earlier) - min(len(earlier), size - 1) :]
    seen = prepared.consistency
    strategy, why = choose_strategy(
        requested,
        supported=how.strategies,
        parent_exists=parent is not None,
        drifted=None if seen is None else seen.reaches(spec.policy.data.drift_grade),
        champion_drop=None,
        new_rows=prepared.labelled_rows,
        history_rows=sum(rows for _, rows in kept),
    )
    groups = how.group_names(spec.task, parent)
    trainable = key = []
    if strategy is Strategy.INCREMENTAL:
        trainable = policy.trainable_groups or how.trainable_groups(spec.task, parent)
    if strategy is Strategy.HYBRID:
        key = policy.key_groups or how.key_groups(spec.task, parent)
    window = [*(name for name, _ in kept), prepared.snapshot]
    frozen = [group for group in groups if group not in trainable]
    return PlanEvidence(
        strategy=strategy,
        requested=requested,
        supported=sorted(how.strategies),
        trainable_groups=list(trainable),
        frozen_groups=frozen if strategy is Strategy.INCREMENTAL else [],
        key_groups=list(key),
        # An incremental update moves on from what it knows: the new data alone.
        snapshots=window[-1:] if strategy is Strategy.INCREMENTAL else window,
        learned=[*(name for name, _ in earlier), prepared.snapshot],
        parent=parent_number,
        max_relative_step=policy.max_relative_step,
        why=why,
    )
