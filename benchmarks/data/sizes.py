"""How large the tables are that are compared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """So many rows on each side, so many columns of each kind."""

    rows: int
    numeric: int = 40
    categorical: int = 10

    @property
    def columns(self) -> int:
        return self.numeric + self.categorical

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    @property
    def name(self) -> str:
        rows = f"{self.rows // 1000}k" if self.rows < 1_000_000 else f"{self.rows // 1_000_000}M"
        return f"{rows} + {rows} rows, {self.columns:,} columns"

    def holds(self, other: "Size") -> bool:
        """Whether it has at least as many rows and as many columns."""
        return self.rows >= other.rows and self.columns >= other.columns


#: In this order: what an arm took tells whether it can take a larger one.
SIZES = {
    "100k": Size(100_000),
    "1M": Size(1_000_000),
    "wide": Size(100_000, numeric=800, categorical=200),
    "10M": Size(10_000_000),
}
#: Column of numbers and standard deviations by which it drifts: a normal, a lognormal, a
#: heavy-tailed, a uniform and an integer one.
DRIFTS = {1: 0.1, 11: 0.2, 16: 0.3, 21: 0.4, 27: 0.5}


def number_name(index: int) -> str:
    return f"x{index:03d}"


def category_name(index: int) -> str:
    return f"c{index:03d}"


#: What is to be found.
DRIFTED = {number_name(index) for index in DRIFTS}
