"""The eight stages of an update: their order, what each takes and gives, and who owns it."""

from enum import StrEnum
from typing import NamedTuple

from tidegate.domain.messages import Message, say


class Team(StrEnum):
    """The teams that stages belong to (rule F3)."""

    DATA = "data"
    ALGORITHM = "algorithm"
    ENGINEERING = "engineering"
    BUSINESS = "business"


class Stage(StrEnum):
    """The stages, in the order an update passes them."""

    PREPARE = "prepare"
    PLAN = "plan"
    TRAIN = "train"
    VALIDATE = "validate"
    ASSESS = "assess"
    APPROVE = "approve"
    RELEASE = "release"
    OBSERVE = "observe"

    @property
    def following(self) -> "Stage | None":
        """The stage after this one; None after the last."""
        stages = list(Stage)
        at = stages.index(self) + 1
        return stages[at] if at < len(stages) else None


class Charter(NamedTuple):
    """What a stage declares (rule F1): its inputs, outputs, team, and its gate's question."""

    takes: Message
    gives: Message
    team: Team
    asks: Message


CHARTERS: dict[Stage, Charter] = {
    Stage.PREPARE: Charter(
        say("the new data, the reference and the contract"),
        say("a snapshot, quality and consistency reports, a split"),
        Team.DATA,
        say("Is the contract kept, is the data fresh enough, has it drifted?"),
    ),
    Stage.PLAN: Charter(
        say("the consistency report and the state of the current version"),
        say("strategy, parameter groups, step budget, and the reason"),
        Team.ALGORITHM,
        say("Is the plan within policy?"),
    ),
    Stage.TRAIN: Charter(
        say("the plan, the split and the parent version"),
        say("a candidate version, its curve, seed and environment"),
        Team.ALGORITHM,
        say("Did it converge, is the step within budget, are frozen groups untouched?"),
    ),
    Stage.VALIDATE: Charter(
        say("the candidate, the champion and the hold-out"),
        say("metrics with intervals, segments, gap and negative flips"),
        Team.ALGORITHM,
        say("Is it no worse than policy allows, overall and in every segment?"),
    ),
    Stage.ASSESS: Charter(
        say("all evidence so far"),
        say("risks, score, tier and the contingency plan in force"),
        Team.ENGINEERING,
        say("Is the tier acceptable?"),
    ),
    Stage.APPROVE: Charter(
        say("the digest of the case file"),
        say("the approvals"),
        Team.BUSINESS,
        say("Are there enough approvals, by the right people, of exactly this case file?"),
    ),
    Stage.RELEASE: Charter(
        say("the approved version and the rollout plan"),
        say("the deployment log and the canary's analysis"),
        Team.ENGINEERING,
        say("At every step: was the candidate not worse?"),
    ),
    Stage.OBSERVE: Charter(
        say("live windows and feedback"),
        say("the monitoring report"),
        Team.ENGINEERING,
        say("Did it hold through the observation window?"),
    ),
}
