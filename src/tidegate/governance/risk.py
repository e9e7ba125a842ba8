"""The risk register: read off the evidence, scored by a 5 x 5 matrix, summed up as a tier."""

from tidegate.domain.amounts import share_text
from tidegate.domain.drift import Grade
from tidegate.domain.evidence import (
    AssessEvidence,
    Imported,
    PlanEvidence,
    PrepareEvidence,
    Risk,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.messages import Message, say
from tidegate.domain.strategy import Strategy

#: Highest score (likelihood x impact, 1 to 25) of tiers 1, 2 and 3; above is tier 4.
TIER_LIMITS = (4, 9, 15)


def tier_of(score: int) -> int:
    """The tier of a score: 1 low, 2 moderate, 3 high, 4 critical.

    >>> [tier_of(score) for score in (1, 4, 6, 12, 20)]
    [1, 1, 2, 3, 4]
    """
    return 1 + sum(score > limit for limit in TIER_LIMITS)


def assess(
    prepared: PrepareEvidence,
    plan: PlanEvidence,
    trained: TrainEvidence,
    validated: ValidateEvidence,
    *,
    champion: int | None,
    drift_grade: Grade = Grade.LARGE,
) -> AssessEvidence:
    """The risks of releasing this candidate; the score is the worst risk's.

    ``drift_grade``: policy's, from which drift is a risk.
    """
    risks = [
        _performance(validated) if trained.imported is None else _performance_elsewhere(),
        _data(prepared, drift_grade) if trained.imported is None else _data_elsewhere(),
        _reach(plan, trained) if trained.imported is None else _reach_imported(trained.imported),
        _security(trained),
        _reversal(champion),
    ]
    score = max(risk.likelihood * risk.impact for risk in risks)
    return AssessEvidence(
        risks=risks,
        score=score,
        tier=tier_of(score),
        contingency=_contingency(champion, served=trained.imported is None),
        rollback_to=champion,
    )


def _contingency(champion: int | None, *, served: bool) -> Message:
    if champion is None:
        return say("there is no earlier version: take the model out of service")
    if served:
        return say(
            "roll back to version {version} by one command or automatically", version=champion
        )
    return say(
        "make version {version} the champion again by one command (tidegate release rollback), "
        "and load it where the parameters are used; nothing does so by itself",
        version=champion,
    )


def _performance(e: ValidateEvidence) -> Risk:
    measure = say("a growing share of traffic, judged at every label, rolled back by itself")
    if not e.judged or e.difference is None:
        why = say("its quality was not measured here")
        return Risk(name="performance", likelihood=3, impact=3, why=why, measure=measure)
    if e.difference.low > 0:
        likelihood, why = 1, say("it is surely better than what it replaces, on the hold-out")
    elif e.difference.value >= 0:
        likelihood, why = 2, say("it is about as good as what it replaces, on the hold-out")
    else:
        likelihood, why = 3, say("it may be slightly worse than what it replaces")
    if (e.negative_flips or 0.0) > 0.05:
        likelihood += 1
        why = say("{flips:.1%} of answers that were right are wrong now", flips=e.negative_flips)
    return Risk(name="performance", likelihood=likelihood, impact=3, why=why, measure=measure)


def _performance_elsewhere() -> Risk:
    """Of parameters that are not served here: nobody here sees how well they answer."""
    why = say("its quality was not measured here")
    measure = say("none here, as nothing is served: no canary, no observation; measure it where "
                  "it is loaded")  # fmt: skip
    return Risk(name="performance", likelihood=3, impact=3, why=why, measure=measure)


def _data_elsewhere() -> Risk:
    why = say("what these parameters learned from is not known here")
    measure = say("none here; ask whoever trained them")
    return Risk(name="data", likelihood=2, impact=3, why=why, measure=measure)


def _data(e: PrepareEvidence, drift_grade: Grade) -> Risk:
    measure = say("the contract is checked on every snapshot, and drift is measured")
    if e.consistency is not None and e.consistency.reaches(drift_grade):
        why = say("the data has drifted from what the current version learned")
        return Risk(name="data", likelihood=3, impact=3, why=why, measure=measure)
    if e.breaches:
        why = say("the data breaks {count} rule(s) of its contract", count=len(e.breaches))
        return Risk(name="data", likelihood=2, impact=3, why=why, measure=measure)
    why = say("the data keeps its contract and shows no drift to speak of")
    return Risk(name="data", likelihood=1, impact=3, why=why, measure=measure)


def _reach(plan: PlanEvidence, trained: TrainEvidence) -> Risk:
    measure = say("the step of every parameter group is recorded and can be limited")
    if plan.strategy is Strategy.INCREMENTAL:
        why = say("some parameter groups moved, the others are unchanged to the last bit")
        return Risk(name="reach", likelihood=1, impact=2, why=why, measure=measure)
    largest = max((step.relative_norm or 0.0 for step in trained.steps), default=0.0)
    if largest > 1.0:
        why = say("a parameter group moved by {step:.1f} times its size", step=largest)
        return Risk(name="reach", likelihood=2, impact=2, why=why, measure=measure)
    why = say("all parameters are new, as a full update means")
    return Risk(name="reach", likelihood=2, impact=2, why=why, measure=measure)


def _reach_imported(e: Imported) -> Risk:
    measure = say("tidegate params diff tells every tensor's step, and policy can limit it")
    if e.parent is None:
        why = say("all parameters are new: it is the first version")
        return Risk(name="reach", likelihood=2, impact=2, why=why, measure=measure)
    why = say(
        "{touched:,} of {tensors:,} tensors, {share} of all values, are not what they were",
        touched=e.touched,
        tensors=e.tensors + e.removed,
        share=share_text(e.changed_share),
    )
    likelihood = 2 if e.touched else 1
    return Risk(name="reach", likelihood=likelihood, impact=2, why=why, measure=measure)


def _security(e: TrainEvidence) -> Risk:
    measure = say("parameters are plain arrays, no file can run code, every byte is hashed")
    if e.strategy is Strategy.IMPORT:
        why = say("the parameters come from a file that was made elsewhere")
        return Risk(name="security", likelihood=2, impact=4, why=why, measure=measure)
    why = say("the parameters were trained here, from recorded data")
    return Risk(name="security", likelihood=1, impact=4, why=why, measure=measure)


def _reversal(champion: int | None) -> Risk:
    measure = say("the version before stays stored and can be back in one step")
    if champion is None:
        why = say("it is the first version: there is nothing to go back to")
        return Risk(name="reversal", likelihood=1, impact=4, why=why, measure=measure)
    why = say("version {version} stays ready", version=champion)
    return Risk(name="reversal", likelihood=1, impact=2, why=why, measure=measure)
