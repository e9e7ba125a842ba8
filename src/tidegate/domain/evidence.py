"""The eight evidence documents: what each stage found, immutable, named by its digest."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from tidegate.domain.drift import Consistency
from tidegate.domain.messages import Frozen, Message
from tidegate.domain.people import Approval
from tidegate.domain.rollout import Known, Step, Tally
from tidegate.domain.schema import Breach
from tidegate.domain.segments import Segment
from tidegate.domain.stage import Stage
from tidegate.domain.strategy import Strategy
from tidegate.domain.validation import (
    Calibration,
    CrossValidation,
    GoldenRequests,
    Interval,
    LearningPoint,
    Noise,
    Paired,
    SegmentScore,
)
from tidegate.domain.version import GroupStep


class Change(Frozen):
    """One value before and after; ``column`` is None for a row that was dropped. Rows from 0."""

    row: int
    column: str | None = None
    before: Any = None
    after: Any = None


class Cleaning(Frozen):
    """What one cleaning step changed: ``changed`` values or rows in all.

    ``rows`` were dropped; ``columns`` counts the changed values of each; ``fitted`` holds, by
    column, what the step found in the data (limits, a value to fill in) and goes by from now on.
    """

    step: str
    changed: int
    message: Message
    rows: int = 0
    columns: dict[str, int] = {}
    example: Change | None = None
    fitted: dict[str, dict[str, Any]] = {}


class Leak(Frozen):
    """How the hold-out, or a column, may know already what is to be told.

    ``kind``: repeats, target_copy or future; ``share`` of the rows that show it, ``rows`` some of
    them (0-based).
    """

    kind: str
    column: str | None = None
    share: float
    rows: list[int] = []
    message: Message


class PrepareEvidence(Frozen):
    """Prepare: the data this update learns from."""

    stage: Literal[Stage.PREPARE] = Stage.PREPARE
    snapshot: str | None  # None for an import
    source_digest: str  # of the snapshot's rows, or of the imported file
    rows: int = 0
    labelled_rows: int = 0
    train_rows: int = 0
    holdout_rows: int = 0
    split: str = "none"
    classes: int | None = None  # distinct labels among the labelled rows
    age_days: float | None = None
    breaches: list[Breach] = []
    cleaning: list[Cleaning] = []
    leaks: list[Leak] = []
    consistency: Consistency | None = None
    reference: str | None = None  # the snapshot it was compared with


class Way(Frozen):
    """One way to update: a strategy, the groups it moves, and the snapshots it trains on."""

    strategy: Strategy
    trainable_groups: list[str] = []
    frozen_groups: list[str] = []
    key_groups: list[str] = []
    snapshots: list[str] = []


class PlanEvidence(Way):
    """Plan: how the parameters will be updated, and why.

    ``snapshots`` are trained on now; ``learned`` are those and all that the line of versions
    before learned from, oldest first: a later update may go back to them. ``rivals`` are ways
    that compete on rows kept aside, the plan's own among them; none where one is settled.
    ``settings`` served earlier versions best, the newest first: a search tries them, and where
    none is made now the first of them are taken. ``windows``: numbers of newest snapshots that
    the search tries (None: all of ``snapshots``), the one that stands first.
    """

    stage: Literal[Stage.PLAN] = Stage.PLAN
    requested: str
    supported: list[Strategy]
    learned: list[str] = []
    remembered: list[str] = []  # snapshots that rows are drawn from against forgetting
    rivals: list[Way] = []
    searches: bool = False
    settings: list[dict[str, Any]] = []
    windows: list[int | None] = []
    parent: int | None = None
    max_relative_step: float | None = None
    why: list[Message]

    def taking(self, strategy: Strategy) -> "PlanEvidence":
        """The same plan, settled on the rival of that strategy."""
        if strategy is self.strategy:
            return self.model_copy(update={"rivals": []})
        way = next(one for one in self.rivals if one.strategy is strategy)
        return self.model_copy(update={**dict(way), "rivals": []})


class Imported(Frozen):
    """Parameters as they came from a file, beside those of the version in production.

    ``changed``, ``added`` and ``removed`` count tensors; ``changed_share`` is the share of all
    values (0 to 1) that are not bit for bit what they were, which those of new tensors and of
    tensors with another shape are not. ``nonfinite`` tells, for each tensor that holds any, how
    many values are NaN or infinite and the flat position of the first.
    """

    file: str | None = None
    tensors: int
    size_bytes: int
    parent: int | None = None  # None: there was nothing to compare with
    changed: int = 0
    added: int = 0
    removed: int = 0
    changed_share: float = 0.0
    nonfinite: dict[str, tuple[int, int]] = {}
    proposer: str = ""

    @property
    def touched(self) -> int:
        """Tensors that are not the same as before."""
        return self.changed + self.added + self.removed


class Trial(Frozen):
    """Settings that were tried: ``score`` is the mean of the primary metric over the parts seen,
    ``merits`` is what trials are ranked by, part by part: more is better.

    ``window``: how many of the plan's newest snapshots it trained on, as far as there are so
    many; None: all of them. ``state``: complete, pruned (it fell behind) or failed (``why`` says
    how).
    """

    settings: dict[str, Any]
    window: int | None = None
    strategy: Strategy
    state: Literal["complete", "pruned", "failed"]
    score: float | None = None
    merits: list[float] = []
    why: str | None = None

    @property
    def merit(self) -> float:
        """The mean of its merits; minus infinity where there are none."""
        return sum(self.merits) / len(self.merits) if self.merits else -math.inf


class Search(Frozen):
    """What a search tried, in order; ``best`` is the place of the trial whose settings were taken.

    ``repeatable``: whether the same search gives the same trials again; a limit in seconds ends
    it at another place each time. ``of_settings``: False where strategies alone competed.
    """

    trials: list[Trial]
    best: int
    repeatable: bool
    of_settings: bool = True


class TrainEvidence(Frozen):
    """Train: the candidate, and proof of what moved and what did not.

    ``notes`` tell what training did beyond the plan: stopped early, shortened a step, averaged
    with the parent. ``deterministic``: whether the same parameters come out again on this machine.
    ``differences`` is what a program that loads the parent would stumble over; the proposer has
    accepted it. ``imported`` is there where the parameters came from a file.
    """

    stage: Literal[Stage.TRAIN] = Stage.TRAIN
    version: int
    params: str
    parent_params: str | None = None
    strategy: Strategy
    rows: int = 0
    seed: int | None = None
    settings: dict[str, Any] = {}
    window: int | None = None  # of the plan's newest snapshots, where a search chose
    curve: list[float] = []
    converged: bool = True
    finite: bool = True
    deterministic: bool = True
    steps: list[GroupStep] = []
    notes: list[Message] = []
    differences: list[Message] = []
    imported: Imported | None = None
    search: Search | None = None
    environment: dict[str, str] = {}
    seconds: float = 0.0
    fit_seconds: float = 0.0  # of these, the fit of the candidate itself


class ValidateEvidence(Frozen):
    """Validate: the candidate against the champion on rows neither has seen.

    ``difference`` is oriented so that more is better, in the unit of the policy's margin
    (absolute for metrics between 0 and 1, else relative to the champion's value). Without a
    champion it is against the baseline: the most frequent class, or the mean. ``segments`` are
    those declared; ``found`` are those that a search found the candidate to be worse in.
    """

    stage: Literal[Stage.VALIDATE] = Stage.VALIDATE
    judged: bool = True  # False for models that are not trained here
    metric: str | None = None
    greater_is_better: bool = True
    rows: int = 0
    candidate: dict[str, Interval] = {}
    champion: dict[str, Interval] = {}
    champion_version: int | None = None
    difference: Interval | None = None
    paired: Paired | None = None
    train_score: float | None = None
    gap: float | None = None
    negative_flips: float | None = None
    changed: float | None = None  # share of rows with another answer than the champion's
    moves_on: bool = False  # whether the update continues from the champion's parameters
    segments: list[SegmentScore] = []
    found: list[SegmentScore] = []
    calibration: Calibration | None = None
    champion_calibration: Calibration | None = None
    noise: Noise | None = None
    cross_validation: CrossValidation | None = None
    learning_curve: list[LearningPoint] = []
    bad_above: float = 0.0
    golden: GoldenRequests | None = None  # asked again wherever the candidate is loaded


class Risk(Frozen):
    """One risk: ``likelihood`` and ``impact`` from 1 to 5, and what is done about it."""

    name: str
    likelihood: int = Field(ge=1, le=5)
    impact: int = Field(ge=1, le=5)
    why: Message
    measure: Message


class AssessEvidence(Frozen):
    """Assess: risks, their score, and the tier from 1 (low) to 4 (critical)."""

    stage: Literal[Stage.ASSESS] = Stage.ASSESS
    risks: list[Risk] = Field(min_length=1)
    score: int
    tier: int
    contingency: Message
    rollback_to: int | None = None


class ApproveEvidence(Frozen):
    """Approve: who signed the case file as it stands."""

    stage: Literal[Stage.APPROVE] = Stage.APPROVE
    digest: str
    tier: int
    proposer: str
    approvals: list[Approval] = []
    refused_by: str | None = None
    refused_because: str | None = None


class ReleaseEvidence(Frozen):
    """Release: what each step of the rollout saw. ``harm`` is the e-value against "no harm".

    ``approved_digest`` is what the approvals signed, ``digest`` the case file's at release;
    ``validated_against`` the champion that validation compared with, ``champion`` the one met.
    ``same_champion``: where those two are not one version, they have the same parameters all the
    same. ``incompatible`` is why the candidate cannot be loaded where it is to answer.
    """

    stage: Literal[Stage.RELEASE] = Stage.RELEASE
    candidate: int
    champion: int | None = None
    validated_against: int | None = None
    same_champion: bool = False
    approved_digest: str
    digest: str
    incompatible: list[Message] = []
    steps: list[Step] = []
    tallies: list[Tally] = []
    harm: float = 0.0
    segments: list[Segment] = []  # those that were judged alone
    harm_in: str | None = None  # the one that most of the harm is in, if it is in one
    as_good: float | None = None  # the e-value for "no worse than the margin", where one is asked
    alpha: float | None = None  # what the budget of false rollbacks left; None: policy's
    promoted_by: str | None = None  # who promoted by hand, before the steps were done
    stopped_by: str | None = None  # who rolled back by hand
    reason: Message | None = None

    @property
    def begun(self) -> bool:
        """Whether the candidate was released at all, be it to a share of traffic."""
        return bool(self.steps)


class ObserveEvidence(Frozen):
    """Observe: how the promoted version fared on live traffic.

    ``harm`` is the e-value against "no harm", of the release with the labels that came after it
    (``tallies``) times that of ``after``, the version's own answers to everybody; ``before`` are
    those of the version it replaced. The live metric is over ``labels`` answers; ``nulls`` more
    were no number, and so have no error that could be averaged.
    """

    stage: Literal[Stage.OBSERVE] = Stage.OBSERVE
    labels: int = 0
    nulls: int = 0
    metric: str | None = None
    live: Interval | None = None
    expected: float | None = None
    greater_is_better: bool = True
    harm: float = 0.0
    harm_in: str | None = None  # the segment that most of the release's harm is in, if it is in one
    alpha: float | None = None  # the release's
    tallies: list[Tally] = []
    before: Known | None = None  # None: too little was known of it
    after: Known = Known()
    closed_by: str | None = None  # who ended the watch by hand
    superseded_by: int | None = None  # the version whose release began before the watch had ended
    stopped_by: str | None = None  # who rolled back by hand
    reason: Message | None = None


Evidence = Annotated[
    PrepareEvidence
    | PlanEvidence
    | TrainEvidence
    | ValidateEvidence
    | AssessEvidence
    | ApproveEvidence
    | ReleaseEvidence
    | ObserveEvidence,
    Field(discriminator="stage"),
]
