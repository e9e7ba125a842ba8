"""When the next update is due (rule P2): by need, and at the latest after some batches."""

import math
from collections.abc import Sequence

from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.policy import TriggerPolicy


class Stretch(Frozen):
    """A version's loss over some labelled rows: how many, their mean loss and its variance."""

    rows: int
    mean_loss: float
    variance: float


class Arrived(Frozen):
    """What has come since the champion's update: batches, their labelled rows, and beside how many
    rows that it has learned from since its last full update, that one included."""

    batches: int
    rows: int
    beside: int


def due(policy: TriggerPolicy, record: Sequence[Stretch], new: Arrived) -> Message | None:
    """Why an update is due now, or None.

    ``record``: the champion's own losses, oldest first, the newest batch last; what stands
    before it is the level it must hold. The newest batch falls short where its mean loss lies
    ``policy.z`` standard errors above the level (Welch's statistic, B. L. Welch 1947).
    """
    if new.batches < policy.min_batches or not record:
        return None
    if policy.max_batches is not None and new.batches >= policy.max_batches:
        return say("{batches} batches have arrived since the last update", batches=new.batches)
    if policy.growth is not None and new.rows >= policy.growth * new.beside:
        return say(
            "{rows:,} new rows stand beside {before:,} that the champion learned from",
            rows=new.rows,
            before=new.beside,
        )
    newest, before = record[-1], pooled(record[:-1])
    if before is None:
        return None
    error = math.sqrt(newest.variance / newest.rows + before.variance / before.rows)
    excess = newest.mean_loss - before.mean_loss
    if excess <= 0 or (error > 0 and excess < policy.z * error):
        return None
    return say(
        "the newest batch loses {newest:.3f} a row, against {before:.3f} before",
        newest=newest.mean_loss,
        before=before.mean_loss,
    )


def pooled(stretches: Sequence[Stretch]) -> Stretch | None:
    """Several stretches as one; None where there are no rows."""
    rows = sum(stretch.rows for stretch in stretches)
    if rows == 0:
        return None
    mean = sum(stretch.rows * stretch.mean_loss for stretch in stretches) / rows
    squares = sum(
        stretch.rows * (stretch.variance + (stretch.mean_loss - mean) ** 2) for stretch in stretches
    )
    return Stretch(rows=rows, mean_loss=mean, variance=squares / rows)
