"""What validation measures: scores with intervals, comparisons row by row, promises kept."""

from tidegate.domain.messages import Frozen


class Interval(Frozen):
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


class SegmentScore(Frozen):
    """The primary metric within one segment; ``difference`` > 0 is better.

    ``p_value``: of a segment that nobody declared and a search found, corrected over all that the
    search confirmed, on rows of its own.
    """

    segment: str
    rows: int
    candidate: float
    champion: float
    difference: float
    p_value: float | None = None


class Paired(Frozen):
    """Candidate and champion row by row.

    ``better``: rows that only the candidate got right, for numbers those where it erred less;
    ``worse`` the other way round. ``p_value``: two-sided, of no difference between the two (exact
    McNemar). ``auc`` is the difference of the areas under both ROC curves (DeLong), where there
    are two classes and probabilities, and ``auc_p_value`` of no difference there.
    """

    better: int
    worse: int
    p_value: float
    auc: Interval | None = None
    auc_p_value: float | None = None


class CalibrationBin(Frozen):
    """Rows whose promises are alike: the share promised, and the share that came true."""

    rows: int
    promised: float
    observed: float


class Calibration(Frozen):
    """Probabilities against what came true.

    ``error``: mean distance between promised and observed share; ``chance``: what it would be on
    so many rows if every promise were kept; ``brier``: mean squared distance, 0 to 1.
    """

    bins: list[CalibrationBin]
    error: float
    chance: float
    brier: float


class Noise(Frozen):
    """Answers to the same rows with a little noise on every number.

    ``scale``: the noise's standard deviation as a share of each column's; ``changed``: share of
    rows with another class, None for numbers; ``loss``: how much worse the score gets, and
    ``champion_loss`` the champion's, in the unit of the margin.
    """

    scale: float
    changed: float | None = None
    loss: float
    champion_loss: float | None = None


class CrossValidation(Frozen):
    """The primary metric of models trained alike on other parts of the training rows.

    ``how``: time, grouped, stratified or random; ``score`` is the mean over ``folds`` with an
    interval that allows for what their training rows share (Nadeau and Bengio 2003).
    """

    how: str
    folds: list[float]
    score: Interval


class GoldenRequests(Frozen):
    """Rows that the candidate answered when it was validated, kept with its answers: whoever loads
    it asks them again.

    ``digest`` is the BLAKE3 of what is kept, ``environment`` what it answered on.
    """

    digest: str
    rows: int
    environment: dict[str, str] = {}


class LearningPoint(Frozen):
    """The primary metric of a model trained alike on fewer rows: on those, and on the hold-out."""

    rows: int
    train: float
    holdout: float
