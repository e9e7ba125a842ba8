"""Plan: which strategy, on which data, moving which parameter groups, and why."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from tidegate.domain.drift import ConceptDrift
from tidegate.domain.evidence import PlanEvidence, PrepareEvidence, TrainEvidence, Way
from tidegate.domain.messages import Message, say
from tidegate.domain.model import ModelSpec
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range, SearchPolicy, TrainingPolicy
from tidegate.process.case import Case, Done
from tidegate.process.history import learned_from, trainings
from tidegate.process.loading import load_fitted
from tidegate.training.adapter import Adapter, State, adapter, check_groups
from tidegate.training.search import check_policy, space_of
from tidegate.training.strategy import AUTO, Facts, choose_strategy


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
        past = list(islice(trainings(reader, update.model, update.champion), _LOOKED_BACK))
    parent = load_fitted(case.home, update.model, update.champion)
    return Done(
        make_plan(
            spec,
            prepared,
            requested=update.requested,
            parent=parent.state if parent else None,
            parent_number=update.champion,
            earlier=[(one.id, one.labelled_rows) for one in history if one.id != update.snapshot],
            past=past,
        )
    )


#: Trainings looked back at: enough to find the last full update, and settings that served well.
_LOOKED_BACK = 50
#: Settings of earlier versions that a search tries first.
_KNOWN = 3


def make_plan(
    spec: ModelSpec,
    prepared: PrepareEvidence,
    *,
    requested: str,
    parent: State | None,
    parent_number: int | None,
    earlier: list[tuple[str, int]],
    past: Sequence[TrainEvidence] = (),
) -> PlanEvidence:
    """A plan from the evidence on the data; ``earlier`` are the snapshots learned so far,
    oldest first, with their labelled rows; ``past`` is how versions before were trained, the
    newest first. Raises WrongUsage for what the adapter cannot do."""
    assert prepared.snapshot is not None and spec.task is not None  # noqa: S101, PT018
    how, policy = adapter(spec.adapter), spec.policy.training
    check_policy(how, spec.task, policy)
    windows = _windows(policy, past, len(earlier) + 1)
    kept = _newest(earlier, windows[0])
    seen = prepared.consistency
    facts = Facts(
        drifted=None if seen is None else seen.reaches(spec.policy.data.drift_grade),
        champion_drop=None if seen is None else _lost(seen.concept),
        new_rows=prepared.labelled_rows,
        history_rows=sum(rows for _, rows in kept),
        **_full(past, prepared.train_rows + sum(rows for _, rows in kept)),
    )
    strategy, why = choose_strategy(
        requested, facts, supported=how.strategies, parent_exists=parent is not None, policy=policy
    )
    most = _newest(earlier, None if None in windows else max(filter(None, windows)))
    reach = _full(past, prepared.train_rows + sum(rows for _, rows in most)).get("full_seconds")
    space = space_of(how, spec.task, policy)
    searches, told = _searches(policy.search, space, past, reach)
    window = [*(name for name, _ in (most if searches else kept)), prepared.snapshot]
    ways = {one: _way(one, spec, how, parent, window) for one in Strategy if one in how.strategies}
    rivals: list[Way] = []
    if requested == AUTO and parent is not None:
        rivals = _competing(policy, ways, strategy)
    if rivals:
        names = [say(way.strategy) for way in rivals]
        told = [
            say("policy lets these compete, and the best one stands: {names}", names=names),
            *told,
        ]
        strategy = rivals[0].strategy
    if parent is not None:
        way = ways[strategy]
        check_groups(how, spec.task, parent, policy.settings, way.trainable_groups, way.key_groups)
    draws = policy.remember.replay_rows > 0 or (policy.remember.pull > 0 and policy.remember.fisher)
    return PlanEvidence(
        **dict(ways[strategy]),
        requested=requested,
        supported=sorted(how.strategies),
        learned=[*(name for name, _ in earlier), prepared.snapshot],
        remembered=[name for name, _ in earlier] if draws and parent is not None else [],
        rivals=rivals,
        searches=searches,
        settings=_served_best(spec, how, past),
        windows=windows if searches and len(windows) > 1 else [],
        parent=parent_number,
        max_relative_step=policy.max_relative_step,
        why=[*why, *told],
    )


def _competing(policy: TrainingPolicy, ways: dict[Strategy, Way], first: Strategy) -> list[Way]:
    """The rivals that the adapter can do, ``first`` at the head where it is one of them; none where
    one alone is left."""
    rivals = [ways[Strategy(one)] for one in policy.rivals if Strategy(one) in ways]
    rivals.sort(key=lambda way: way.strategy is not first)
    return rivals if len(rivals) > 1 else []


def _windows(
    policy: TrainingPolicy, past: Sequence[TrainEvidence], snapshots: int
) -> list[int | None]:
    """How many of the newest of so many snapshots a full update may train on, what stands first:
    what the last search ended with where it is still one of them, else policy's own number. Those
    that come to the same are named once."""
    allowed = [policy.window_snapshots, *(policy.search.windows if policy.search else [])]
    last = next((one for one in past if _searched(one)), None)
    if last is not None and last.window in allowed and len(allowed) > 1:
        allowed.insert(0, last.window)
    apart: dict[int, int | None] = {}
    for one in allowed:
        apart.setdefault(snapshots if one is None else min(one, snapshots), one)
    return list(apart.values())


def _newest(earlier: list[tuple[str, int]], size: int | None) -> list[tuple[str, int]]:
    """Snapshots before the new one, which is one of ``size``."""
    return earlier if size is None else earlier[max(0, len(earlier) - size + 1) :]


def _searches(
    asked: SearchPolicy | None,
    space: dict[str, Range],
    past: Sequence[TrainEvidence],
    full_seconds: float | None,
) -> tuple[bool, list[Message]]:
    """Whether settings are searched for now, and why not where policy would have it."""
    if asked is None:
        return False, []
    if not space:
        return False, [say("no settings are left to search")]
    since = next((at for at, one in enumerate(past) if _searched(one)), None)
    if since is not None and since + 1 < asked.every:
        return False, [
            say("settings that a search found {updates} update(s) ago stand", updates=since + 1)
        ]
    if since is None and len(past) + 1 < asked.every:
        return False, [say("settings are searched for from update {number} on", number=asked.every)]
    if asked.budget_seconds is None:
        return True, []
    if full_seconds is None:
        return False, [say("settings are searched for once it is known how long training takes")]
    seconds = full_seconds * asked.trials * asked.folds
    if seconds > asked.budget_seconds:
        return False, [
            say(
                "no search for settings: it would take about {seconds:.3g} s, and policy allows "
                "{limit:g} s",
                seconds=seconds,
                limit=asked.budget_seconds,
            )
        ]
    return True, []


def _searched(trained: TrainEvidence) -> bool:
    return trained.search is not None and trained.search.of_settings


def _way(
    strategy: Strategy, spec: ModelSpec, how: Adapter, parent: State | None, window: list[str]
) -> Way:
    """What a strategy moves and learns from."""
    assert spec.task is not None  # noqa: S101 - it is trained
    policy, groups = spec.policy.training, how.group_names(spec.task, parent)
    trainable: list[str] = []
    key: list[str] = []
    if strategy is Strategy.INCREMENTAL:
        settings = {**how.defaults(spec.task), **policy.settings}
        trainable = policy.trainable_groups or how.trainable_groups(spec.task, parent, settings)
    if strategy is Strategy.HYBRID:
        key = policy.key_groups or how.key_groups(spec.task, parent)
    frozen = [group for group in groups if group not in trainable]
    return Way(
        strategy=strategy,
        trainable_groups=list(trainable),
        frozen_groups=frozen if strategy is Strategy.INCREMENTAL else [],
        key_groups=list(key),
        # An incremental update moves on from what it knows: the new data alone.
        snapshots=window[-1:] if strategy is Strategy.INCREMENTAL else window,
    )


def _lost(concept: ConceptDrift | None) -> float | None:
    """What the champion has lost of its score: points of accuracy, or a share of its error."""
    if concept is None or not concept.drifted:
        return None
    scale = 1.0 if concept.metric == "error" else concept.before or 1.0
    return (concept.now - concept.before) / scale


def _full(past: Sequence[TrainEvidence], rows: int) -> dict[str, Any]:
    """Updates since the last full one, and what one should take now by its measure."""
    for updates, one in enumerate(past):
        if one.strategy is Strategy.FULL and one.rows:
            seconds = one.fit_seconds or one.seconds
            return {"since_full": updates, "full_seconds": seconds * rows / one.rows}
    return {}


def _served_best(
    spec: ModelSpec, how: Adapter, past: Sequence[TrainEvidence]
) -> list[dict[str, Any]]:
    """Settings that searches for earlier versions ended with, each once, the newest first: as
    far as they are searched for today."""
    policy = spec.policy.training
    if policy.search is None or spec.task is None:
        return []
    space = space_of(how, spec.task, policy)
    found: list[dict[str, Any]] = []
    for one in past:
        settings = {
            name: one.settings[name]
            for name, allowed in space.items()
            if name in one.settings and allowed.holds(one.settings[name])
        }
        if _searched(one) and settings and settings not in found:
            found.append(settings)
    return found[:_KNOWN]
