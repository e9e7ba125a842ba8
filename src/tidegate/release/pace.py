"""How many rows share a call of a model: as many as fit into the time that requests may wait."""


class Pace:
    """Learns from calls how many rows one may have, so that it takes ``budget`` seconds at most.

    Rows are added while calls stay well within the budget, and taken away in proportion as soon as
    one does not: so a model that is slow a row, or a machine that has become busy, has small calls,
    and one that is fast has large ones. The first call has ``most`` rows, or the few that ``first``
    says, which show what a row takes. (Additive increase, multiplicative decrease in Crankshaw et
    al. 2017, Clipper, NSDI; here both are by factors, since what a row takes differs by as much.)

    >>> pace = Pace(budget=0.05, most=512)
    >>> pace.rows
    512
    >>> pace.took(512, 0.5)
    >>> pace.rows
    51
    """

    def __init__(self, *, budget: float, most: int, first: int | None = None):
        self._budget, self._most = budget, most
        #: Rows of the next call, 1 or more.
        self.rows = most if first is None else first

    def took(self, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        if seconds > self._budget:
            self.rows = max(1, min(self.rows, int(rows * self._budget / seconds)))
        elif seconds < self._budget / 2 and 2 * rows > self.rows:
            self.rows = min(self._most, 2 * self.rows)
