"""Training run again from the record alone, to see whether the same parameters come out."""

from tidegate.domain.errors import WrongUsage
from tidegate.domain.evidence import PlanEvidence, TrainEvidence
from tidegate.domain.messages import Frozen
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.training_policy import ComputePolicy
from tidegate.domain.update import Update
from tidegate.domain.version import TensorInfo
from tidegate.params.identity import tensor_id, version_id
from tidegate.process.case import Case
from tidegate.process.compute import opened
from tidegate.process.fitting import fit_candidate
from tidegate.process.home import Home
from tidegate.process.loading import load_fitted
from tidegate.process.stages.train import training_rows
from tidegate.training.environment import changes, environment


class Reproduced(Frozen):
    """The recorded version's id, the id that came out now, and where the environments differ."""

    update: str
    recorded: str
    derived: str
    deterministic: bool = True
    environment_changes: list[str]

    @property
    def same(self) -> bool:
        """Whether the very same parameters came out."""
        return self.recorded == self.derived


def reproduce(home: Home, update: Update) -> Reproduced:
    """Train as recorded, store nothing, and compare ids."""
    if update.evidence_digest(Stage.TRAIN) is None:
        raise WrongUsage(
            "update {update} has trained nothing yet",
            do="run it that far with: tidegate update resume {update}",
            update=update.id,
        )
    case = Case(home, update)
    plan = case.earlier(Stage.PLAN, PlanEvidence)
    trained = case.earlier(Stage.TRAIN, TrainEvidence)
    if plan.strategy is Strategy.IMPORT:
        raise WrongUsage(
            "update {update} took its parameters from a file",
            do="check the file's source; there is no training to run again",
            update=update.id,
        )
    rows = training_rows(case, plan)
    parent = load_fitted(home, update.model, plan.parent)
    # What a search found is in the record; only the training itself is run again.
    plan = plan.taking(trained.strategy)
    used = rows.of(plan.strategy, trained.window)
    # Workers side by side add up in another order than one alone.
    asked = update.spec.policy.training.compute
    with opened(asked if asked.workers > 1 else ComputePolicy()) as compute:
        fitted, _ = fit_candidate(
            update.spec, plan, used, parent, case.progress("training"),
            settings=trained.settings, remembered=rows.remembered, compute=compute,
        )  # fmt: skip
    infos = [
        TensorInfo(
            name=name,
            id=tensor_id(tensor),
            dtype=tensor.dtype,
            shape=list(tensor.shape),
            size_bytes=len(tensor.data),
        )
        for name, tensor in fitted.tensors().items()
    ]
    return Reproduced(
        update=update.id,
        recorded=trained.params,
        derived=version_id(fitted.structure(), infos),
        deterministic=trained.deterministic,
        environment_changes=changes(trained.environment, environment()),
    )
