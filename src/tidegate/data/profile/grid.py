"""Numbers counted in even cells: what sorting would tell, at a tenth of its time."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Cells: their counts stay in a core's own cache, and with a normal column one in the middle holds
#: a ten-thousandth of the rows.
CELLS = 1 << 15
#: The cells reach over all but this share of the numbers at either end, so that a few that are far
#: out do not make them wide.
ASIDE = 0.001
#: No cell may hold more than this share of a batch, chance aside: a column that is far denser in
#: some place, or has many equal numbers, is sorted.
DENSEST = 1 / 1024
#: A batch with more than this share beyond the cells is sorted: the column has moved on.
BEYOND = 0.05


class Grid:
    """Even cells over the bulk of a column; ``counts`` numbers in each, exactly.

    ``whole``: each cell is for one whole number, and no other number may come.
    """

    def __init__(self, low: float, scale: float, *, whole: bool = False):
        self.low, self.scale, self.whole = low, scale, whole
        self.counts: Counts = np.zeros(CELLS + 2, np.int64)

    def add(self, values: Floats) -> Floats | None:
        """Count finite numbers; gives those beyond the cells, or None where it counted none.

        None says that the cells do not suit this batch: it is to be sorted.
        """
        with np.errstate(over="ignore"):
            places = values - self.low
            places *= self.scale
        # In floats first: what is far out would not fit an integer.
        np.clip(places, 0, CELLS + 1, out=places)
        cells = places.astype(np.int64)
        if self.whole and not (places == cells).all():
            return None
        counts = np.bincount(cells, minlength=CELLS + 2)
        beyond = int(counts[0] + counts[-1])
        dense = not self.whole and counts[1:-1].max() > _most(len(values))
        if dense or beyond > BEYOND * len(values):
            return None
        self.counts += counts
        beyond_them: Floats = values[(cells == 0) | (cells == CELLS + 1)] if beyond else values[:0]
        return beyond_them

    def cells(self) -> tuple[Floats, Counts]:
        """A number for each cell that holds some, ascending, and how many it holds.

        The number itself for cells of whole numbers, else the cell's middle.
        """
        held = np.flatnonzero(self.counts[1:-1]) + 1
        inside = 0.0 if self.whole else 0.5
        numbers = self.low + (held.astype(np.float64) + inside) / self.scale
        return numbers, np.asarray(self.counts[held])


def grid_for(ascending: Floats) -> Grid | None:
    """Cells that suit a column, by some of its finite numbers in ascending order; else None."""
    if len(ascending) < 2 / DENSEST:
        return None
    low, high = float(ascending[0]), float(ascending[-1])
    if high - low < CELLS and (ascending == np.floor(ascending)).all():
        return Grid(low - (CELLS - (high - low)) // 2, 1.0, whole=True)
    aside = int(ASIDE * len(ascending))
    first, last = float(ascending[aside]), float(ascending[-1 - aside])
    with np.errstate(over="ignore", divide="ignore"):
        width = (np.float64(last) - first) / CELLS
        scale = 1 / width
    # Subnormal, huge and constant columns have no scale that can be reckoned with.
    if not (0 < width < np.inf and scale < np.inf):
        return None
    grid = Grid(first - float(width), float(scale))
    return None if grid.add(ascending) is None else Grid(grid.low, grid.scale)


def _most(rows: int) -> float:
    """Rows of a batch that one cell may hold: the share, and five standard deviations."""
    even = DENSEST * rows
    return float(even + 5 * np.sqrt(even))
