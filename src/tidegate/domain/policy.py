"""The policy: every number that a gate, a trigger or a rollout goes by, with its reason."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tidegate.domain.drift import Grade
from tidegate.domain.messages import Frozen
from tidegate.domain.rollout import Step, Window
from tidegate.domain.training_policy import TrainingPolicy

Share = float


class Preset(StrEnum):
    """Named sets of defaults."""

    FAST = "fast"
    STANDARD = "standard"
    STRICT = "strict"


class DataPolicy(Frozen):
    """What new data must be before parameters learn from it."""

    min_labelled_rows: int = Field(
        30, ge=1, description="Fewer labelled rows say too little: below 30, an interval on a "
        "share is wider than any margin worth testing.")  # fmt: skip
    max_age_days: float | None = Field(
        None, gt=0, description="Oldest the newest row may be; needs a time column. Off by "
        "default, since only the owner knows how fast the world moves.")  # fmt: skip
    max_breach_share: Share = Field(
        0.0, ge=0, le=1, description="Share of rows that may break a rule of severity 'refuse'. "
        "None by default: such a rule was written to be kept.")  # fmt: skip
    on_drift: Literal["allow", "refuse"] = Field(
        "allow", description="Drift is what updates are for, so it is noted and raises the risk; "
        "'refuse' suits data that must stay as it was.")  # fmt: skip
    on_leak: Literal["warn", "refuse"] = Field(
        "warn", description="What follows where rows kept aside are also trained on, a column "
        "tells the target without fail, or holds times after the row's own. A very good column "
        "looks the same, so people decide.")  # fmt: skip
    drift_effect: float = Field(
        0.02, gt=0, lt=1, description="Difference in a share of rows from which a column counts as "
        "drifted: a shift by a twentieth of a standard deviation has it. Smaller ones are news "
        "only because there are many rows.")  # fmt: skip
    drift_grade: Grade = Field(
        Grade.LARGE, description="Grade of drift (small, medium, large) that is acted on: it makes "
        "the update a full one and raises the risk, and on_drift says whether it ends there. Less "
        "is noted. Half a standard deviation is large.")  # fmt: skip
    significance: float = Field(
        0.001, gt=0, lt=1, description="A drifted column must also be significant at this level "
        "after correction over all columns: one false alarm in a thousand comparisons.",
    )  # fmt: skip


class ValidationPolicy(Frozen):
    """How much worse a candidate may be and still pass."""

    margin: float = Field(
        0.02, ge=0, description="Non-inferiority margin on the primary metric: absolute for "
        "metrics between 0 and 1, a share of the champion's value for errors in the target's "
        "unit. A candidate whose score falls further below the champion's is refused.",
    )  # fmt: skip
    undecided: Literal["warn", "refuse"] = Field(
        "warn", description="What follows where the score is within the margin and its interval "
        "is not: the hold-out is too small to tell. 'warn' leaves it to the approver and to the "
        "canary; 'refuse' asks for more rows.")  # fmt: skip
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Confidence of every interval in the report."
    )
    segment_margin: float = Field(
        0.1, ge=0, description="Margin within a segment: wider, since segments are small."
    )
    min_segment_rows: int = Field(
        50, ge=1, description="Smaller segments are reported, and not judged."
    )
    max_negative_flips: Share = Field(
        0.1, ge=0, le=1, description="Share of hold-out rows that were right and are now wrong. "
        "Each is a user who sees the system get worse.")  # fmt: skip
    max_gap: float = Field(
        0.3, ge=0, description="Largest gap between training and hold-out score, in the same "
        "unit as margin: a guard against learning by heart.")  # fmt: skip
    max_calibration_error: Share = Field(
        0.1, ge=0, le=1, description="Mean distance between the probabilities promised and the "
        "shares that came true, beyond chance, from which people are warned.")  # fmt: skip
    folds: int = Field(
        0, ge=0, le=50, description="Folds of cross-validation: as many fits more. 0: none, since "
        "the hold-out alone decides.")  # fmt: skip
    learning_curve: bool = Field(
        False, description="Whether to train on an eighth, a quarter and a half of the rows as "
        "well, to show what more rows would bring.")  # fmt: skip
    must_beat_baseline: bool = Field(
        True, description="The first version must be better than always answering the most "
        "frequent class, or the mean.")  # fmt: skip

    @field_validator("folds")
    @classmethod
    def _several_folds(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold leaves nothing to train on: use 2 or more, or 0 for none")
        return folds


class ApprovalPolicy(Frozen):
    """Who must agree."""

    approvers: int = Field(
        1, ge=0, le=10, description="People who must approve, none of them the proposer."
    )
    distinct_teams: bool = Field(
        False, description="Whether the approvers come from different teams."
    )
    free_tier: int = Field(
        0, ge=0, le=4, description="Updates up to this risk tier pass without a person, and the "
        "record says so; 0 means none do.")  # fmt: skip
    max_tier: int = Field(
        4, ge=1, le=4, description="Updates above this risk tier are refused outright."
    )


class RolloutPolicy(Frozen):
    """How a candidate meets real traffic."""

    steps: list[Step] = Field(
        default=[Step(share=0.1, min_labels=200), Step(share=0.5, min_labels=200)],
        min_length=1,
        description="Growing shares, each held until so many answers are labelled. A first one of "
        "0 is a shadow: the candidate answers unseen, beside the champion, and labels that come "
        "late judge both. Off by default, since it delays each release by its labels.",
    )
    alpha: float = Field(
        0.01, gt=0, lt=0.5, description="Chance of rolling back a harmless candidate, however "
        "often it is looked at.")  # fmt: skip
    max_failures: int = Field(
        5, ge=0, description="Answers a candidate may fail to give (the champion gives them) "
        "before it is withdrawn, beyond what the champion fails at its share of them. Each row of "
        "a request is an answer: one that raises once, on 20 rows, has failed 20.")  # fmt: skip
    max_harm: int | None = Field(
        None, ge=1, description="Bad answers of the candidate, beyond what the champion's share of "
        "them would bring, before it stops at once, counted per request. A limit on harm and no "
        "test: set it well above chance. Off by default.")  # fmt: skip
    margin: float | None = Field(
        None, gt=0, description="How much more often, relatively, the candidate may answer badly: "
        "it is promoted only on evidence of staying below. 0.25 takes some 2,000 bad answers at "
        "half of the requests, so it is off by default, and the labels alone decide.",
    )  # fmt: skip
    count_per: Literal["entity", "request"] = Field(
        "entity", description="Whether a user's second bad answer is evidence. Users stay on one "
        "side, so a few busy ones would look like harm; where no key is known the two are the "
        "same.")  # fmt: skip
    latency: bool = Field(
        False, description="Whether slow answers are evidence of harm, by quantiles of the "
        "champion's latencies before the release. Off by default: rows asked together are slow "
        "together, which only suits requests of one row.")  # fmt: skip
    answers_beyond: float | None = Field(
        None, ge=1, description="How many times as often, or as seldom, a class or a range of "
        "answers may come before that is evidence of harm. A new version is meant to answer "
        "otherwise, so it is off by default; 2 bears a doubling.")  # fmt: skip
    maturity_minutes: float | None = Field(
        None, gt=0, description="Age at which an answer is judged, its label being in or never "
        "counted. Off by default, and labels count as they come: that suits all cases but the one "
        "where a version's mistakes are told sooner, or later, than the other's.")  # fmt: skip
    windows: list[Window] = Field(
        default=[], description="When a further step, or full traffic, may begin by itself: only "
        "in one of these windows, such as office hours. None: at any time. The first step begins "
        "with the approval, and a person promotes at any time. Going back is always at once.",
    )  # fmt: skip
    by_hand: bool = Field(
        False, description="Whether a person lets each next step begin, once it is due: tidegate "
        "release promote MODEL --step. Going back is never by hand only.")  # fmt: skip
    splitter: Literal["tidegate", "outside"] = Field(
        "tidegate", description="Who says which requests the candidate answers: Tidegate, by user "
        "and share, or a splitter in front of it (Argo Rollouts, a mesh), in the header "
        "Tidegate-Arm. Then the judge goes by pairs of answers and needs no share; requests "
        "without the header are the champion's, and count for nothing.")  # fmt: skip
    false_rollbacks: float = Field(
        0.05, gt=0, description="False rollbacks to be expected among successive releases, older "
        "ones counted less by a tenth each. Six in a row have an alpha of 0.01, and then each a "
        "little less, down to 0.005.")  # fmt: skip
    bad_quantile: float = Field(
        0.9, gt=0, lt=1, description="For regression, an answer is bad when its error exceeds "
        "this quantile of the champion's errors on the hold-out.")  # fmt: skip

    @field_validator("steps")
    @classmethod
    def _growing(cls, steps: list[Step]) -> list[Step]:
        shares = [step.share for step in steps]
        if sorted(set(shares)) != shares:
            raise ValueError(f"the shares of a rollout must grow from step to step, not {shares}")
        if shares[-1] == 0:
            raise ValueError("a rollout ends with a share of the requests: a shadow has none")
        return steps

    @model_validator(mode="after")
    def _known_share(self) -> "RolloutPolicy":
        asked = {"margin", "max_harm", "latency", "answers_beyond"}
        given = sorted(name for name in asked if getattr(self, name))
        if given and not self.shares_known:
            raise ValueError(
                f"{', '.join(given)} take the share that answers were given at, which an outside "
                "splitter does not tell: leave them out, or let Tidegate split"
            )
        return self

    @property
    def shares_known(self) -> bool:
        """Whether it is known at which share the candidate is given requests."""
        return self.splitter == "tidegate"


class ObservePolicy(Frozen):
    """How long a promoted version is watched."""

    min_labels: int = Field(200, ge=0, description="Labelled answers that end the watch.")
    min_minutes: float = Field(
        0.0, ge=0, description="How long the watch lasts at least, however many labels are in: a "
        "day shows what an hour does not.")  # fmt: skip
    margin: float = Field(
        0.05, ge=0, description="How far the live metric may lie below the hold-out's, in the "
        "unit of the validation margin, beyond chance; and the share of bad answers above the one "
        "that the version before had (0 to 1).")  # fmt: skip


class TriggerPolicy(Frozen):
    """When the next update starts by itself."""

    z: float = Field(
        3.0, gt=0, description="Standard errors by which a batch must fall short of the "
        "champion's own record before an update starts.")  # fmt: skip
    growth: float | None = Field(
        0.125, gt=0, description="New rows, as a share of those that the champion learned from, "
        "that bring an update: what they can teach lessens with what is known. null: never.",
    )  # fmt: skip
    max_batches: int | None = Field(
        None, ge=1, description="An update at the latest after so many batches, needed or not. "
        "Off by default.")  # fmt: skip
    min_batches: int = Field(
        3, ge=1, description="Batches that must pass between two updates: each takes people's "
        "time, and needs rows to be judged by.",
    )  # fmt: skip


class Policy(Frozen):
    """All rules that govern a model's updates. Start from a preset and change what differs."""

    preset: Preset = Preset.STANDARD
    data: DataPolicy = DataPolicy()
    training: TrainingPolicy = TrainingPolicy()
    validation: ValidationPolicy = ValidationPolicy()
    approval: ApprovalPolicy = ApprovalPolicy()
    rollout: RolloutPolicy = RolloutPolicy()
    observe: ObservePolicy = ObservePolicy()
    trigger: TriggerPolicy = TriggerPolicy()

    @model_validator(mode="before")
    @classmethod
    def _over_preset(cls, given: Any) -> Any:
        """Lay what is given over the preset's values; what is given wins."""
        if not isinstance(given, dict):
            return given
        base = PRESETS.get(str(given.get("preset", Preset.STANDARD)), {})
        laid = dict(given)
        for section, values in base.items():
            own = laid.get(section, {})
            laid[section] = {**values, **own} if isinstance(own, dict) else own
        return laid


#: What each preset changes from the defaults above; ``standard`` is the defaults.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "standard": {},
    "fast": {
        "approval": {"approvers": 1, "free_tier": 1},
        "rollout": {"steps": [{"share": 0.5, "min_labels": 100}]},
        "observe": {"min_labels": 50},
    },
    "strict": {
        "data": {"min_labelled_rows": 200},
        "validation": {
            "undecided": "refuse",
            "segment_margin": 0.05,
            "max_negative_flips": 0.05,
            "folds": 5,
        },
        "approval": {"approvers": 2, "distinct_teams": True, "max_tier": 3},
        "rollout": {
            "steps": [
                {"share": 0.01, "min_labels": 500},
                {"share": 0.1, "min_labels": 500},
                {"share": 0.5, "min_labels": 500},
            ],
            "max_failures": 0,
        },
        "observe": {"min_labels": 1000, "margin": 0.02},
    },
}
