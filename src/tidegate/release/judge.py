"""The sequential judge: whether bad answers fall on the candidate more often than its share."""

from collections.abc import Iterable

import numpy as np

from tidegate.domain.rollout import Tally

#: Risk ratios, candidate over champion, that the evidence is averaged over: from a harm that
#: only many labels show to one that a handful does.
RISK_RATIOS = np.array([1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0])


def harm_e_value(tallies: Iterable[Tally]) -> float:
    """Evidence against "the candidate answers badly no more often than the champion".

    Were both alike, a bad answer would be the candidate's with probability equal to its share of
    the requests, whatever their common rate. The value is the likelihood ratio of "so many times
    as often" to that, averaged over ``RISK_RATIOS``: an e-process, so the chance that it ever
    reaches 1/alpha on a harmless candidate is at most alpha, however often one looks (Ville
    1939; Howard, Ramdas, McAuliffe and Sekhon 2021, doi:10.1214/20-AOS1991). Each bad answer
    counts at the share it was given under, so shares may change. It takes requests to be split
    independently of each other: many by one user, who stays on one side, count too much.

    >>> harm_e_value([])
    1.0
    """
    log = np.zeros(len(RISK_RATIOS))
    for tally in tallies:
        under = tally.share * RISK_RATIOS + (1 - tally.share)  # a bad answer at all, relatively
        log += tally.candidate_bad * np.log(RISK_RATIOS / under)
        log -= tally.champion_bad * np.log(under)
    top = float(log.max())
    return float(np.exp(min(top, 700.0)) * np.exp(log - top).mean())
