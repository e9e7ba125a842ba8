"""After the promotion: what the version says to everybody, against what the one before had said."""

from tidegate.domain.rollout import Known
from tidegate.release.judge import log_evidence, value

#: Fewer labelled answers of the version before do not tell how often it answers badly.
MIN_KNOWN = 100


def watch_e_value(before: Known | None, after: Known, margin: float) -> float:
    """Evidence against "bad answers are at most ``margin`` (0 to 1) more than they were before".

    Nobody answers beside the promoted version, so its bad answers are held against a fixed share,
    the kernel's: what a bad answer is to a good one is what the candidate's is to the champion's.
    Hence an e-process for a version whose share of bad answers stays at what ``before`` shows and
    ``margin`` allows; the margin also has to bear the chance in ``before``, and a world that grows
    harder for everybody. 1 where too little is known of the version before, or nothing would be
    too much.
    """
    if before is None or before.labels < MIN_KNOWN or before.tolerated(margin) >= 1:
        return 1.0
    return value(log_evidence([after.bad], [after.labels - after.bad], before.tolerated(margin)))
