"""The part of the policy that training goes by: what is learned from, how, and where."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tidegate.domain.messages import Frozen

Share = float


class RememberPolicy(Frozen):
    """What keeps an incremental or hybrid update from forgetting. All off by default: each costs
    time, and only some data has something to forget."""

    replay_rows: int = Field(
        0, ge=0, description="Rows drawn evenly from all snapshots that the parent learned from, "
        "trained on beside the new ones in incremental updates (Vitter 1985).")  # fmt: skip
    pull: float = Field(
        0.0, ge=0, description="How strongly values are pulled to the parent's: the weight of half "
        "the squared distance in the loss (L2-SP, Li et al. 2018).")  # fmt: skip
    fisher: bool = Field(
        False, description="Whether values that mattered more to earlier rows are pulled more "
        "strongly: by their Fisher information (Kirkpatrick et al. 2017).")  # fmt: skip
    average: bool = Field(
        False, description="Whether parent and child are averaged, in the proportion that scores "
        "best on a fifth of the rows kept aside (WiSE-FT, Wortsman et al. 2022).")  # fmt: skip


class Range(Frozen):
    """Values of one setting to search through: ``choices``, or from ``low`` to ``high``."""

    low: float | None = Field(None, allow_inf_nan=False)
    high: float | None = Field(None, allow_inf_nan=False)
    log: bool = False
    choices: list[Any] | None = None

    @model_validator(mode="after")
    def _several(self) -> "Range":
        ends = (self.low, self.high)
        if (self.choices is None) == (None in ends):
            raise ValueError("a range has either choices, or both low and high")
        if self.choices is not None and len({repr(choice) for choice in self.choices}) < 2:
            raise ValueError("choices of one value leave nothing to search: write it as a setting")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"a range from {self.low:g} to {self.high:g} leaves nothing to search")
        if self.log and self.low is not None and self.low <= 0:
            raise ValueError("a range on a log scale begins above 0")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the choices, or lies between the ends."""
        if self.choices is not None:
            return value in self.choices
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert self.low is not None and self.high is not None  # noqa: S101, PT018 - _several
        return plain and self.low <= value <= self.high

    def ends(self, *, whole: bool) -> list[Any]:
        """What to try whether the range can be: its choices, or both its ends."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None and self.high is not None  # noqa: S101, PT018 - _several
        return [math.ceil(self.low), math.floor(self.high)] if whole else [self.low, self.high]


class SearchPolicy(Frozen):
    """A search for better settings, on training rows alone."""

    space: dict[str, Range] = Field(
        default_factory=dict, description="Settings to search and their ranges; the adapter's own "
        "space where none is named.")  # fmt: skip
    windows: list[Annotated[int, Field(ge=1)] | None] = Field(
        default_factory=list, description="Numbers of newest snapshots that full updates are also "
        "tried on, beside window_snapshots; null: all of them. How fast the past stops telling "
        "what comes differs from stream to stream.")  # fmt: skip
    trials: int = Field(20, ge=1, description="Settings tried at most.")
    by: Literal["probabilities", "metric"] = Field(
        "probabilities", description="What trials are ranked by: how near their probabilities come "
        "to what happened (Brier 1950), which few rows tell more surely than a share of right "
        "answers; or the primary metric, as always where there are no probabilities.")  # fmt: skip
    every: int = Field(
        1, ge=1, description="Of so many updates the last one searches; those after keep the "
        "settings that it ended with.")  # fmt: skip
    budget_seconds: float | None = Field(
        None, gt=0, description="No search is made that would take longer, by what the last full "
        "update took; none either before there was one. Off by default.")  # fmt: skip
    seconds: float | None = Field(
        None, gt=0, description="No trial starts after so many seconds. Off by default: what a "
        "clock ends cannot be repeated exactly.")  # fmt: skip
    folds: int = Field(
        3, ge=1, le=20, description="Parts of the training rows that each trial is scored on: the "
        "newest snapshots, each told from those before it, or folds of the newest where there "
        "are none before. A trial that falls behind the median after any of them ends there.",
    )  # fmt: skip


class ComputePolicy(Frozen):
    """Where search trials and cross-validation folds are trained."""

    engine: Literal["local", "ray"] = Field(
        "local", description="'ray' sends them to a Ray cluster; the extra 'ray' must be installed."
    )
    address: str | None = Field(
        None, description="Address of the cluster; a local one is started where none is given."
    )
    workers: int = Field(
        1, ge=1, le=4096, description="Workers on Ray that train one network side by side, each on "
        "its share of every batch.")  # fmt: skip

    @model_validator(mode="after")
    def _somewhere(self) -> "ComputePolicy":
        if self.engine == "local" and (self.workers > 1 or self.address is not None):
            raise ValueError("an address or several workers need the engine 'ray'")
        return self


class TrainingPolicy(Frozen):
    """What an update learns from, and how."""

    window_snapshots: int | None = Field(
        8, ge=1, description="How many of the newest snapshots a full update trains on: older "
        "ones rarely describe today, and what they cost grows without end. null: all of them.",
    )  # fmt: skip
    holdout_share: Share = Field(
        0.2, gt=0, lt=0.9, description="Share of the newest snapshot kept aside for validation: "
        "the last rows in time; where there is no time a draw, of whole entities where the model "
        "names a key, else in equal shares per class.")  # fmt: skip
    gap_days: float = Field(
        0.0, ge=0, description="Rows of so many days before the hold-out are left out of "
        "training, where time splits: features that look back, and labels that take time, reach "
        "over the line. None by default, since only the owner knows how far they reach.",
    )  # fmt: skip
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the adapter, over its defaults."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random in training.")
    trainable_groups: list[str] | None = Field(
        None, min_length=1, description="Groups an incremental update moves; the adapter's own "
        "choice where none is named.")  # fmt: skip
    key_groups: list[str] | None = Field(
        None, min_length=1, description="Groups a hybrid update retrains from scratch."
    )
    max_relative_step: float | None = Field(
        None, gt=0, description="Largest |new - old| / |old| of a parameter group in an update "
        "that moves on, or an import; key groups of a hybrid update start anew and are free. Off "
        "by default: scales differ between adapters.")  # fmt: skip
    max_changed_predictions: Share | None = Field(
        None, ge=0, le=1, description="Largest share of hold-out rows whose answer may change in "
        "an update that moves on: another class, or a number that moves by more than the "
        "champion's mean error. Off by default.")  # fmt: skip
    remember: RememberPolicy = Field(
        RememberPolicy(), description="What keeps an update from forgetting; nothing by default."
    )
    search: SearchPolicy | None = Field(
        SearchPolicy(trials=4, folds=5, every=8, windows=[3, None], budget_seconds=60),
        description="How settings, and how far back to look, are searched for. By default every "
        "eighth update does where that takes no minute; null: never.",
    )
    compute: ComputePolicy = Field(
        ComputePolicy(), description="Where trials and folds are trained; here by default."
    )
    rivals: list[Literal["full", "incremental", "hybrid"]] = Field(
        default_factory=list, description="Strategies that compete on a fifth of the training rows "
        "kept aside where the strategy is auto; the best one trains the candidate.")  # fmt: skip
    cheap_seconds: float = Field(
        30.0, ge=0, description="A full update that took no longer than this last time saves "
        "nothing by being less than full.")  # fmt: skip
    full_every: int = Field(
        8, ge=1, description="After so many updates in a row that only move on, auto makes a full "
        "one: small errors add up.")  # fmt: skip
