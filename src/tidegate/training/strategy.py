"""Which of the three strategies an update takes, and why, in words."""

from collections.abc import Collection
from dataclasses import dataclass

from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import TrainingPolicy
from tidegate.training.nearest import known_or_refuse

AUTO = "auto"

#: A champion that lost this much of its score is mended by a full update: as much as the widest
#: margin in common use, so no validation noise.
LARGE_DROP = 0.05
#: From this ratio of history to new rows on, learning everything again costs far more than the
#: new rows can tell.
LONG_HISTORY = 20.0
#: New rows that are at least half as many as all before are no small addition.
LARGE_BATCH = 0.5


@dataclass(frozen=True)
class Facts:
    """What a choice rests on.

    ``drifted`` and ``champion_drop`` (loss of score since its validation, 0.05 is five points or
    a twentieth of an error) are None where not known. ``history_rows``: rows learned from before,
    as far as a full update would look at them. ``since_full``: updates since the last full one;
    ``full_seconds``: what a full update would take by the last one's measure; None where there
    was none.
    """

    drifted: bool | None
    new_rows: int
    history_rows: int
    champion_drop: float | None = None
    since_full: int | None = None
    full_seconds: float | None = None


def choose_strategy(
    requested: str,
    facts: Facts,
    *,
    supported: Collection[Strategy],
    parent_exists: bool,
    policy: TrainingPolicy,
) -> tuple[Strategy, list[Message]]:
    """The strategy, and the reason in words: why this one, and what it costs beside a full one.

    ``requested``: ``auto`` or a strategy. Raises WrongUsage where the one asked for cannot be
    done.
    """
    if requested != AUTO:
        return _asked_for(requested, supported, parent_exists)
    if not parent_exists:
        return Strategy.FULL, [say("there is no version yet to move on from: a full update")]
    wished, why = _wished(facts, policy)
    for strategy in wished:
        if strategy in supported:
            reasons = [why, *_cost(strategy, facts)]
            if strategy is not wished[0]:
                reasons.append(
                    say(
                        "the adapter cannot do {wished} updates, so it is {strategy}",
                        wished=say(wished[0]),
                        strategy=say(strategy),
                    )
                )
            return strategy, reasons
    raise WrongUsage(
        "the adapter can do none of: {strategies}",
        do="choose another adapter, or import parameters from a file",
        strategies=list(wished),
    )


def _asked_for(
    requested: str, supported: Collection[Strategy], parent_exists: bool
) -> tuple[Strategy, list[Message]]:
    trained = [Strategy.FULL, Strategy.INCREMENTAL, Strategy.HYBRID]
    known_or_refuse(requested, [AUTO, *trained], "there is no strategy '{name}'")
    strategy = Strategy(requested)
    if strategy not in supported:
        raise WrongUsage(
            "the adapter cannot do {strategy} updates",
            do="it can do: {strategies}; docs/strategies.md says what each means and why",
            strategy=say(strategy),
            strategies=[say(one) for one in sorted(supported)],
        )
    if strategy is not Strategy.FULL and not parent_exists:
        raise WrongUsage(
            "{strategy} updates move on from a version, and there is none",
            do="make the first version with a full update",
            strategy=say(strategy),
        )
    return strategy, [say("a person asked for this strategy: {strategy}", strategy=say(strategy))]


def _cost(strategy: Strategy, facts: Facts) -> list[Message]:
    if facts.full_seconds is None:
        return []
    if strategy is Strategy.FULL:
        return [say("it should take about {seconds:.3g} s", seconds=facts.full_seconds)]
    return [
        say(
            "a full one would take about {seconds:.3g} s; the last was {updates} update(s) ago",
            seconds=facts.full_seconds,
            updates=facts.since_full or 0,
        )
    ]


def _wished(facts: Facts, policy: TrainingPolicy) -> tuple[list[Strategy], Message]:
    """Strategies from the most to the least fitting, and why the first one fits."""
    full, incremental, hybrid = Strategy.FULL, Strategy.INCREMENTAL, Strategy.HYBRID
    new, history = facts.new_rows, facts.history_rows
    if facts.champion_drop is not None and facts.champion_drop >= LARGE_DROP:
        return [full, hybrid, incremental], say(
            "the champion has lost {drop:.3f} of its score, so everything is learned again: "
            "a full update",
            drop=facts.champion_drop,
        )
    cheap = facts.full_seconds is not None and facts.full_seconds <= policy.cheap_seconds
    if facts.drifted:
        if new > 0 and history >= LONG_HISTORY * new and not cheap:
            return [hybrid, full, incremental], say(
                "the data has drifted, and {history:,} earlier rows stand beside {new:,} new "
                "ones: the key groups are retrained, the others move on (a hybrid update)",
                history=history,
                new=new,
            )
        return [full, hybrid, incremental], say(
            "the data has drifted, so everything is learned again: a full update"
        )
    if facts.since_full is not None and facts.since_full >= policy.full_every:
        return [full, incremental, hybrid], say(
            "{updates} updates in a row only moved on, and small errors add up: a full update",
            updates=facts.since_full,
        )
    if history <= 0 or new >= LARGE_BATCH * history:
        return [full, incremental, hybrid], say(
            "{new:,} new rows beside {history:,} earlier ones are no small addition: a full update",
            new=new,
            history=history,
        )
    if cheap:
        return [full, incremental, hybrid], say(
            "learning everything again is cheap here, so nothing is saved by less: a full update"
        )
    quiet = (
        "the data is consistent with the {history:,} rows before, so {new:,} new rows move the "
        "parameters on: an incremental update"
        if facts.drifted is False
        else "no drift is known, and {new:,} new rows are few beside {history:,} earlier ones: "
        "an incremental update"
    )
    return [incremental, full, hybrid], say(quiet, new=new, history=history)
