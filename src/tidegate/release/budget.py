"""How much chance of a false rollback each of many releases may take."""

#: How much an earlier release still counts with every one after it: a tenth of it is forgotten,
#: so that what counts is, in effect, the last ten.
KEEP = 0.9


def alpha_left(spent: float, *, alpha: float, budget: float, keep: float = KEEP) -> float:
    """The alpha of the next release: ``alpha``, or what the budget leaves.

    ``spent`` is ``spend`` of the releases before (0 for none). However many releases follow each
    other, the false rollbacks expected among them, each counted less by ``keep`` (0 to 1) for
    every release since, never exceed ``budget``, by adding up chances, whatever ties the releases
    together. A release is never left with nothing: at least ``budget * (1 - keep)`` is free
    again. The forgetting is that of Ramdas, Yang, Wainwright and Jordan 2017, Online control of
    the false discovery rate with decaying memory (arXiv:1710.00499).

    >>> alpha_left(0.0, alpha=0.01, budget=0.05)
    0.01
    >>> round(alpha_left(0.05, alpha=0.01, budget=0.05), 6)
    0.005
    """
    return min(alpha, budget - keep * spent)


def spend(spent: float, alpha: float, *, keep: float = KEEP) -> float:
    """What has been spent with one more release at ``alpha``; older ones fade."""
    return keep * spent + alpha
