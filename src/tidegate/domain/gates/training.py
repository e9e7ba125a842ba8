"""The plan and train gates: how the parameters came to be."""

import re
from typing import Any

from tidegate.domain.amounts import share_text, size_text
from tidegate.domain.evidence import Imported, PlanEvidence, Search, TrainEvidence
from tidegate.domain.gates.findings import note, refuse, warn
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.update import Finding, Level
from tidegate.domain.version import GroupStep

#: Tensors of one kind that a finding names; the rest are counted.
_FEW = 5


def plan_gate(spec: ModelSpec, e: PlanEvidence) -> list[Finding]:
    """Is the plan one the adapter can carry out, and within policy?"""
    found = [Finding(code="why", level=Level.NOTE, message=why) for why in e.why]
    if e.strategy not in e.supported:
        found.append(
            refuse(
                "unsupported",
                "adapter '{adapter}' cannot do {strategy} updates",
                adapter=spec.adapter,
                strategy=say(e.strategy),
            )
        )
    return found


def train_gate(spec: ModelSpec, e: TrainEvidence) -> list[Finding]:
    """Converged? All values finite? Step within budget? Frozen groups untouched?"""
    found: list[Finding] = []
    if not e.finite:
        found.append(refuse("not_finite", "the parameters hold NaN or infinity"))
    if not e.converged:
        found.append(
            warn("not_converged", "training stopped before it converged; allow more iterations")
        )
    for told in e.notes:
        found.append(Finding(code="training", level=Level.NOTE, message=told))
    if e.search is not None:
        found.append(_searched(e.search))
    for difference in e.differences:
        found.append(
            warn("structure", "another structure than the parent's: {what}", what=difference)
        )
    limit = spec.policy.training.max_relative_step
    for step in e.steps:
        if step.frozen and (step.changed_tensors or step.added_tensors):
            found.append(
                refuse("frozen_moved", "group '{group}' was frozen and moved", group=step.group)
            )
        if limit is not None and e.strategy != "full" and step.held:
            found += _too_far(step, limit)
    frozen = [step.group for step in e.steps if step.frozen]
    if frozen and not any(finding.code == "frozen_moved" for finding in found):
        found.append(
            note(
                "frozen_same",
                "frozen groups are the same to the last bit: {groups}",
                groups=frozen[:5],
            )
        )
    if e.imported is not None:
        warned = [*_not_finite(e.imported), *_part(e.imported)]
        return [*warned, *found, _taken(e.imported, spec.model)]
    found.append(
        note(
            "trained",
            "learned from {rows:,} rows in {seconds:.1f} s",
            rows=e.rows,
            seconds=e.seconds,
        )
    )
    return found


def _searched(search: Search) -> Finding:
    pruned = sum(trial.state == "pruned" for trial in search.trials)
    failed = sum(trial.state == "failed" for trial in search.trials)
    best = search.trials[search.best]
    return note(
        "searched",
        "{trials} ways were tried ({pruned} ended early, {failed} failed); the best one, number "
        "{best}, is {strategy} with {settings}, on {window}",
        trials=len(search.trials),
        pruned=pruned,
        failed=failed,
        best=search.best + 1,
        strategy=say(best.strategy),
        settings=_listed(best.settings),
        window=say("all snapshots of the plan")
        if best.window is None
        else say("the newest {count} snapshot(s)", count=best.window),
    )


def _listed(settings: dict[str, Any]) -> list[str]:
    shown = {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in settings.items()}
    return [f"{name} = {value}" for name, value in shown.items()] or ["-"]


def _too_far(step: GroupStep, limit: float) -> list[Finding]:
    if step.relative_norm is None:
        if not step.changed_tensors:
            return []
        return [
            warn(
                "step_unknown",
                "group '{group}' changed, and how far cannot be measured: policy's limit of "
                "{limit:g} says nothing of it",
                group=step.group,
                limit=limit,
            )
        ]
    if step.relative_norm <= limit:
        return []
    return [
        refuse(
            "step_too_large",
            "group '{group}' moved by {step:.3g} of its size; policy allows {limit:g}",
            group=step.group,
            step=step.relative_norm,
            limit=limit,
        )
    ]


def _not_finite(e: Imported) -> list[Finding]:
    """What the proposer let in; whoever approves must know."""
    if not e.nonfinite:
        return []
    shown = sorted(e.nonfinite.items())[:_FEW]
    tensors = [
        say("{tensor} ({count:,}, first at {first:,})", tensor=name, count=count, first=first)
        for name, (count, first) in shown
    ]
    left = len(e.nonfinite) - len(shown)
    if left:
        tensors.append(say("and {count} more", count=left))
    return [
        warn(
            "nonfinite",
            "{count:,} value(s) are NaN or infinite, allowed by {person}: {tensors}",
            count=sum(count for count, _ in e.nonfinite.values()),
            person=e.proposer,
            tensors=tensors,
        )
    ]


def _part(e: Imported) -> list[Finding]:
    """A file whose name says that it holds a part of a model only."""
    named = re.search(r"-\d+-of-(\d+)\.safetensors$", e.file or "")
    if named is None or int(named[1]) == 1:
        return []
    return [
        warn(
            "part",
            "{file} is one of {count} files by its name, and the others are not in this version; "
            "import their model.safetensors.index.json to have all",
            file=e.file,
            count=int(named[1]),
        )
    ]


def _taken(e: Imported, model: str) -> Finding:
    """What came, and how it differs from what is in production."""
    taken: dict[str, Any] = {
        "file": e.file or "-",
        "tensors": e.tensors,
        "size": size_text(e.size_bytes),
    }
    if e.parent is None:
        return note("taken", "taken from {file}: {tensors:,} tensors, {size}", **taken)
    taken["parent"] = f"{model}@{e.parent}"
    if not e.touched:
        return warn(
            "nothing_changed",
            "taken from {file}: {tensors:,} tensors, {size}; nothing changed against {parent}",
            **taken,
        )
    return note(
        "taken",
        "taken from {file}: {tensors:,} tensors, {size}; {changed:,} changed, {added:,} new and "
        "{removed:,} gone against {parent}: {share} of all values",
        changed=e.changed,
        added=e.added,
        removed=e.removed,
        share=share_text(e.changed_share),
        **taken,
    )
