"""The tables that are compared, written to Parquet a row group at a time.

Of each size there are three files: ``reference``, ``same`` (drawn from the same distributions) and
``drifted``, which is ``same`` with five of its columns moved.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.data.sizes import DRIFTS, SIZES, Size, category_name, number_name

GROUP_ROWS = 131_072
Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Numeric:
    """How a column of numbers is drawn; ``sd`` is the unit in which it drifts."""

    draw: Draw
    sd: float
    missing: float = 0.0


def _normal(mean: float, sd: float, missing: float = 0.0) -> Numeric:
    return Numeric(lambda rng, rows: rng.normal(mean, sd, rows), sd, missing)


def _lognormal(sigma: float, missing: float = 0.0) -> Numeric:
    sd = float(np.sqrt((np.exp(sigma**2) - 1) * np.exp(sigma**2)))
    return Numeric(lambda rng, rows: rng.lognormal(0.0, sigma, rows), sd, missing)


def _heavy(freedom: int) -> Numeric:
    """Student's t: its tails reach far, its standard deviation exists from three degrees on."""
    sd = float(np.sqrt(freedom / (freedom - 2)))
    return Numeric(lambda rng, rows: rng.standard_t(freedom, rows), sd)


def _uniform(low: float, high: float) -> Numeric:
    return Numeric(lambda rng, rows: rng.uniform(low, high, rows), (high - low) / 12**0.5)


def _counts(mean: float, missing: float = 0.0) -> Numeric:
    return Numeric(lambda rng, rows: rng.poisson(mean, rows), mean**0.5, missing)


def _integers(high: int) -> Numeric:
    return Numeric(lambda rng, rows: rng.integers(0, high, rows), high / 12**0.5)


def _zeros(share: float, scale: float) -> Numeric:
    def draw(rng: np.random.Generator, rows: int) -> np.ndarray:
        return np.where(rng.random(rows) < share, 0.0, rng.exponential(scale, rows))

    return Numeric(draw, scale * (1 - share**2) ** 0.5)


#: Forty; wider tables repeat them.
NUMERIC = [
    *(_normal(mean, sd) for mean, sd in ((0, 1), (100, 15), (-5, 0.01), (1e6, 1e3), (0, 1e6))),
    *(_normal(mean, sd) for mean, sd in ((37, 0.5), (1e9, 1), (0.5, 0.1), (-273, 30), (20, 8))),
    *(_lognormal(sigma) for sigma in (0.25, 0.5, 0.75, 1.0, 1.5)),
    *(_heavy(freedom) for freedom in (3, 4, 5, 8)),
    *(_uniform(low, high) for low, high in ((0, 1), (-1, 1), (0, 360), (-90, 90), (1e3, 1e5))),
    *(_counts(mean) for mean in (0.5, 3, 30, 1000)),
    *(_integers(high) for high in (10, 100, 10_000, 1_000_000)),
    *(_zeros(share, scale) for share, scale in ((0.3, 1), (0.5, 100), (0.7, 10), (0.9, 1e4))),
    _normal(0, 1, missing=0.05), _normal(50, 5, missing=0.05),
    _lognormal(1.0, missing=0.05), _counts(12, missing=0.05),
]  # fmt: skip
CATEGORIES = (5, 7, 10, 15, 25, 40, 60, 90, 140, 200)


def _numbers(index: int, drift: float, rng: np.random.Generator, rows: int) -> pa.Array:
    column = NUMERIC[index % len(NUMERIC)]
    values = column.draw(rng, rows)
    gone = rng.random(rows) < column.missing if column.missing else None
    step = drift * column.sd
    if drift:
        values = values + (step if values.dtype == np.float64 else int(step))
    return pa.array(values, mask=gone)


def _texts(index: int, rng: np.random.Generator, rows: int) -> pa.Array:
    """Categories whose shares fall as 1, 1/2, 1/3 (Zipf)."""
    count = CATEGORIES[index % len(CATEGORIES)]
    ends = np.cumsum(1 / np.arange(1, count + 1))
    ranks = np.searchsorted(ends, rng.random(rows) * ends[-1], side="right")
    return pa.array([f"value {rank}" for rank in range(count)]).take(pa.array(ranks))


def _column(side: int, drifts: dict[int, float], rows: int, group: int, at: tuple[bool, int]):
    is_text, index = at
    rng = np.random.default_rng([side, group, int(is_text), index])
    if is_text:
        return _texts(index, rng, rows)
    return _numbers(index, drifts.get(index, 0.0), rng, rows)


def write(path: Path, size: Size, side: int, drifts: dict[int, float]) -> None:
    """One table; the same ``side`` gives the same rows, but for what drifts."""
    columns = [(False, i) for i in range(size.numeric)] + [
        (True, i) for i in range(size.categorical)
    ]
    names = [category_name(i) if is_text else number_name(i) for is_text, i in columns]
    writer = None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group, start in enumerate(range(0, size.rows, GROUP_ROWS)):
            rows = min(GROUP_ROWS, size.rows - start)
            made = pool.map(partial(_column, side, drifts, rows, group), columns)
            table = pa.table(list(made), names=names)
            # As other writers do: a dictionary for text, plain pages for numbers.
            texts = names[size.numeric :]
            writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=texts)
            writer.write_table(table)
    if writer is not None:
        writer.close()


def write_all(folder: Path, size: Size) -> None:
    """The three files of one size."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "reference.parquet", size, 0, {})
    write(folder / "same.parquet", size, 1, {})
    write(folder / "drifted.parquet", size, 1, DRIFTS)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]), SIZES[sys.argv[2]])
