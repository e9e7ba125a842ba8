"""The whole record checked: ledger, evidence, decisions, parameters and snapshots."""

from tidegate.data.golden import verify_golden
from tidegate.data.profile.json_file import verify_profile
from tidegate.data.snapshot import verify_snapshot
from tidegate.domain.evidence import ValidateEvidence
from tidegate.domain.gates import gate
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.snapshot import Snapshot
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update, Verdict
from tidegate.domain.version import Version
from tidegate.ledger.journal import Reader
from tidegate.ledger.verify import Problem, Report, verify
from tidegate.params.fsck import by_object, fsck
from tidegate.process.home import Home


def verify_all(home: Home) -> Report:
    """Every doubt about the record: rows, links, evidence, parameter bytes, snapshot bytes."""
    with home.journal.read() as reader:
        report = verify(reader)
        if not report.ok:
            return report  # nothing read from a doubtful record can vouch for the rest
        versions = [(version.name, version.params) for version in reader.all(Version)]
        snapshots = reader.all(Snapshot)
        golden = _golden(reader)
    problems = [
        Problem(where=", ".join(hurt.versions) or hurt.key, message=hurt.message)
        for hurt in by_object(fsck(home.objects, versions))
    ]
    for snapshot in snapshots:
        trouble = verify_snapshot(home.objects, snapshot)
        if trouble is None and snapshot.profile is not None:
            trouble = verify_profile(home.objects, snapshot.profile)
        if trouble is not None:
            problems.append(Problem(where=snapshot.id, message=trouble))
    for update, digest in golden:
        trouble = verify_golden(home.objects, digest)
        if trouble is not None:
            problems.append(Problem(where=update, message=trouble))
    return report.model_copy(update={"problems": [*report.problems, *problems]})


def _golden(reader: Reader) -> list[tuple[str, str]]:
    """Each update that kept golden requests, and their digest."""
    found = []
    for update in reader.all(Update):
        digest = update.evidence_digest(Stage.VALIDATE)
        evidence = reader.evidence(digest) if digest is not None else None
        if isinstance(evidence, ValidateEvidence) and evidence.golden is not None:
            found.append((update.id, evidence.golden.digest))
    return found


class Replayed(Frozen):
    """One verdict derived again: what was recorded, and what the gate says now."""

    stage: Stage
    recorded: Verdict
    derived: Verdict

    @property
    def same(self) -> bool:
        """Whether they agree to the last word."""
        return self.recorded == self.derived


def replay(home: Home, update: Update) -> list[Replayed]:
    """Every verdict of a case file, derived again from the recorded policy and evidence."""
    with home.journal.read() as reader:
        return [
            Replayed(
                stage=filed.stage,
                recorded=filed.verdict,
                derived=gate(update.spec, reader.evidence(filed.evidence)),
            )
            for filed in update.filed
        ]


def summary(report: Report) -> Message:
    """The report in a sentence."""
    if report.ok:
        return say("{events} events verified, nothing is missing or altered", events=report.events)
    return say("{count} problem(s) found in the record", count=len(report.problems))
