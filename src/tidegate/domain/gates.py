"""The eight gates: policy and evidence in, verdict out. Nothing else is read, so all replay."""

from collections.abc import Callable
from typing import Any

from tidegate.domain.evidence import (
    ApproveEvidence,
    AssessEvidence,
    Evidence,
    ObserveEvidence,
    PlanEvidence,
    PrepareEvidence,
    ReleaseEvidence,
    TrainEvidence,
    ValidateEvidence,
)
from tidegate.domain.messages import say
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.people import missing_approvals
from tidegate.domain.stage import Stage
from tidegate.domain.update import Finding, Level, Verdict


def gate(spec: ModelSpec, evidence: Evidence) -> Verdict:
    """The verdict on one evidence document under the model's policy; pure."""
    findings: list[Finding] = _GATES[evidence.stage](spec, evidence)
    passed = all(finding.level is not Level.REFUSE for finding in findings)
    return Verdict(stage=evidence.stage, passed=passed, findings=findings)


def _note(code: str, template: str, **values: Any) -> Finding:
    return Finding(code=code, level=Level.NOTE, message=say(template, **values))


def _warn(code: str, template: str, **values: Any) -> Finding:
    return Finding(code=code, level=Level.WARN, message=say(template, **values))


def _refuse(code: str, template: str, **values: Any) -> Finding:
    return Finding(code=code, level=Level.REFUSE, message=say(template, **values))


def prepare_gate(spec: ModelSpec, e: PrepareEvidence) -> list[Finding]:
    """Contract kept? Enough, fresh and labelled? Consistent, or drifted and how?"""
    if e.snapshot is None:
        return [_note("import", "the parameters come from a file; there is no data to check")]
    policy, found = spec.policy.data, []
    for breach in e.breaches:
        structural = breach.rule in ("missing_column", "kind")
        refused = breach.severity == "refuse" and (
            structural or breach.share > policy.max_breach_share
        )
        level = Level.REFUSE if refused else Level.WARN
        found.append(Finding(code=f"contract.{breach.rule}", level=level, message=breach.message))
    if e.labelled_rows < policy.min_labelled_rows:
        found.append(
            _refuse(
                "too_few_rows",
                "{rows} labelled rows are too few to learn from; policy asks for {needed}",
                rows=e.labelled_rows,
                needed=policy.min_labelled_rows,
            )
        )
    if spec.task is not Task.REGRESSION and e.classes is not None and e.classes < 2:
        found.append(
            _refuse("one_class", "the labelled rows hold one class only; nothing can be told apart")
        )
    if policy.max_age_days is not None:
        found.append(_freshness(e.age_days, policy.max_age_days))
    found.append(_consistency(spec, e))
    return found


def _freshness(age_days: float | None, allowed: float) -> Finding:
    if age_days is None:
        return _refuse("no_time", "policy limits the age of data, and no row has a time")
    if age_days > allowed:
        return _refuse(
            "stale",
            "the newest row is {age:.1f} days old; policy allows {allowed:g}",
            age=age_days,
            allowed=allowed,
        )
    return _note("fresh", "the newest row is {age:.1f} days old", age=age_days)


def _consistency(spec: ModelSpec, e: PrepareEvidence) -> Finding:
    seen = e.consistency
    if seen is None:
        return _note("no_reference", "there is no earlier data to compare with")
    if seen.verdict != "drifted":
        return _note(seen.verdict, "compared with {rows:,} earlier rows: {verdict}",
                     rows=seen.rows_reference, verdict=say(_VERDICTS[seen.verdict]))  # fmt: skip
    columns = [column.name for column in seen.columns if column.drifted] or seen.joint.columns
    make = _refuse if spec.policy.data.on_drift == "refuse" else _warn
    return make(
        "drifted",
        "the data has drifted from the {rows:,} earlier rows, most in: {columns}",
        rows=seen.rows_reference,
        columns=columns[:5],
    )


_VERDICTS = {
    "consistent": "consistent",
    "drifted": "drifted",
    "too_little_data": "too little data to tell",
}


def plan_gate(spec: ModelSpec, e: PlanEvidence) -> list[Finding]:
    """Is the plan one the adapter can carry out, and within policy?"""
    found = [Finding(code="why", level=Level.NOTE, message=why) for why in e.why]
    if e.strategy not in e.supported:
        found.append(
            _refuse(
                "unsupported",
                "adapter '{adapter}' cannot do a {strategy} update",
                adapter=spec.adapter,
                strategy=e.strategy,
            )
        )
    return found


def train_gate(spec: ModelSpec, e: TrainEvidence) -> list[Finding]:
    """Converged? All values finite? Step within budget? Frozen groups untouched?"""
    found: list[Finding] = []
    if not e.finite:
        found.append(_refuse("not_finite", "the parameters hold NaN or infinity"))
    if not e.converged:
        found.append(
            _warn("not_converged", "training stopped before it converged; allow more iterations")
        )
    limit = spec.policy.training.max_relative_step
    for step in e.steps:
        if step.frozen and (step.changed_tensors or step.added_tensors):
            found.append(
                _refuse("frozen_moved", "group '{group}' was frozen and moved", group=step.group)
            )
        over = limit is not None and step.relative_norm is not None and step.relative_norm > limit
        if over and e.strategy != "full":
            found.append(
                _refuse(
                    "step_too_large",
                    "group '{group}' moved by {step:.3g} of its size; policy allows {limit:g}",
                    group=step.group,
                    step=step.relative_norm,
                    limit=limit,
                )
            )
    frozen = [step.group for step in e.steps if step.frozen]
    if frozen and not any(finding.code == "frozen_moved" for finding in found):
        found.append(
            _note(
                "frozen_same",
                "frozen groups are the same to the last bit: {groups}",
                groups=frozen[:5],
            )
        )
    found.append(
        _note(
            "trained",
            "learned from {rows:,} rows in {seconds:.1f} s",
            rows=e.rows,
            seconds=e.seconds,
        )
    )
    return found


def validate_gate(spec: ModelSpec, e: ValidateEvidence) -> list[Finding]:
    """No worse than policy allows, overall and in every segment?"""
    if not e.judged or e.difference is None:
        return [_note("not_judged", "this model is not trained here, so there is nothing to score")]
    policy, found = spec.policy.validation, []
    if e.champion_version is None:
        found.append(_against_baseline(e, must_beat=policy.must_beat_baseline))
    else:
        found.append(_against_champion(e, policy.margin))
        flips = e.negative_flips
        if flips is not None and flips > policy.max_negative_flips:
            found.append(
                _refuse(
                    "negative_flips",
                    "{flips:.1%} of the hold-out was right and is now wrong; policy allows {limit:.1%}",
                    flips=flips,
                    limit=policy.max_negative_flips,
                )
            )
    for segment in e.segments:
        if segment.rows >= policy.min_segment_rows and segment.difference < -policy.segment_margin:
            found.append(
                _refuse(
                    "segment_worse",
                    "segment {segment} loses {loss:.3f} on {rows} rows; policy allows {limit:g}",
                    segment=segment.segment,
                    loss=-segment.difference,
                    rows=segment.rows,
                    limit=policy.segment_margin,
                )
            )
    if e.gap is not None and e.gap > policy.max_gap:
        found.append(
            _warn(
                "gap",
                "the score on training rows is {gap:.3f} better than on the hold-out: "
                "it may have learned by heart",
                gap=e.gap,
            )
        )
    return found


def _against_baseline(e: ValidateEvidence, *, must_beat: bool) -> Finding:
    assert e.difference is not None  # noqa: S101 - the caller looked
    values = {
        "metric": e.metric,
        "candidate": e.candidate[e.metric or ""].value,
        "rows": e.rows,
    }
    if e.difference.low <= 0:
        make = _refuse if must_beat else _warn
        return make(
            "no_better_than_baseline",
            "{metric} {candidate:.3f} on {rows} rows is not surely better than a constant answer",
            **values,
        )
    return _note(
        "better_than_baseline",
        "{metric} {candidate:.3f} on {rows} rows, surely better than a constant answer",
        **values,
    )


def _against_champion(e: ValidateEvidence, margin: float) -> Finding:
    assert e.difference is not None  # noqa: S101 - the caller looked
    metric = e.metric or ""
    values = {
        "metric": metric,
        "champion": e.champion[metric].value,
        "candidate": e.candidate[metric].value,
        "low": e.difference.low,
        "high": e.difference.high,
        "margin": margin,
        "rows": e.rows,
    }
    if e.difference.low < -margin:
        return _refuse(
            "worse",
            "{metric} {champion:.3f} before, {candidate:.3f} now on {rows} rows; the difference "
            "lies in [{low:+.3f}, {high:+.3f}] and may exceed the margin of {margin:g}",
            **values,
        )
    return _note(
        "not_worse",
        "{metric} {champion:.3f} before, {candidate:.3f} now on {rows} rows; the difference "
        "lies in [{low:+.3f}, {high:+.3f}], within the margin of {margin:g}",
        **values,
    )


def assess_gate(spec: ModelSpec, e: AssessEvidence) -> list[Finding]:
    """Is the risk tier acceptable?"""
    worst = max(e.risks, key=lambda risk: risk.likelihood * risk.impact)
    limit = spec.policy.approval.max_tier
    values = {"tier": e.tier, "score": e.score, "why": worst.why, "limit": limit}
    if e.tier > limit:
        return [
            _refuse(
                "tier",
                "risk tier {tier} (score {score}): {why}; policy allows tier {limit}",
                **values,
            )
        ]
    return [_note("tier", "risk tier {tier} (score {score}): {why}", **values)]


def approve_gate(spec: ModelSpec, e: ApproveEvidence) -> list[Finding]:
    """Enough approvals, by the right people, of exactly this case file?"""
    if e.refused_by is not None:
        return [
            _refuse(
                "refused",
                "{person} refused: {reason}",
                person=e.refused_by,
                reason=e.refused_because,
            )
        ]
    policy = spec.policy.approval
    if e.tier <= policy.free_tier:
        return [_note("free", "tier {tier} passes without a person under this policy", tier=e.tier)]
    gaps = missing_approvals(
        e.approvals,
        proposer=e.proposer,
        digest=e.digest,
        approvers_needed=policy.approvers,
        distinct_teams=policy.distinct_teams,
    )
    if gaps:
        return [Finding(code="approvals", level=Level.REFUSE, message=gap) for gap in gaps]
    people = [approval.person for approval in e.approvals]
    return [_note("approved", "approved by {people}", people=people)]


def release_gate(spec: ModelSpec, e: ReleaseEvidence) -> list[Finding]:
    """The approved version, over the champion it was compared with, harmless at every step?"""
    policy, found = spec.policy.rollout, []
    if e.approved_digest != e.digest:
        found.append(_refuse("digest", "the case file is not the one that was approved"))
    if e.champion != e.validated_against:
        found.append(
            _refuse(
                "champion_changed",
                "it was compared with version {compared}, and version {champion} is in production now",
                compared=e.validated_against,
                champion=e.champion,
            )
        )
    if e.stopped_by is not None:
        found.append(
            _refuse(
                "stopped", "{person} rolled it back: {reason}", person=e.stopped_by, reason=e.reason
            )
        )
    failures = sum(tally.candidate_failures for tally in e.tallies)
    if failures > policy.max_failures:
        found.append(
            _refuse("failures", "the candidate failed {failures} requests; policy allows {limit}",
                    failures=failures, limit=policy.max_failures)
        )  # fmt: skip
    if e.harm >= 1 / policy.alpha:
        found.append(_harm(e, policy.alpha))
    short = [t for t, s in zip(e.tallies, e.steps, strict=False) if t.labels < s.min_labels]
    unfinished = len(e.tallies) < len(e.steps) or bool(short)
    if e.champion is not None and unfinished and not found:
        found.append(_by_hand(e))
    if not found:
        found.append(_canary_note(e))
    return found


def _by_hand(e: ReleaseEvidence) -> Finding:
    if e.promoted_by is None:
        return _refuse("steps", "the rollout ended before its steps had the labels they need")
    return _warn(
        "by_hand", "{person} promoted it before the steps had the labels they need",
        person=e.promoted_by,
    )  # fmt: skip


def _rates(e: ReleaseEvidence) -> dict[str, float]:
    sums = {
        name: sum(getattr(tally, name) for tally in e.tallies)
        for name in ("champion_bad", "champion_labels", "candidate_bad", "candidate_labels")
    }
    return {
        "candidate": sums["candidate_bad"] / max(1, sums["candidate_labels"]),
        "champion": sums["champion_bad"] / max(1, sums["champion_labels"]),
        "labels": sums["candidate_labels"] + sums["champion_labels"],
    }


def _harm(e: ReleaseEvidence, alpha: float) -> Finding:
    return _refuse(
        "harm",
        "on live traffic {candidate:.1%} of the candidate's answers were bad against "
        "{champion:.1%} of the champion's, after {labels} labels; the evidence of harm is "
        "{harm:.3g} to 1, and policy acts at {line:g} to 1",
        harm=e.harm,
        line=1 / alpha,
        **_rates(e),
    )


def _canary_note(e: ReleaseEvidence) -> Finding:
    if e.champion is None or not e.tallies:
        return _note("first", "there was no other version on traffic to compare with")
    return _note(
        "harmless",
        "{candidate:.1%} bad answers against the champion's {champion:.1%} over {labels} labels",
        **_rates(e),
    )


def observe_gate(spec: ModelSpec, e: ObserveEvidence) -> list[Finding]:
    """Did the live metric hold to what the hold-out promised?"""
    if e.stopped_by is not None:
        return [
            _refuse(
                "stopped", "{person} rolled it back: {reason}", person=e.stopped_by, reason=e.reason
            )
        ]
    if e.live is None or e.expected is None:
        if e.closed_by is not None:
            return [_warn("closed", "{person} ended the observation early", person=e.closed_by)]
        return [
            _note(
                "not_observed",
                "no observation: a first version, parameters that nothing serves, or the policy asks for none",
            )
        ]
    margin = spec.policy.observe.margin
    if e.greater_is_better:
        worse = e.live.high < e.expected - margin
    else:
        worse = e.live.low > e.expected * (1 + margin)
    make, code, text = (
        (_refuse, "fell_short", "live {metric} {live:.3f} over {labels} labels is surely below the expected {expected:.3f}")
        if worse
        else (_note, "held", "live {metric} {live:.3f} over {labels} labels; {expected:.3f} was expected")
    )  # fmt: skip
    found = [
        make(code, text, metric=e.metric, live=e.live.value, labels=e.labels, expected=e.expected)
    ]
    if e.closed_by is not None:
        found.append(_warn("closed", "{person} ended the observation early", person=e.closed_by))
    return found


_GATES: dict[Stage, Callable[[ModelSpec, Any], list[Finding]]] = {
    Stage.PREPARE: prepare_gate,
    Stage.PLAN: plan_gate,
    Stage.TRAIN: train_gate,
    Stage.VALIDATE: validate_gate,
    Stage.ASSESS: assess_gate,
    Stage.APPROVE: approve_gate,
    Stage.RELEASE: release_gate,
    Stage.OBSERVE: observe_gate,
}
