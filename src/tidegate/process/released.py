"""How the release of a model stands, counted up to the newest label."""

from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Deployment, Release
from tidegate.monitoring.gateways import Running, running
from tidegate.process.canary import catch_up
from tidegate.process.home import Home
from tidegate.process.runner import find_update
from tidegate.process.stages.release import current
from tidegate.release.verdict import ReleaseVerdict, verdict


def deployment_now(home: Home, model: str) -> Deployment:
    """What is in production for a model, and its release with all that is known by now."""
    deployment = current(home, model)
    if deployment.release is None:
        return deployment
    release = catch_up(home, _spec(home, deployment.release), deployment.release)
    return deployment.model_copy(update={"release": release})


def verdict_now(
    home: Home, spec: ModelSpec, step: int | None, version: int | None
) -> ReleaseVerdict:
    """The release of the model ``spec`` in one word; see ``release.verdict``."""
    deployment, judged = current(home, spec.model), deployment_now(home, spec.model).release
    policy = (_spec(home, judged) if judged is not None else spec).policy
    return verdict(deployment, judged, policy.rollout, step=step, version=version)


def gateways_of(home: Home, model: str) -> list[Running]:
    """The gateways that run, and what each says of versions of this model."""
    return [
        each.model_copy(update={"notes": tuple(n for n in each.notes if n.model == model)})
        for each in running(home.database)
    ]


def _spec(home: Home, release: Release) -> ModelSpec:
    """A release's model as it was when its update was opened: it goes on by that policy."""
    return find_update(home, release.update).spec
