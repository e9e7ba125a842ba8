"""What the record tells of parameters that came from a file: what they hold, and what changed."""

import math
from collections.abc import Sequence

from tidegate.domain.compatibility import differences
from tidegate.domain.evidence import Imported, TrainEvidence
from tidegate.domain.groups import members
from tidegate.domain.strategy import Strategy
from tidegate.domain.update import Update
from tidegate.domain.version import GroupStep, Manifest
from tidegate.params.checkout import load_manifest
from tidegate.params.diff import diff
from tidegate.params.packed.references import read_sheet
from tidegate.params.rows import Status, TensorDiff
from tidegate.params.steps import group_steps
from tidegate.process.case import Case
from tidegate.training.environment import environment


def import_evidence(case: Case, parent: str | None) -> TrainEvidence:
    """The train stage's evidence on imported parameters, beside the parameters ``parent``.

    Of what it ran on only what could matter is told: nothing numeric was worked out.
    """
    update, objects = case.update, case.home.objects
    assert update.source is not None  # noqa: S101 - imports have one
    sheet = read_sheet(objects, update.source)
    old = load_manifest(objects, parent) if parent else None
    rows = diff(objects, old, sheet.manifest, case.progress("comparing parameters")) if old else []
    return TrainEvidence(
        version=update.number,
        params=update.source,
        parent_params=parent,
        strategy=Strategy.IMPORT,
        steps=_steps(case, old, sheet.manifest, rows) if old else [],
        differences=differences(old, sheet.manifest) if old else [],
        imported=_imported(update, sheet.manifest, rows, dict(sheet.nonfinite)),
        environment=environment(threads=False),
    )


def _imported(
    update: Update,
    manifest: Manifest,
    rows: Sequence[TensorDiff],
    nonfinite: dict[str, tuple[int, int]],
) -> Imported:
    status = [row.status for row in rows]
    return Imported(
        file=update.source_file,
        tensors=len(manifest.tensors),
        size_bytes=manifest.size_bytes,
        parent=update.champion,
        changed=status.count(Status.CHANGED),
        added=status.count(Status.ADDED),
        removed=status.count(Status.REMOVED),
        changed_share=_changed_share(rows),
        nonfinite=nonfinite,
        proposer=update.proposer,
    )


def _changed_share(rows: Sequence[TensorDiff]) -> float:
    """Of all values, on whichever side has them, the share that is not bit for bit the same."""
    sizes = [math.prod(row.shape) for row in rows]
    # What does not correspond to anything before is new, or gone, as a whole.
    shares = [1.0 if row.changed_share is None else row.changed_share for row in rows]
    changed = math.fsum(z * s for z, s in zip(sizes, shares, strict=True))
    return changed / max(1, sum(sizes))


def _steps(case: Case, old: Manifest, new: Manifest, rows: Sequence[TensorDiff]) -> list[GroupStep]:
    """How far every group moved; the old parameters are read for it, where a model asks for it."""
    spec = case.update.spec
    if not spec.groups and spec.policy.training.max_relative_step is None:
        return []
    groups = members(spec.groups, [row.name for row in rows])
    measuring = case.progress("measuring parameter groups")
    return group_steps(case.home.objects, old, new, rows, groups, measuring)
