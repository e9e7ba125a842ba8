"""What the record says is to answer for a model, read at one moment."""

from typing import NamedTuple

from tidegate.domain.errors import TidegateError
from tidegate.domain.model import ModelSpec
from tidegate.domain.policy import RolloutPolicy
from tidegate.domain.rollout import Deployment, Release
from tidegate.domain.update import Update
from tidegate.ledger.journal import Reader
from tidegate.process.home import Home


class InProduction(NamedTuple):
    """Of a record of ``size`` events: the model, what is in production, and the policy of its
    release, under way if there is one."""

    size: int
    spec: ModelSpec
    deployment: Deployment
    rollout: RolloutPolicy

    @property
    def release(self) -> Release | None:
        """The release under way."""
        return _under_way(self.deployment)


def in_production(home: Home, model: str) -> InProduction:
    """Of one model; raises NotFound where there is none of that name."""
    with home.journal.read() as reader:
        return _of(reader, reader.size(), home.spec(reader, model))


def changed_since(home: Home, event: int | None) -> list[InProduction | TidegateError]:
    """Of each model that is served, and that an event after this one tells of; of all for None. An
    error for one whose documents are not as they were recorded.

    In one transaction: where requests are answered meanwhile, each takes some milliseconds.
    """
    with home.journal.read() as reader:
        size = reader.size()
        names = reader.ids(ModelSpec) if event is None else reader.models(after=event)
        found: list[InProduction | TidegateError] = []
        for name in names:
            try:
                spec = reader.get(ModelSpec, name)
                if spec is not None and spec.trains:
                    found.append(_of(reader, size, spec))
            except TidegateError as problem:
                found.append(problem)
        return found


def _of(reader: Reader, size: int, spec: ModelSpec) -> InProduction:
    deployment = reader.get(Deployment, spec.model) or Deployment(model=spec.model)
    release = _under_way(deployment)
    # A release goes on by the policy it began with.
    update = None if release is None else reader.get(Update, release.update)
    return InProduction(size, spec, deployment, (update.spec if update else spec).policy.rollout)


def _under_way(deployment: Deployment) -> Release | None:
    release = deployment.release
    return release if release is not None and release.under_way else None
