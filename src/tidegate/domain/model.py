"""A model as its owners declare it: the model file."""

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from tidegate.domain.cleaning import Fill, Rename, Step, names_of
from tidegate.domain.features import Features, checked
from tidegate.domain.messages import Frozen
from tidegate.domain.metrics import METRICS, Metric, Task, metric_names
from tidegate.domain.policy import Policy
from tidegate.domain.schema import Contract


class ModelSpec(Frozen):
    """What is updated, from what, by which adapter, under which policy."""

    model: str
    adapter: str
    task: Task | None = None
    target: str | None = None
    exclude: list[str] = []
    time: list[str] = []
    key: str | None = None
    segments: list[str] = []
    metric_name: str | None = Field(None, alias="metric")
    groups: dict[str, str] = {}
    contract: Contract | None = None
    cleaning: list[Step] | None = None  # None: what domain.cleaning.DEFAULT_STEPS does
    features: Features | None = None
    policy: Policy = Policy()

    model_config = {**Frozen.model_config, "populate_by_name": True, "serialize_by_alias": True}

    @field_validator("model")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
            raise ValueError("a model's name is 1 to 64 letters, digits, '_', '-' or '.'")
        return name

    @field_validator("time", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @model_validator(mode="after")
    def _complete(self) -> "ModelSpec":
        checked(self.features or {}, self.not_features)
        if not self.trains:
            return self
        if self.task is None or self.target is None:
            raise ValueError("a model that is trained names its task and its target column")
        if self.target in self.exclude:
            raise ValueError(f"the target '{self.target}' is also excluded")
        if self.metric_name is not None and self.metric_name not in metric_names(self.task):
            known = ", ".join(metric_names(self.task))
            raise ValueError(f"metric '{self.metric_name}' does not fit {self.task}: use {known}")
        return self

    @model_validator(mode="after")
    def _harmless(self) -> "ModelSpec":
        """Labels are never made up, and snapshots know these columns by the names in the file."""
        fixed = {self.target, self.key, *self.time, *self.segments}
        for step in self.cleaning or []:
            if isinstance(step, Fill) and self.target in step.columns:
                raise ValueError(f"the target '{self.target}' is filled in by a cleaning step")
            if isinstance(step, Rename):
                for name in (*names_of(step), *step.columns.values()):
                    if name in fixed:
                        raise ValueError(f"'{name}' is named in the model file, and renamed")
        return self

    @property
    def trains(self) -> bool:
        """Whether Tidegate trains this model; parameters of ``tensors`` come from files."""
        return self.adapter != "tensors"

    @property
    def metric(self) -> Metric:
        """The primary metric. Only models that are trained have one."""
        assert self.task is not None  # noqa: S101 - _complete saw to it
        return METRICS[self.metric_name or metric_names(self.task)[0]][0]

    @property
    def not_features(self) -> set[str]:
        """Columns that the parameters never see."""
        named = {self.target, self.key, *self.exclude}
        return {name for name in named if name is not None}
