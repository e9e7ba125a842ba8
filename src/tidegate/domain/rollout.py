"""The rollout plan, and the state of a model's release."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from tidegate.domain.messages import Frozen, Message
from tidegate.domain.segments import Segment


class Step(Frozen):
    """One step: ``share`` of requests to the candidate, until ``min_labels`` are in (both arms).

    It also lasts at least ``min_minutes``: a night shows what a minute does not. A share of 0 is a
    shadow: the candidate answers the same requests as the champion, ``sample`` of them (above 0, up
    to 1), and nobody is given its answers; ``min_labels`` then counts requests that both answered.
    """

    share: float = Field(ge=0, le=1)
    min_labels: int = Field(ge=1)
    min_minutes: float = Field(0.0, ge=0)
    sample: float = Field(1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _sampled_in_a_shadow(self) -> "Step":
        if self.share > 0 and self.sample < 1:
            raise ValueError("only a shadow, a step with a share of 0, takes a sample")
        return self

    @property
    def shadow(self) -> bool:
        """Whether nobody is given the candidate's answers."""
        return self.share == 0


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)


class Window(Frozen):
    """When a step may begin: on these days, from ``begin`` to before ``end`` (HH:MM, UTC)."""

    days: list[Day] = Field(default=list(DAYS[:5]), min_length=1)
    begin: str = Field("00:00", pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")
    end: str = Field("24:00", pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")

    @model_validator(mode="after")
    def _lasts(self) -> "Window":
        if self.begin >= self.end:
            raise ValueError(
                f"a window begins before it ends, not at {self.begin} and {self.end}: "
                "give two windows for one that goes over midnight"
            )
        return self

    def holds(self, moment: datetime) -> bool:
        """Whether ``moment``, which knows its zone, lies in it."""
        at = moment.astimezone(UTC)
        return DAYS[at.weekday()] in self.days and self.begin <= f"{at:%H:%M}" < self.end


class Tally(Frozen):
    """What one step saw: labelled answers and bad answers of each arm, at its ``share``.

    Where requests name their entity, the evidence rests on entities and not on requests:
    ``*_bad_entities`` count those that had their first bad answer, ``*_first_bad`` those whose
    first labelled answer was bad. None: every request is an entity of its own. ``matched`` counts
    where a splitter outside sent the requests, at a share that is not known.

    In a shadow (share 0) only requests that both answered are counted, each on either side.
    ``*_only`` count entities by the first such request on which one answer was bad and the other
    was not, ``both_first_bad`` those whose first such request has two bad answers.

    ``*_segments`` are as ``*_bad_entities``, in a shadow as ``*_only``, for each of the release's
    segments.
    """

    share: float
    champion_labels: int = 0
    champion_bad: int = 0
    candidate_labels: int = 0
    candidate_bad: int = 0
    candidate_failures: int = 0  # it raised; the champion answered; counted as bad as well
    champion_bad_entities: int | None = None
    candidate_bad_entities: int | None = None
    champion_first_bad: int | None = None
    candidate_first_bad: int | None = None
    champion_slow: tuple[int, ...] = ()  # entities with an answer beyond each limit of latency
    candidate_slow: tuple[int, ...] = ()
    champion_bands: tuple[int, ...] = ()  # entities with an answer in each class, or range
    candidate_bands: tuple[int, ...] = ()
    matched: tuple[int, int] | None = None  # pairs whose bad answer is the candidate's, champion's
    champion_failures: int = 0  # it raised where the candidate, asked in its place, did not
    #: Requests of the champion, of the candidate: where a splitter outside sent them, and the
    #: champion failed some.
    answers: tuple[int, int] | None = None
    champion_only: int = 0
    candidate_only: int = 0
    both_first_bad: int = 0
    champion_segments: tuple[int, ...] = ()
    candidate_segments: tuple[int, ...] = ()

    @property
    def shadow(self) -> bool:
        """Whether nobody was given the candidate's answers."""
        return self.share == 0

    @property
    def told(self) -> int:
        """What a step's ``min_labels`` asks for: labelled answers, in a shadow labelled pairs."""
        return self.candidate_labels if self.shadow else self.labels

    @property
    def labels(self) -> int:
        """Labelled answers of both arms."""
        return self.champion_labels + self.candidate_labels

    @property
    def bad_entities(self) -> tuple[int, int]:
        """Entities that had a bad answer: the champion's, the candidate's."""
        return _else(self.champion_bad_entities, self.champion_bad), _else(
            self.candidate_bad_entities, self.candidate_bad
        )

    @property
    def first_bad(self) -> tuple[int, int]:
        """Entities whose first labelled answer was bad: the champion's, the candidate's."""
        return _else(self.champion_first_bad, self.champion_bad), _else(
            self.candidate_first_bad, self.candidate_bad
        )

    @property
    def excess(self) -> float:
        """Bad answers of the candidate beyond what the champion's say its share would bring.

        Counted by request: so many users have suffered, in a shadow none. At full share there is
        nothing to compare with, and every bad answer counts. Where a splitter outside sent the
        requests, its share is that of the labelled answers.
        """
        if self.shadow:
            return 0.0
        if self.matched is not None:
            share = self.candidate_labels / max(1, self.champion_labels)
            return self.candidate_bad - self.champion_bad * share
        return self._beyond(self.candidate_bad, self.champion_bad)

    @property
    def failures(self) -> float:
        """Answers, one a row of a request, that the candidate failed to give, beyond what its
        share of the champion's would be.

        Where a splitter outside sent the requests, its share is that of the requests that came.
        """
        if self.answers is not None:
            theirs, ours = self.answers
            return self.candidate_failures - self.champion_failures * ours / max(1, theirs)
        return self._beyond(self.candidate_failures, self.champion_failures)

    def _beyond(self, ours: int, theirs: int) -> float:
        return float(ours) if self.share == 1 else ours - theirs * self.share / (1 - self.share)


def _else(entities: int | None, requests: int) -> int:
    return requests if entities is None else entities


class Known(Frozen):
    """How often a version answered badly, as far as labels tell: ``bad`` of ``labels`` entities, by
    the first labelled answer of each; where requests name none, each is one of its own."""

    labels: int = 0
    bad: int = 0

    def tolerated(self, margin: float) -> float:
        """The share of bad answers that another version may have: this one's, and ``margin``.

        One more bad and one more good answer than were seen keep it off 0 and 1.
        """
        return (self.bad + 1) / (self.labels + 2) + margin


class ReleaseStatus(StrEnum):
    """Where a release stands."""

    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class Places(Frozen):
    """How far a prediction log goes: the number of its last answer, and of its last label."""

    answers: int = 0
    labels: int = 0


class Release(Frozen):
    """The one release under way, or last made, for a model.

    ``bad_above``: a row's loss above this counts as a bad answer (0 for classes: any wrong one).
    ``tallies`` holds one entry a step begun; ``labels_seen`` is the order number of the last
    label they count. ``alpha`` is this release's chance of a false rollback, ``spent`` what it and
    those before it have taken of the budget. ``cleared`` is the last step that a person let begin.
    ``since``: how far the prediction log went when it began; what is of it lies behind that.
    ``segments`` are those of the requests that are judged on their own, as they were before it.
    """

    update: str
    candidate: int
    champion: int | None
    steps: list[Step]
    step: int
    status: ReleaseStatus
    bad_above: float
    started_at: str
    tallies: list[Tally]
    labels_seen: int = 0
    since: Places | None = None
    matured_seen: int = 0  # with a maturity window: how many labels they count, in its order
    harm: float = 0.0  # the e-value against "no harm" when last judged
    as_good: float | None = None  # the e-value for "no worse than the margin", where one is asked
    alpha: float | None = None
    spent: float = 0.0
    slow_above: list[float] = []  # limits in ms, one a quantile of the champion's latencies
    bands: list[Any] = []  # the champion's classes, or edges between ranges of its answers
    segments: list[Segment] = []
    harm_in: str | None = None  # the segment that most of the evidence of harm comes from, if any
    before: Known | None = None  # the champion's bad answers when it made way for the candidate
    step_at: str | None = None  # when the present step began
    cleared: int = 0
    waits: Message | None = None  # what the present step waits for
    ended_at: str | None = None
    promoted_by: str | None = None  # who promoted by hand
    closed_by: str | None = None  # who ended the observation by hand
    superseded_by: int | None = None  # the version whose release ended the observation
    stopped_by: str | None = None  # who rolled back by hand
    reason: Message | None = None

    @property
    def under_way(self) -> bool:
        """Whether its steps go on: it is neither promoted nor taken back."""
        return self.status in (ReleaseStatus.SHADOW, ReleaseStatus.CANARY)

    @property
    def shadowed(self) -> bool:
        """Whether it begins, or began, with a shadow."""
        return self.steps[0].shadow

    @property
    def share(self) -> float:
        """Share of requests that the candidate answers now."""
        if self.under_way:
            return self.steps[self.step].share
        return 1.0 if self.status is ReleaseStatus.PROMOTED else 0.0


class ServingNote(Frozen):
    """A gateway's word on a version that the record names: that it is ``refused``, and so not
    routed there, or what was not asked of it before it was."""

    model: str
    version: int
    refused: bool
    text: Message


class Deployment(Frozen):
    """Which version answers for a model: ``champion``, the one before it, and the release."""

    model: str
    champion: int | None = None
    previous: int | None = None
    release: Release | None = None


def promoted(deployment: Deployment) -> Deployment:
    """The deployment after its release's candidate has become champion."""
    assert deployment.release is not None  # noqa: S101 - only a release promotes
    return deployment.model_copy(
        update={"champion": deployment.release.candidate, "previous": deployment.champion}
    )
