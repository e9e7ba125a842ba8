"""What the gateway is asked and answers, and the prediction log keeps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Arm = Literal["champion", "candidate"]
Floats = NDArray[np.float64]


def given_at(request_id: str) -> float | None:
    """When an answer was given, by its id, in seconds since 1970; None for what is no such id.

    >>> given_at("0199c82cc00000000000000000000000")
    1760000000.0
    """
    if re.fullmatch("[0-9a-f]{32}", request_id) is None:
        return None
    return int(request_id[:12], 16) / 1000


class Asked:
    """Rows of a request: ``columns`` by name as they came, or a ``frame``; or ``block``, float64
    ``(n_rows, n_columns)`` with NaN where missing, where all are numbers."""

    __slots__ = ("_columns", "_frame", "block", "names", "rows")

    def __init__(
        self,
        names: tuple[str, ...],
        rows: int,
        *,
        columns: Mapping[str, Sequence[Any]] | None = None,
        frame: pl.DataFrame | None = None,
        block: Floats | None = None,
    ):
        self.names, self.rows, self.block = names, rows, block
        self._columns, self._frame = columns, frame

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "Asked":
        """A frame as it is."""
        return cls(tuple(frame.columns), frame.height, frame=frame)

    def frame(self) -> pl.DataFrame:
        """The rows as a frame."""
        if self._frame is None:
            if self._columns is not None:
                self._frame = pl.DataFrame(dict(self._columns), strict=False)
            else:
                assert self.block is not None  # noqa: S101 - one of the three is there
                self._frame = pl.DataFrame(self.block, schema=list(self.names), orient="row")
        return self._frame

    def numbers(self, inputs: tuple[str, ...]) -> Floats | None:
        """These columns, in this order; None where not all of them came as numbers."""
        if self.block is None or self.names == inputs:
            return self.block
        place = {name: at for at, name in enumerate(self.names)}
        if any(name not in place for name in inputs):
            return None  # what is missing is told where the frame is read
        return self.block[:, [place[name] for name in inputs]]

    def column(self, name: str) -> list[Any] | None:
        """The values of one column; None where it did not come."""
        if name not in self.names:
            return None
        if self._columns is not None:
            return list(self._columns[name])
        return self.frame()[name].to_list()

    def record(self, row: int) -> dict[str, Any]:
        """One row, by column name."""
        if self._columns is not None:
            return {name: values[row] for name, values in self._columns.items()}
        if self._frame is None and self.block is not None:
            return dict(zip(self.names, self.block[row].tolist(), strict=True))
        return self.frame().row(row, named=True)


@dataclass(slots=True)
class Answer:
    """One row's answer, ``version``'s. ``failed`` says that the arm to which the request belonged
    raised, or did not answer every row, or where it is the candidate was late, and that the other
    stepped in. ``params``: the id of the version's parameters; ``epoch`` counts the routes that the
    gateway has gone by."""

    request_id: str
    model: str
    version: int
    arm: Arm
    prediction: Any
    classes: list[str] | None
    shares: list[float] | None
    key: str | None
    update_id: str | None
    step: int | None
    failed: bool
    latency_ms: float
    params: str
    epoch: int

    @property
    def probabilities(self) -> dict[str, float] | None:
        """The share of each class, where the version tells any."""
        if self.classes is None or self.shares is None:
            return None
        return dict(zip(self.classes, self.shares, strict=True))


@dataclass(slots=True)
class Shadowed:
    """What a candidate in the shadow said to a row that the champion answered as ``request_id``.

    ``failed``: it raised or was late, and ``prediction`` is None.
    """

    request_id: str
    update_id: str
    version: int
    prediction: Any
    failed: bool
    latency_ms: float
