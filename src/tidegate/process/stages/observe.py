"""Observe: whether the promoted version keeps on live traffic what validation promised."""

from tidegate.domain.evidence import ObserveEvidence, ValidateEvidence
from tidegate.domain.gates import gate
from tidegate.domain.messages import say
from tidegate.domain.rollout import Deployment, Release, ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.monitoring.observe import observe
from tidegate.process.case import Case, Done, Waiting, Write
from tidegate.process.stages.release import current


def run(case: Case) -> Done | Waiting:
    """The live metric against the expected one, once enough labels are in."""
    update, policy = case.update, case.update.spec.policy.observe
    deployment = current(case.home, update.model)
    release = deployment.release
    assert release is not None  # noqa: S101 - the release stage wrote it
    evidence = ObserveEvidence(
        closed_by=release.closed_by, stopped_by=release.stopped_by, reason=release.reason
    )
    # Behind a first version there is nothing to fall back to, so a watch could decide nothing.
    served = update.spec.trains and policy.min_labels > 0 and deployment.previous is not None
    if release.stopped_by is not None or not served:
        return _done(case, deployment, release, evidence)
    answers = case.home.log.labelled(update.model, version=update.number, after=release.labels_seen)
    first = list(answers)[: policy.min_labels]
    if len(first) < policy.min_labels and release.closed_by is None:
        return Waiting(
            say(
                "version {version} is in production, watched until {needed} answers are labelled",
                version=update.number,
                needed=policy.min_labels,
            )
        )
    if first:
        expected = case.earlier(Stage.VALIDATE, ValidateEvidence)
        assert update.spec.task is not None  # noqa: S101 - it is served
        metric = update.spec.metric
        evidence = evidence.model_copy(
            update={
                "labels": len(first),
                "metric": metric.name,
                "greater_is_better": metric.greater_is_better,
                "live": observe(
                    update.spec.task,
                    metric,
                    first,
                    confidence=update.spec.policy.validation.confidence,
                    seed=update.spec.policy.training.seed,
                ),
                "expected": expected.candidate[metric.name].value,
            }
        )
    return _done(case, deployment, release, evidence)


def _done(case: Case, deployment: Deployment, release: Release, evidence: ObserveEvidence) -> Done:
    """The evidence; where the gate will refuse it, with the version before put back."""
    if gate(case.update.spec, evidence).passed:
        return Done(evidence)
    back = deployment.model_copy(
        update={
            "champion": deployment.previous,
            "previous": None,
            "release": release.model_copy(update={"status": ReleaseStatus.ROLLED_BACK}),
        }
    )
    return Done(evidence, [Write(back, "release.rolled_back", was=deployment)])
