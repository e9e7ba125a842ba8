"""The release and observe gates: what real traffic said."""

from tidegate.domain.evidence import ObserveEvidence, ReleaseEvidence
from tidegate.domain.gates.findings import note, refuse, warn
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Tally
from tidegate.domain.update import Finding


def release_gate(spec: ModelSpec, e: ReleaseEvidence) -> list[Finding]:
    """The approved version, over the champion it was compared with, harmless at every step?"""
    policy, found = spec.policy.rollout, []
    if e.approved_digest != e.digest:
        found.append(refuse("digest", "the case file is not the one that was approved"))
    if e.champion != e.validated_against and not e.same_champion:
        found.append(
            refuse(
                "champion_changed",
                "it was compared with version {compared}, but {champion} is in production now",
                compared=e.validated_against,
                champion=e.champion,
            )
        )
    for difference in e.incompatible:
        found.append(
            refuse("incompatible", "it does not fit where it is to answer: {why}", why=difference)
        )
    if e.stopped_by is not None:
        found.append(
            refuse(
                "stopped", "{person} rolled it back: {reason}", person=e.stopped_by, reason=e.reason
            )
        )
    failures = sum(tally.failures for tally in e.tallies)
    if failures > policy.max_failures:
        found.append(
            refuse(
                "failures",
                "the candidate failed to answer {failures:g} rows; policy allows {limit}",
                failures=round(failures, 1),
                limit=policy.max_failures,
            )
        )
    excess = sum(tally.excess for tally in e.tallies)
    if policy.max_harm is not None and excess > policy.max_harm:
        found.append(
            refuse(
                "max_harm",
                "the candidate gave {excess:.0f} bad answers more than the champion would have; "
                "policy allows {limit}",
                excess=excess,
                limit=policy.max_harm,
            )
        )
    alpha = e.alpha or policy.alpha
    if e.harm >= 1 / alpha:
        found.append(_harm(e, alpha))
    short = [t for t, s in zip(e.tallies, e.steps, strict=False) if t.told < s.min_labels]
    unfinished = len(e.tallies) < len(e.steps) or bool(short)
    # Parameters that are not served here meet no traffic: there are no steps to finish.
    if spec.trains and e.champion is not None and unfinished and not found:
        found.append(_by_hand(e))
    compared = e.champion is not None and bool(e.tallies)
    if policy.margin is not None and compared and not found:
        found += _as_good(e, policy.margin, 1 / alpha)
    if not found:
        found.append(_canary_note(spec, e))
    found += [_shadow_note(tally) for tally in e.tallies if tally.shadow]
    return found


def _by_hand(e: ReleaseEvidence) -> Finding:
    if e.promoted_by is None:
        return refuse("steps", "the rollout ended before its steps had the labels they need")
    return warn(
        "by_hand", "{person} promoted it before the steps had the labels they need",
        person=e.promoted_by,
    )  # fmt: skip


def _as_good(e: ReleaseEvidence, margin: float, line: float) -> list[Finding]:
    """That it is no worse than the margin is shown, or a person promoted it all the same."""
    as_good = e.as_good or 0.0
    if as_good >= line:
        return []
    values = {"margin": margin, "as_good": as_good, "line": line}
    if e.promoted_by is None:
        return [
            refuse(
                "not_shown",
                "that it is bad at most {margin:.0%} more often is not shown: the evidence is "
                "{as_good:.3g} to 1, and policy asks for {line:g} to 1",
                **values,
            )
        ]
    return [
        warn(
            "by_hand",
            "{person} promoted it though the evidence that it is bad at most {margin:.0%} more "
            "often is {as_good:.3g} to 1, and policy asks for {line:g} to 1",
            person=e.promoted_by,
            **values,
        )
    ]


def _rates(e: ReleaseEvidence) -> dict[str, float]:
    sums = {
        name: sum(getattr(tally, name) for tally in e.tallies if not tally.shadow)
        for name in ("champion_bad", "champion_labels", "candidate_bad", "candidate_labels")
    }
    return {
        "candidate": sums["candidate_bad"] / max(1, sums["candidate_labels"]),
        "champion": sums["champion_bad"] / max(1, sums["champion_labels"]),
        "labels": sums["candidate_labels"] + sums["champion_labels"],
    }


def _harm(e: ReleaseEvidence, alpha: float) -> Finding:
    values = {"harm": e.harm, "line": 1 / alpha}
    if e.harm_in is not None:
        return refuse(
            "harm",
            "most of the harm is where {segment}; the evidence of it is {harm:.3g} to 1, and "
            "policy acts at {line:g} to 1",
            segment=e.harm_in,
            **values,
        )
    if all(tally.shadow for tally in e.tallies):
        return refuse(
            "harm",
            "beside the champion, where nobody was given its answers, it was worse; the evidence "
            "of harm is {harm:.3g} to 1, and policy acts at {line:g} to 1",
            **values,
        )
    return refuse(
        "harm",
        "on live traffic {candidate:.1%} of the candidate's answers were bad against "
        "{champion:.1%} of the champion's, after {labels} labels; the evidence of harm is "
        "{harm:.3g} to 1, and policy acts at {line:g} to 1",
        **values,
        **_rates(e),
    )


def _shadow_note(tally: Tally) -> Finding:
    return note(
        "shadow",
        "in the shadow both answered {pairs} labelled requests: {ours} of the candidate's answers "
        "were bad and {theirs} of the champion's",
        pairs=tally.told,
        ours=tally.candidate_bad,
        theirs=tally.champion_bad,
    )


def _canary_note(spec: ModelSpec, e: ReleaseEvidence) -> Finding:
    if not spec.trains:
        return note(
            "not_served",
            "parameters are not served here, so there is no canary; {version} becomes the champion",
            version=f"{spec.model}@{e.candidate}",
        )
    if e.champion is None or not e.tallies:
        return note("first", "there was no other version on traffic to compare with")
    return note(
        "harmless",
        "{candidate:.1%} bad answers against the champion's {champion:.1%} over {labels} labels",
        **_rates(e),
    )


def _not_observed(spec: ModelSpec) -> Finding:
    if not spec.trains:
        return note("not_observed", "no observation: parameters are not served here")
    if spec.policy.observe.min_labels == 0:
        return note("not_observed", "no observation: policy asks for none")
    return note("not_observed", "no observation: behind a first version is nothing to go back to")


def _late_harm(e: ObserveEvidence, alpha: float) -> Finding:
    values = {"harm": e.harm, "line": 1 / alpha, "bad": e.after.bad, "labels": e.after.labels}
    if e.before is None:
        return refuse(
            "late_harm",
            "after the promotion its evidence of harm has come to {harm:.3g} to 1, with {bad} of "
            "{labels} answers bad, and policy acts at {line:g} to 1",
            **values,
        )
    return refuse(
        "late_harm",
        "after the promotion its evidence of harm has come to {harm:.3g} to 1, with {bad} of "
        "{labels} answers bad against {share:.1%} of the version before, and policy acts at "
        "{line:g} to 1",
        share=e.before.bad / max(1, e.before.labels),
        **values,
    )


def _no_number(e: ObserveEvidence, margin: float) -> Finding:
    return refuse(
        "no_number",
        "{nulls} of {labels} labelled answers were no number; policy allows {margin:.1%}",
        nulls=e.nulls,
        labels=e.labels + e.nulls,
        margin=margin,
    )


def _superseded(spec: ModelSpec, by: int, e: ObserveEvidence) -> Finding:
    return warn(
        "superseded",
        "superseded: the release of {version} began before the observation had ended; until then "
        "{bad} of {labels} answers to everybody were bad, and the evidence of harm was "
        "{harm:.3g} to 1",
        version=f"{spec.model}@{by}",
        bad=e.after.bad,
        labels=e.after.labels,
        harm=e.harm,
    )


def observe_gate(spec: ModelSpec, e: ObserveEvidence) -> list[Finding]:
    """Did no harm show after the promotion, and the live metric hold to what was promised?"""
    alpha = e.alpha or spec.policy.rollout.alpha
    late = [_late_harm(e, alpha)] if e.harm >= 1 / alpha else []
    if e.stopped_by is not None:
        why = refuse(
            "stopped", "{person} rolled it back: {reason}", person=e.stopped_by, reason=e.reason
        )
        return [why, *late]
    if late:
        return late
    margin, told = spec.policy.observe.margin, e.labels + e.nulls
    # A regression's margin is of its error, and may be above 1.
    if e.nulls and (e.labels == 0 or e.nulls > margin * told):
        return [_no_number(e, margin)]
    if e.live is None or e.expected is None:
        if e.superseded_by is not None:
            return [_superseded(spec, e.superseded_by, e)]
        if e.closed_by is not None:
            return [warn("closed", "{person} ended the observation early", person=e.closed_by)]
        return [_not_observed(spec)]
    if e.greater_is_better:
        worse = e.live.high < e.expected - margin
    else:
        worse = e.live.low > e.expected * (1 + margin)
    values = {
        "metric": say(e.metric or ""),
        "live": e.live.value,
        "labels": e.labels,
        "expected": e.expected,
    }
    found = [
        refuse(
            "fell_short",
            "live {metric} {live:.3f} over {labels} labels is surely worse than the expected "
            "{expected:.3f}",
            **values,
        )
        if worse
        else note(
            "held",
            "live {metric} {live:.3f} over {labels} labels; {expected:.3f} was expected",
            **values,
        )
    ]
    if e.closed_by is not None:
        found.append(warn("closed", "{person} ended the observation early", person=e.closed_by))
    if e.superseded_by is not None:
        found.append(_superseded(spec, e.superseded_by, e))
    return found
