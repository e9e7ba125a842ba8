"""Values of requests: how many there may be, and how they are told of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.apps.http.errors import TooLarge
from tidegate.domain.errors import DataError

#: Rows, or labels, of one request: whoever comes meanwhile waits for them.
MOST_ROWS = 10_000
#: Values of one input, with those that its shape adds.
MOST_VALUES = 5_000_000


def check_amount(rows: int, values: int = 0) -> None:
    """Raise TooLarge for more than one request may hold."""
    if rows > MOST_ROWS or values > MOST_VALUES:
        raise TooLarge(
            "a request holds at most {rows:,} rows here, and {values:,} values",
            do="send fewer rows at a time",
            rows=MOST_ROWS,
            values=MOST_VALUES,
        )


def shown(value: Any) -> str:
    """A value as messages show it: a short one, and of what is nested only that it is."""
    if isinstance(value, (list, dict)):
        return "[…]" if isinstance(value, list) else "{…}"
    return repr(value)[:80]


def block_of(columns: Mapping[str, Any]) -> NDArray[np.float64]:
    """Columns of numbers side by side, NaN where missing."""
    return np.array(list(columns.values()), np.float64).T


def not_a_table(name: str, error: Exception) -> DataError:
    """The error for values that make no column."""
    return DataError(
        "'{name}' cannot be read as a column of values: {problem}",
        do="give numbers, texts, true, false or null, all of one kind in a column",
        name=name,
        problem=str(error).splitlines()[0] if str(error) else type(error).__name__,
    )
