"""A search for better settings: Optuna proposes, a median ends what falls behind."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tidegate.domain.errors import WrongUsage
from tidegate.domain.evidence import Search, Trial
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import Range, SearchPolicy, TrainingPolicy
from tidegate.training.nearest import known_or_refuse
from tidegate.training.state import Adapter, Progress

#: Trials proposed at once and tried side by side. The same everywhere, or a cluster would find
#: other settings than one machine.
WIDTH = 4
STRATEGY = "(strategy)"


class Proposal(NamedTuple):
    """What to try: settings over the model's own, on how many of the newest snapshots (None: all
    that are there), and after which part what score is too low.

    ``least`` holds a bar for the mean merit of the first part, of the first two, ...
    """

    settings: dict[str, Any]
    strategy: Strategy
    least: list[float]
    window: int | None = None


#: Tries some proposals and gives their trials in the same order.
Try = Callable[[Sequence[Proposal]], list[Trial]]


def behind(merits: Sequence[float], least: Sequence[float]) -> bool:
    """Whether the mean of ``merits`` lies below the bar for so many."""
    return len(merits) <= len(least) and float(np.mean(merits)) < least[len(merits) - 1]


def search(
    policy: SearchPolicy,
    space: Mapping[str, Range],
    defaults: Mapping[str, Any],
    strategies: Sequence[Strategy],
    windows: Sequence[int | None],
    first: Sequence[dict[str, Any]],
    attempt: Try,
    *,
    seed: int,
    progress: Progress,
) -> Search:
    """The trials, and which one is best: the settings tried ``first``, then others, all on the
    first of the ``windows`` (numbers of newest snapshots); last what won there, on each of the
    others.

    Proposed by the tree-structured Parzen estimator (Bergstra et al. 2011), one and then rounds of
    ``WIDTH``; a trial ends where its mean over the parts so far, two at least, lies below the
    median of those finished in earlier rounds (Golovin et al. 2017, doi:10.1145/3097983.3098043),
    or on another window below that of what won. ``space``: ranges of settings; ``defaults``: the
    value of each, whose type a number keeps; ``strategies``: searched as well where there are
    several. Raises WrongUsage for a setting that is not known, where there is nothing to search, or
    where all trials fail.
    """
    import optuna  # imported here: it takes half a second, and most updates search nothing

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges = _distributions(space, defaults, strategies, optuna)
    study = _study(space, first, seed, optuna)
    began, trials = time.monotonic(), list[Trial]()
    others = windows[1:] if len(windows) < policy.trials else []
    while len(trials) < policy.trials - len(others):
        if policy.seconds is not None and trials and time.monotonic() - began > policy.seconds:
            break
        progress(len(trials), policy.trials)
        count = min(WIDTH if trials else 1, policy.trials - len(others) - len(trials))
        asked = [study.ask(ranges) for _ in range(count)]
        least = _bars(trials)
        made = attempt(
            [_proposal(one.params, space, least, strategies, windows[0]) for one in asked]
        )
        for one, trial in zip(asked, made, strict=True):
            _tell(study, one, trial, optuna)
        trials += made
    trials += _on_others(others, trials, attempt)
    progress(policy.trials, policy.trials)
    best = best_of(trials)
    if best is None:
        raise WrongUsage(
            "all {count} trials of the search failed; the first one: {problem}",
            do="mend the search space in the model file (policy.training.search)",
            count=len(trials),
            problem=trials[0].why or "-",
        )
    return Search(trials=trials, best=best, repeatable=policy.seconds is None)


def _study(
    space: Mapping[str, Range], first: Sequence[dict[str, Any]], seed: int, optuna: Any
) -> Any:
    """A study that proposes these settings first, as far as they lie within the space."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2 * WIDTH)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for settings in first:
        values = _within(space, settings)
        if values:
            study.enqueue_trial(values, skip_if_exists=True)
    return study


def _on_others(windows: Sequence[int | None], trials: Sequence[Trial], attempt: Try) -> list[Trial]:
    """What won so far, on each of these windows."""
    best = best_of(trials)
    if best is None or not windows:
        return []
    won = trials[best]
    least = _from_the_second(_means(won.merits))
    return attempt([Proposal(won.settings, won.strategy, least, each) for each in windows])


def best_of(trials: Sequence[Trial]) -> int | None:
    """The place of the first of those with the most merit; None where none was completed."""
    complete = [place for place, trial in enumerate(trials) if trial.state == "complete"]
    return max(complete, key=lambda place: (trials[place].merit, -place), default=None)


def space_of(how: Adapter, task: Task, policy: TrainingPolicy) -> dict[str, Range]:
    """The settings that a search may vary: those named, else the adapter's own but for what the
    model file sets."""
    if policy.search is not None and policy.search.space:
        return policy.search.space
    return {n: allowed for n, allowed in how.space(task).items() if n not in policy.settings}


def check_policy(how: Adapter, task: Task, policy: TrainingPolicy) -> None:
    """Raise WrongUsage for what is known to fail before anything is trained."""
    how.check_settings(task, policy.settings)
    if policy.search is not None:
        defaults = {**how.defaults(task), **policy.settings}
        check_space(space_of(how, task, policy), defaults)
        for name, allowed in policy.search.space.items():
            for value in allowed.ends(whole=isinstance(defaults[name], int)):
                how.check_settings(task, {**policy.settings, name: value})
    if policy.remember.pull and not how.pulls:
        raise WrongUsage(
            "adapter '{adapter}' cannot be pulled to the parent's values",
            do="leave policy.training.remember.pull out, or replay rows instead (replay_rows)",
            adapter=how.name,
        )


def check_space(space: Mapping[str, Range], defaults: Mapping[str, Any]) -> None:
    """Raise WrongUsage where a range is of no setting, or of one that is no number."""
    for name, allowed in space.items():
        known_or_refuse(name, defaults, "the search space names '{name}', which is no setting")
        if allowed.choices is None and (
            isinstance(defaults[name], bool) or not isinstance(defaults[name], (int, float))
        ):
            raise WrongUsage(
                "'{name}' is no number to search from {low:g} to {high:g}",
                do="list its values under choices",
                name=name,
                low=allowed.low,
                high=allowed.high,
            )
        if allowed.choices is None and isinstance(defaults[name], int):
            _whole(name, allowed)


def _whole(name: str, allowed: Range) -> tuple[int, int]:
    """The ends of a range of whole numbers."""
    assert allowed.low is not None and allowed.high is not None  # noqa: S101, PT018 - checked
    low, high = math.ceil(allowed.low), math.floor(allowed.high)
    if low >= high:
        raise WrongUsage(
            "the search space gives '{name}' no two whole numbers from {low:g} to {high:g}",
            do="widen its range",
            name=name,
            low=allowed.low,
            high=allowed.high,
        )
    return low, high


def _distributions(
    space: Mapping[str, Range],
    defaults: Mapping[str, Any],
    strategies: Sequence[Strategy],
    optuna: Any,
) -> dict[str, Any]:
    check_space(space, defaults)
    made: dict[str, Any] = {}
    for name, allowed in space.items():
        if allowed.choices is not None:
            # Lists are no categories to Optuna; their texts are.
            made[name] = optuna.distributions.CategoricalDistribution(
                [json.dumps(choice) for choice in allowed.choices]
            )
        elif isinstance(defaults[name], int):
            made[name] = optuna.distributions.IntDistribution(
                *_whole(name, allowed), log=allowed.log
            )
        else:
            made[name] = optuna.distributions.FloatDistribution(
                allowed.low, allowed.high, log=allowed.log
            )
    if len(strategies) > 1:
        names = [str(strategy) for strategy in strategies]
        made[STRATEGY] = optuna.distributions.CategoricalDistribution(names)
    if not made:
        raise WrongUsage(
            "there is nothing to search: no setting has a range",
            do="name settings and ranges under policy.training.search.space",
        )
    return made


def _within(space: Mapping[str, Range], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that lie within their ranges, as Optuna knows them."""
    values: dict[str, Any] = {}
    for name, allowed in space.items():
        if name in settings and allowed.holds(settings[name]):
            chosen = allowed.choices is not None
            values[name] = json.dumps(settings[name]) if chosen else settings[name]
    return values


def _proposal(
    params: Mapping[str, Any],
    space: Mapping[str, Range],
    least: list[float],
    strategies: Sequence[Strategy],
    window: int | None,
) -> Proposal:
    settings = {
        name: json.loads(params[name]) if allowed.choices is not None else params[name]
        for name, allowed in space.items()
    }
    return Proposal(settings, Strategy(params.get(STRATEGY, strategies[0])), least, window)


def _bars(trials: Sequence[Trial]) -> list[float]:
    finished = [trial.merits for trial in trials if trial.state == "complete"]
    if not finished:
        return []
    width = min(len(merits) for merits in finished)
    means = np.array([_means(merits[:width]) for merits in finished])
    return _from_the_second([float(median) for median in np.median(means, axis=0)])


def _from_the_second(bars: list[float]) -> list[float]:
    """One part says too little to end a trial by."""
    return [-math.inf, *bars[1:]]


def _means(merits: Sequence[float]) -> list[float]:
    """Of the first one, of the first two, ..."""
    return [float(mean) for mean in np.cumsum(merits) / np.arange(1, len(merits) + 1)]


def _tell(study: Any, asked: Any, trial: Trial, optuna: Any) -> None:
    states = optuna.trial.TrialState
    if not trial.merits:
        study.tell(asked, state=states.FAIL)
        return
    # A trial that fell behind tells how far it came: the sampler learns from it as well.
    study.tell(asked, trial.merit)
