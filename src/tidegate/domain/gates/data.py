"""The prepare gate: is the data fit to learn from?"""

from tidegate.domain.drift import VERDICTS, ConceptDrift, Grade
from tidegate.domain.evidence import PrepareEvidence
from tidegate.domain.gates.findings import note, refuse, warn
from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.update import Finding, Level

#: Rules that are not broken by some of the rows: policy's share of bad rows excuses none of them.
_OF_THE_TABLE = (
    "missing_column", "kind", "extra_column", "unchecked", "freshness", "coverage",
)  # fmt: skip


def prepare_gate(spec: ModelSpec, e: PrepareEvidence) -> list[Finding]:
    """Contract kept? Enough, fresh and labelled? Consistent, or drifted and how?"""
    if e.snapshot is None:
        return [note("import", "the parameters come from a file; there is no data to check")]
    policy, found = spec.policy.data, []
    for breach in e.breaches:
        refused = breach.severity == "refuse" and (
            breach.rule in _OF_THE_TABLE or breach.share > policy.max_breach_share
        )
        level = Level.REFUSE if refused else Level.WARN
        found.append(Finding(code=f"contract.{breach.rule}", level=level, message=breach.message))
    level = Level.REFUSE if policy.on_leak == "refuse" else Level.WARN
    for leak in e.leaks:
        found.append(Finding(code=f"leak.{leak.kind}", level=level, message=leak.message))
    if e.labelled_rows < policy.min_labelled_rows:
        found.append(
            refuse(
                "too_few_rows",
                "{rows} labelled rows are too few to learn from; policy asks for {needed}",
                rows=e.labelled_rows,
                needed=policy.min_labelled_rows,
            )
        )
    if spec.task is not Task.REGRESSION and e.classes is not None and e.classes < 2:
        found.append(
            refuse("one_class", "the labelled rows hold one class only; nothing can be told apart")
        )
    if policy.max_age_days is not None:
        found.append(_freshness(e.age_days, policy.max_age_days))
    found.append(_consistency(spec, e))
    return found


def _freshness(age_days: float | None, allowed: float) -> Finding:
    if age_days is None:
        return refuse("no_time", "policy limits the age of data, and no row has a time")
    if age_days > allowed:
        return refuse(
            "stale",
            "the newest row is {age:.1f} days old; policy allows {allowed:g}",
            age=age_days,
            allowed=allowed,
        )
    return note("fresh", "the newest row is {age:.1f} days old", age=age_days)


def _consistency(spec: ModelSpec, e: PrepareEvidence) -> Finding:
    seen = e.consistency
    if seen is None:
        return note("no_reference", "there is no earlier data to compare with")
    if seen.verdict != "drifted":
        return note(seen.verdict, "compared with {rows:,} earlier rows: {verdict}",
                     rows=seen.rows_reference, verdict=VERDICTS[seen.verdict])  # fmt: skip
    columns = [column.name for column in seen.columns if column.drifted] or seen.joint.columns
    if seen.label is not None and seen.label.drifted:
        columns = [seen.label.name, *columns]
    if not columns and seen.concept is not None:
        return _by_errors(spec, e, seen.concept)
    acted_on = seen.reaches(spec.policy.data.drift_grade)
    make = note if not acted_on else refuse if spec.policy.data.on_drift == "refuse" else warn
    return make(
        "drifted",
        "the data has drifted from the {rows:,} earlier rows ({grade}), most in: {columns}",
        rows=seen.rows_reference,
        grade=say(seen.grade or Grade.LARGE),
        columns=columns[:5],
    )


def _by_errors(spec: ModelSpec, e: PrepareEvidence, concept: ConceptDrift) -> Finding:
    """The columns are what they were, and the current version errs otherwise on them."""
    assert e.consistency is not None  # noqa: S101 - it holds the concept
    acted_on = e.consistency.reaches(spec.policy.data.drift_grade)
    make = note if not acted_on else refuse if spec.policy.data.on_drift == "refuse" else warn
    return make(
        "concept",
        "the columns are what they were, and the current version errs otherwise: {metric} "
        "{before:.4g} on its hold-out, {now:.4g} on {rows:,} new rows",
        metric=say(concept.metric),
        before=concept.before,
        now=concept.now,
        rows=concept.rows_now,
    )
