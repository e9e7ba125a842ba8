"""What the gateway, validation and the backtest ask of a loaded version."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """``values``: class labels (str, int or bool objects) or float64, shape ``(n_rows,)``.

    ``probabilities``: float64 ``(n_rows, n_classes)`` in the order of ``classes``, or None.
    """

    values: Array
    classes: list[Any] | None = None
    probabilities: NDArray[np.float64] | None = None


class Predictor(Protocol):
    """A loaded version: rows in, predictions out. The rows need not hold the target."""

    def predict(self, rows: pl.DataFrame) -> Predictions:
        """Predictions for every row; raises DataError where a needed column is missing."""
        ...


@runtime_checkable
class NumbersPredictor(Predictor, Protocol):
    """A version whose columns may all be numbers: they then need no frame."""

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """Its columns, in order; None where some are no numbers."""
        ...

    def predict_numbers(self, block: NDArray[np.float64]) -> Predictions:
        """Predictions for float64 ``(n_rows, n_columns)``, NaN where missing."""
        ...
