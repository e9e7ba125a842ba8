"""What counts as an event: slow answers, answers that are rare for the champion, late labels."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tidegate.domain.segments import Segment
from tidegate.release.judge import Floats, log_evidence, log_mean, log_shift

Label = TypeVar("Label")

#: Quantiles of the champion's latencies beyond which an answer is slow: most answers, the slower
#: tenth, and the tail that users complain of.
LATENCY_QUANTILES = (0.5, 0.9, 0.99)
#: How many times as often a band of answers may come before that counts as another distribution:
#: a new version is meant to answer differently, and twice as often is more than was meant.
BEYOND = 2.0
#: Classes whose answers are counted; more would thin out what each can show.
MAX_CLASSES = 20
#: Values of segments that are judged alone, over all columns: each more weakens the others.
MAX_SEGMENTS = 20
#: Quantiles of the champion's numbers that part them into ranges.
EDGES = (0.01, 0.1, 0.5, 0.9, 0.99)


def slow_above(
    latencies_ms: ArrayLike, quantiles: Sequence[float] = LATENCY_QUANTILES
) -> list[float]:
    """Limits in milliseconds, one a quantile, from the champion's latencies before the release.

    They are frozen: were they taken anew while the candidate answers, its own load on the machine
    would move them. How well they are estimated does not touch the judge's validity, since a
    limit's base rate cancels. Raises ValueError for no latencies.
    """
    known = np.asarray(latencies_ms, dtype=float)
    if known.size == 0:
        raise ValueError("no latency of the champion is known")
    return [float(limit) for limit in np.quantile(known, quantiles)]


def log_slow(candidate: ArrayLike, champion: ArrayLike, share: ArrayLike) -> Floats:
    """Evidence that the candidate is slower, from slow answers ``(..., quantiles, steps)``.

    Shares and result as in ``log_evidence``. The mean of one e-process a quantile: the shift of a
    whole distribution shows at its middle, that of its tail at the top.
    """
    return log_mean(log_evidence(candidate, champion, share))


def log_bands(
    candidate: ArrayLike, champion: ArrayLike, share: ArrayLike, beyond: float = BEYOND
) -> Floats:
    """Evidence that answers are distributed otherwise, from counts ``(..., bands, steps)``.

    ``bands`` are classes, or ranges between quantiles of the champion's answers frozen before the
    release. Were both alike, the answers in each band would fall on the candidate at its share,
    whatever the inputs of the hour (Lindon and Malek 2022, arXiv:2011.03567). The mean of one
    two-sided e-process a band. That a candidate answers otherwise is no harm by itself, so a band
    counts only from ``beyond`` times (or one ``beyond``-th) as often.
    """
    return log_mean(log_shift(candidate, champion, share, beyond))


def classes(answers: Sequence[Any]) -> list[Any]:
    """The champion's classes that are counted: its ``MAX_CLASSES`` most frequent ones, sorted."""
    known = Counter(answers).most_common(MAX_CLASSES)
    return sorted((name for name, _ in known), key=str)


def segments(frequent: Mapping[str, Mapping[str, int]]) -> list[Segment]:
    """The segments of each column that are judged alone, from how often each value was there.

    They are frozen before the release, ``MAX_SEGMENTS`` of them at most: each column's most
    frequent values, as many in each, and for every other value one more together.

    >>> [str(one) for one in segments({"at": {"north": 7, "south": 9}})]
    ['at=south', 'at=north', 'at=*']
    """
    columns = list(frequent)[:MAX_SEGMENTS]
    found = []
    for column in columns:
        named = Counter(frequent[column]).most_common(MAX_SEGMENTS // len(columns) - 1)
        found += [Segment(column=column, value=value) for value, _ in named]
        found.append(Segment(column=column))
    return found


def edges(answers: ArrayLike) -> list[float]:
    """Edges between the ranges of the champion's numbers: rare at either end, common between."""
    return sorted({float(edge) for edge in np.quantile(np.asarray(answers), EDGES)})


def band_of(answer: Any, bands: Sequence[Any], *, numbers: bool) -> list[int]:
    """The band that an answer lies in, by its number; of a class that is not counted, none.

    ``bands`` are classes; of ``numbers`` they are ascending edges, which make one band more.

    >>> band_of(0.5, [0.0, 1.0], numbers=True), band_of("no", ["no", "yes"], numbers=False)
    ([1], [0])
    """
    if numbers:
        return [bisect_right(bands, float(answer))]
    return [bands.index(answer)] if answer in bands else []


def matured(
    labels: Iterable[tuple[float, float, Label]], window: float, now: float
) -> Iterator[Label]:
    """Labels, given in the order they were told, in the order their requests mature, up to ``now``.

    Each comes with two times: when its request was answered, and when it was told (one unit, as
    ``window`` and ``now``). Labels are counted as they come wherever the arm does not touch how
    long they take. Where it does (one version's errors are complained of sooner), the faster side
    would look worse for a while. With a window every request is looked at when it is exactly
    ``window`` old: a label told later is left out, on either side, so that how soon within it no
    longer matters. Called again with more labels and a later ``now``, it begins with the same ones.

    >>> list(matured([(0, 5, "slow"), (4, 6, "quick"), (1, 20, "late")], window=8, now=30))
    ['slow', 'quick']
    """
    waiting: list[tuple[float, int, Label]] = []
    for number, (answered, told, label) in enumerate(labels):
        while waiting and waiting[0][0] + window <= told:
            yield heappop(waiting)[2]
        if told - answered <= window:
            heappush(waiting, (answered, number, label))
    while waiting and waiting[0][0] + window <= now:
        yield heappop(waiting)[2]
