"""A table in brief: small enough to keep and to send, enough to compare columns with later."""

import math
import os
import time
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import ValidationError

from tidegate.data.distribution import Distribution, distribution, thinned
from tidegate.data.drift import EFFECT, MIN_ROWS, Pair, consistency
from tidegate.domain.errors import DataError, NotFound
from tidegate.domain.evidence import Consistency
from tidegate.domain.messages import Frozen
from tidegate.domain.schema import Kind

#: Values kept per numeric column: shares are then exact to 0.2 percent.
POINTS = 500
#: Categories kept by name per text column, the most frequent ones.
CATEGORIES = 200
#: Where a column has more, all of its rows are also counted in this many groups of categories.
#: Which category belongs to which group its hash says, so the groups are the same in every
#: profile; the most frequent categories are not, and two samples of one source would differ.
GROUPS = 200


class ColumnProfile(Frozen):
    """One column: ``counts`` rows for each of ``values`` (ascending) or ``categories``.

    ``groups``: rows per group of categories, where not all categories are named. A number's value
    stands for the rows above the value before it; ``error`` bounds what that changes in any share.
    ``mean``, ``sd``, ``minimum`` and ``maximum`` are of all finite values.
    """

    name: str
    kind: Kind
    dtype: str
    rows: int
    missing: int
    distinct: int
    values: list[float] = []
    categories: list[str] = []
    counts: list[int] = []
    groups: list[int] = []
    error: float = 0.0
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None


class Profile(Frozen):
    """A table's columns in brief."""

    format: Literal["tidegate/profile/1"] = "tidegate/profile/1"
    name: str
    rows: int
    columns: list[ColumnProfile]


def profile(frame: pl.DataFrame, name: str) -> Profile:
    """The profile of a table; ``name`` says what of."""
    columns = [_column(series) for series in frame.get_columns()]
    return Profile(name=name, rows=frame.height, columns=columns)


def compare_profiles(
    reference: Profile,
    current: Profile,
    *,
    effect: float = EFFECT,
    significance: float = 0.01,
    min_rows: int = MIN_ROWS,
) -> Consistency:
    """As ``drift_report`` on the columns both have, without the joint test, which needs rows."""
    began = time.monotonic()
    there = {column.name: column for column in current.columns}
    pairs = [
        _pair(column, there[column.name]) for column in reference.columns if column.name in there
    ]
    if min(reference.rows, current.rows) < min_rows or not pairs:
        return Consistency(
            verdict="too_little_data",
            rows_reference=reference.rows,
            rows_current=current.rows,
        )
    return consistency(pairs, None, effect, significance, began)


def profile_to_json(given: Profile) -> str:
    """The profile as JSON text; floats come back exactly."""
    return given.model_dump_json(indent=1) + "\n"


def profile_from_json(text: str) -> Profile:
    """The profile in a JSON text; raises DataError where it is not one."""
    try:
        found = Profile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            "this is not a profile: {where} ({reason})",
            do="make one with: tidegate data profile FILE -o PROFILE.json",
            where=".".join(str(part) for part in first["loc"]) or "text",
            reason=first["msg"],
        ) from None
    for column in found.columns:
        _check(column)
    return found


def save_profile(given: Profile, path: Path) -> None:
    """Write the profile as JSON; an earlier file is replaced whole or not at all."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(profile_to_json(given), encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(
            "the profile cannot be written to {file} ({reason})",
            do="check the folder and the room on the disk",
            file=str(path),
            reason=error.strerror or str(error),
        ) from None


def load_profile(path: Path) -> Profile:
    """The profile in a file; raises NotFound or DataError."""
    if not path.is_file():
        raise NotFound("there is no file {file}", do="check the name", file=str(path))
    try:
        return profile_from_json(path.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise DataError(
            "{file} is not a profile: byte {byte} is not UTF-8",
            do="make one with: tidegate data profile FILE -o PROFILE.json",
            file=str(path),
            byte=error.start,
        ) from None


def _column(series: pl.Series) -> ColumnProfile:
    whole = distribution(series)
    common = {
        "name": series.name,
        "kind": whole.kind,
        "dtype": str(series.dtype),
        "rows": whole.rows,
        "missing": whole.missing,
        "distinct": len(whole.values),
    }
    if whole.kind is Kind.NUMERIC:
        few = thinned(whole, POINTS)
        shape = {"values": few.values.tolist(), "counts": few.counts.tolist(), "error": few.error}
        return ColumnProfile.model_validate({**common, **shape, **_moments(whole)})
    order = np.lexsort([whole.values.astype(str), -whole.counts])
    top, rest = order[:CATEGORIES], order[CATEGORIES:]
    named = {"categories": whole.values[top].tolist(), "counts": whole.counts[top].tolist()}
    groups = _in_groups(whole) if len(rest) else []
    return ColumnProfile.model_validate({**common, **named, "groups": groups})


def _moments(whole: Distribution) -> dict[str, float]:
    if not whole.held:
        return {}
    # On values of at most 1, so that large ones do not overflow when squared.
    size = float(np.abs(whole.values).max()) or 1.0
    shares, values = whole.counts / whole.held, whole.values / size
    mean = float(shares @ values)
    sd = math.sqrt(float(shares @ (values - mean) ** 2))
    low, high = float(whole.values[0]), float(whole.values[-1])
    return {"mean": mean * size, "sd": sd * size, "minimum": low, "maximum": high}


def _pair(reference: ColumnProfile, current: ColumnProfile) -> Pair:
    """Both sides by category; by group where either side does not name all of them."""
    sides = (reference, current)
    if not any(side.groups for side in sides):
        return _distribution(reference), _distribution(current)
    a, b = (_grouped(side) for side in sides)
    return a, b


def _grouped(column: ColumnProfile) -> Distribution:
    groups = column.groups or _in_groups(_distribution(column).as_categories())
    names = [f"group {number:03d} of {GROUPS}" for number in range(GROUPS)]
    return Distribution(
        column.name,
        Kind.CATEGORICAL,
        np.array(names, dtype=object),
        np.array(groups, dtype=np.int64),
        column.missing,
    )


def _in_groups(whole: Distribution) -> list[int]:
    places = [zlib.crc32(category.encode()) % GROUPS for category in whole.values]
    counts = np.bincount(places, weights=whole.counts, minlength=GROUPS)
    return [int(count) for count in counts]


def _distribution(column: ColumnProfile) -> Distribution:
    if column.kind is Kind.NUMERIC:
        values = np.array(column.values, dtype=np.float64)
        counts = np.array(column.counts, dtype=np.int64)
    else:
        order = np.argsort(np.array(column.categories, dtype=str), kind="stable")
        values = np.array(column.categories, dtype=object)[order]
        counts = np.array(column.counts, dtype=np.int64)[order]
    return Distribution(column.name, column.kind, values, counts, column.missing, column.error)


def _check(column: ColumnProfile) -> None:
    """Raises DataError where a column's numbers contradict each other."""
    held = column.values if column.kind is Kind.NUMERIC else column.categories
    named, counted = sum(column.counts), column.rows - column.missing
    ascending = all(a < b for a, b in zip(column.values, column.values[1:], strict=False))
    sound = (
        len(held) == len(column.counts)
        and (named <= counted == sum(column.groups) if column.groups else named == counted)
        and len(column.groups) in ((0,) if column.kind is Kind.NUMERIC else (0, GROUPS))
        and min([*column.counts, *column.groups, column.missing, column.rows, 0]) >= 0
        and len(set(column.categories)) == len(column.categories)
        and all(math.isfinite(value) for value in column.values)
        and ascending
    )
    if not sound:
        raise DataError(
            "the profile of column '{column}' contradicts itself: its counts do not add up to its "
            "rows, or its values are not in order",
            do="make the profile again from the data",
            column=column.name,
        )
