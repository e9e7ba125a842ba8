"""Answers of a splitter outside, in pairs: what is judged where the share is not known."""

from collections import defaultdict, deque


class Matching:
    """Puts each bad answer beside the next good one that was given at the same step.

    Whoever splits sends a request to the candidate by chance, at a share that is not known and may
    change slowly. Were both versions alike, the arm would say nothing of whether an answer is bad:
    of a pair whose arms differ, the bad answer is the candidate's as often as not, whatever the
    share, since p(1 - p) is (1 - p)p. Such pairs are the sequential McNemar test of
    ``judge.log_paired``; what it finds is an odds ratio. (Matched controls: Breslow and Day 1980,
    Statistical methods in cancer research I, chapter V.) Where the share grows between the two,
    the bad answer, which is told first, is the champion's a little more often: the safe side.

    >>> pairs = Matching()
    >>> [pairs.take(0, arm, bad=bad) for arm, bad in (("candidate", True), ("champion", False))]
    [(0, 0), (1, 0)]
    """

    def __init__(self) -> None:
        self._bad: defaultdict[int, deque[str]] = defaultdict(deque)

    def take(self, step: int, arm: str, *, bad: bool) -> tuple[int, int]:
        """Pairs whose arms differ that this answer completes: the bad one candidate's, champion's.

        Answers in the order of their labels; one an entity, where entities are known.
        """
        if bad:
            self._bad[step].append(arm)
            return 0, 0
        if not self._bad[step]:
            return 0, 0
        other = self._bad[step].popleft()
        return int(other == "candidate" != arm), int(other == "champion" != arm)
