"""How new data differ from historical data: what is reported, and how large a difference is."""

from enum import StrEnum
from typing import Literal

from tidegate.domain.messages import Frozen, Message, say


class Grade(StrEnum):
    """How large a drift is: what gates and people act on."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"

    def reaches(self, other: "Grade") -> bool:
        """Whether this is as large as ``other``, or larger."""
        return list(Grade).index(self) >= list(Grade).index(other)


#: Effects, as the largest difference in a share of rows, from which drift is medium and large: a
#: normal column shifted by 0.2 and by 0.5 standard deviations (Cohen's small and medium) has them.
MEDIUM, LARGE = 0.08, 0.2


def grade_of(effect: float) -> Grade:
    """The grade of a drift of this effect.

    >>> [str(grade_of(effect)) for effect in (0.02, 0.1, 0.4)]
    ['small', 'medium', 'large']
    """
    if effect >= LARGE:
        return Grade.LARGE
    return Grade.MEDIUM if effect >= MEDIUM else Grade.SMALL


class Since(Frozen):
    """The first row (0-based) that belongs to the new state, of the reference or of the current
    rows, and its time where rows have one."""

    side: Literal["reference", "current"]
    row: int
    time: str | None = None


class ColumnDrift(Frozen):
    """How one column differs.

    ``effect``: the largest difference in a share of rows, 0 to 1. ``p_value`` is corrected over
    all columns. ``measures``: further ones by name. ``appeared`` and ``vanished``: categories that
    only one side has, the most frequent first. ``judged`` is False for a column that only ever
    grows, as clocks and counters do: that it differs says nothing.
    """

    name: str
    drifted: bool
    effect: float
    p_value: float
    grade: Grade | None = None  # of a column that has drifted
    kind: str | None = None
    measures: dict[str, float] = {}
    appeared: list[str] = []
    vanished: list[str] = []
    since: Since | None = None
    judged: bool = True
    detail: Message | None = None


class JointDrift(Frozen):
    """Whether the columns together tell the two sides apart. ``score``: AUC, 0.5 to 1;
    ``columns``: those that give the difference away, the most telling first."""

    drifted: bool
    score: float
    columns: list[str]
    grade: Grade | None = None


class ConceptDrift(Frozen):
    """Whether the current version errs more often, or by more, on the new rows than before.

    ``before`` and ``now``: on its hold-out and on the new labelled rows, the share of wrong answers
    (``metric`` error) or the mean absolute error (mae); ``p_value`` of a difference in either
    direction.
    """

    drifted: bool
    metric: str
    before: float
    now: float
    rows_before: int
    rows_now: int
    p_value: float
    grade: Grade | None = None


#: What each verdict is called before people.
VERDICTS = {
    "consistent": say("consistent"),
    "drifted": say("drifted"),
    "too_little_data": say("too little data to tell"),
}


class Consistency(Frozen):
    """New against historical data; ``columns`` are ranked by effect.

    ``label``: the target's own column, which is not among ``columns``. ``grade``: the largest.
    ``gone`` and ``new``: columns that only the reference, or only the new rows have.
    """

    verdict: Literal["consistent", "drifted", "too_little_data"]
    grade: Grade | None = None
    columns: list[ColumnDrift] = []
    joint: JointDrift = JointDrift(drifted=False, score=0.5, columns=[])
    label: ColumnDrift | None = None
    concept: ConceptDrift | None = None
    gone: list[str] = []
    new: list[str] = []
    rows_reference: int = 0
    rows_current: int = 0
    seconds: float = 0.0

    def with_concept(self, concept: ConceptDrift | None) -> "Consistency":
        """The same, counting how the current version errs."""
        if concept is None or concept.grade is None:
            return self.model_copy(update={"concept": concept})
        largest = concept.grade
        if self.grade is not None and self.grade.reaches(largest):
            largest = self.grade
        told = {"concept": concept, "verdict": "drifted", "grade": largest}
        return self.model_copy(update=told)

    def reaches(self, grade: Grade) -> bool:
        """Whether the data have drifted at least that far."""
        # Reports from before there were grades told of large drift only.
        return self.verdict == "drifted" and (self.grade or Grade.LARGE).reaches(grade)
