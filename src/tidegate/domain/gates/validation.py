"""The validate gate: how good the parameters are."""

from tidegate.domain.evidence import ValidateEvidence
from tidegate.domain.gates.findings import note, refuse, warn
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.policy import ValidationPolicy
from tidegate.domain.update import Finding


def validate_gate(spec: ModelSpec, e: ValidateEvidence) -> list[Finding]:
    """No worse than policy allows, overall and in every segment?"""
    if not e.judged or e.difference is None:
        return [note("not_judged", "nothing was scored here: the parameters are not served")]
    policy, found = spec.policy.validation, []
    if e.champion_version is None:
        found.append(_against_baseline(e, must_beat=policy.must_beat_baseline))
    else:
        found.append(_against_champion(e, policy))
        flips = e.negative_flips
        if flips is not None and flips > policy.max_negative_flips:
            found.append(
                refuse(
                    "negative_flips",
                    "{flips:.1%} of the hold-out was right and is now wrong; "
                    "policy allows {limit:.0%}",
                    flips=flips,
                    limit=policy.max_negative_flips,
                )
            )
    limit = spec.policy.training.max_changed_predictions
    if limit is not None and e.moves_on and e.changed is not None and e.changed > limit:
        found.append(
            refuse(
                "changed_too_much",
                "{changed:.1%} of the answers are other ones than the champion's; policy allows "
                "{limit:.0%} where an update moves on",
                changed=e.changed,
                limit=limit,
            )
        )
    found += _segments(e, policy)
    if e.gap is not None and e.gap > policy.max_gap:
        found.append(
            warn(
                "gap",
                "the score on training rows is {gap:.3f} better than on the hold-out: "
                "it may have learned by heart",
                gap=e.gap,
            )
        )
    return found + _promises(e, policy) + _shaken(e, policy) + _again(e)


def _segments(e: ValidateEvidence, policy: ValidationPolicy) -> list[Finding]:
    """Declared segments are judged; those that a search found are shown to people."""
    return [
        refuse(
            "segment_worse",
            "segment {segment} loses {loss:.3f} on {rows} rows; policy allows {limit:g}",
            segment=one.segment,
            loss=-one.difference,
            rows=one.rows,
            limit=policy.segment_margin,
        )
        for one in e.segments
        if one.rows >= policy.min_segment_rows and one.difference < -policy.segment_margin
    ] + [
        warn(
            "segment_found",
            "where {segment}, it is surely worse: {champion:.3f} before, {candidate:.3f} now on "
            "{rows} rows (p = {p:.2g})",
            segment=one.segment,
            champion=one.champion,
            candidate=one.candidate,
            rows=one.rows,
            p=one.p_value,
        )
        for one in e.found
    ]


def _promises(e: ValidateEvidence, policy: ValidationPolicy) -> list[Finding]:
    """Do the probabilities mean what they say?"""
    ours, before = e.calibration, e.champion_calibration
    if ours is None or ours.error - ours.chance <= policy.max_calibration_error:
        return []
    if before is not None and ours.error <= before.error:
        return []  # no worse than what it replaces
    return [
        warn(
            "uncalibrated",
            "probabilities are {error:.1%} off what came true, and chance explains {chance:.1%}: "
            "do not take them at their word",
            error=ours.error,
            chance=ours.chance,
        )
    ]


def _shaken(e: ValidateEvidence, policy: ValidationPolicy) -> list[Finding]:
    """Does a little noise on every number cost more than the margin, and more than before?"""
    if e.noise is None or e.noise.loss <= max(policy.margin, e.noise.champion_loss or 0.0):
        return []
    return [
        warn(
            "fragile",
            "noise of {scale:.0%} of their spread on all numbers costs {loss:.3f} of the score",
            scale=e.noise.scale,
            loss=e.noise.loss,
        )
    ]


def _again(e: ValidateEvidence) -> list[Finding]:
    """What other fits of the same kind say."""
    found = []
    if e.cross_validation is not None:
        score = e.cross_validation.score
        found.append(
            note(
                "cross_validated",
                "{metric} {value:.3f} in {folds}-fold cross-validation, in [{low:.3f}, {high:.3f}]",
                metric=say(e.metric or ""),
                folds=len(e.cross_validation.folds),
                value=score.value,
                low=score.low,
                high=score.high,
            )
        )
    if e.paired is not None:
        found.append(
            note(
                "paired",
                "row by row, {better:,} became better and {worse:,} worse (p = {p:.2g})",
                better=e.paired.better,
                worse=e.paired.worse,
                p=e.paired.p_value,
            )
        )
    return found


def _against_baseline(e: ValidateEvidence, *, must_beat: bool) -> Finding:
    assert e.difference is not None  # noqa: S101 - the caller looked
    values = {
        "metric": say(e.metric or ""),
        "candidate": e.candidate[e.metric or ""].value,
        "rows": e.rows,
    }
    if e.difference.low <= 0:
        make = refuse if must_beat else warn
        return make(
            "no_better_than_baseline",
            "{metric} {candidate:.3f} on {rows} rows is not surely better than a constant answer",
            **values,
        )
    return note(
        "better_than_baseline",
        "{metric} {candidate:.3f} on {rows} rows, surely better than a constant answer",
        **values,
    )


def _against_champion(e: ValidateEvidence, policy: ValidationPolicy) -> Finding:
    assert e.difference is not None  # noqa: S101 - the caller looked
    metric = e.metric or ""
    values = {
        "metric": say(metric),
        "champion": e.champion[metric].value,
        "candidate": e.candidate[metric].value,
        "low": e.difference.low,
        "high": e.difference.high,
        "margin": policy.margin,
        "rows": e.rows,
    }
    if e.difference.value < -policy.margin and e.difference.high <= 0:
        return refuse(
            "worse",
            "{metric} {champion:.3f} before, {candidate:.3f} now on {rows} rows: worse by more "
            "than the margin of {margin:g}; the difference lies in [{low:+.3f}, {high:+.3f}]",
            **values,
        )
    if e.difference.low < -policy.margin:
        make = refuse if policy.undecided == "refuse" else warn
        return make(
            "undecided",
            "{metric} {champion:.3f} before, {candidate:.3f} now; {rows} rows are too few to "
            "tell: the difference lies in [{low:+.3f}, {high:+.3f}], the margin is {margin:g}",
            **values,
        )
    return note(
        "not_worse",
        "{metric} {champion:.3f} before, {candidate:.3f} now on {rows} rows; the difference "
        "lies in [{low:+.3f}, {high:+.3f}], above -{margin:g}, the margin",
        **values,
    )
