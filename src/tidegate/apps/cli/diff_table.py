"""A diff as a table: what moved, and how far, to digits in which small steps are seen."""

import math
from collections.abc import Sequence

from rich.table import Table

from tidegate.apps.cli.session import Session
from tidegate.apps.cli.terminal import escape
from tidegate.domain.amounts import share_text
from tidegate.domain.messages import Message, say
from tidegate.params.rows import Status, TensorDiff

#: Nearer to 1, three digits of a ratio would not tell it from 1 well.
_NEAR = 0.01


def diff_table(s: Session, rows: Sequence[TensorDiff]) -> Table:
    """One line for each row."""
    headings = [
        say("Tensor"), say("Status"), say("Changed share"), say("Largest step"), say("Mean step"),
        say("Largest ULP step"), say("Norm ratio"), say("Turned by"),
    ]  # fmt: skip
    broken = any(row.new_nonfinite for row in rows)
    if broken:
        headings.append(say("New NaN, infinity"))
    table = s.table(*headings, right=tuple(range(2, len(headings))), whole=())
    for row in rows:
        figures = [
            "-" if row.changed_share is None else share_text(row.changed_share),
            *[_short(value) for value in (row.max_step, row.mean_step, row.max_ulp_step)],
            _ratio(row.norm_ratio),
            turned(row.cosine),
        ]
        if broken:
            figures.append(f"{row.new_nonfinite or ''}")
        table.add_row(escape(row.name), s.text(_status(row)), *figures)
    return table


def turned(cosine: float | None) -> str:
    """The angle of a cosine in degrees, for people.

    >>> turned(0.0), turned(0.9999995), turned(None)
    ('90°', '0.0573°', '-')
    """
    return "-" if cosine is None else f"{math.degrees(math.acos(cosine)):.3g}°"


def diff_summary(rows: Sequence[TensorDiff]) -> Message:
    """How many tensors changed, came, went and stayed."""
    status = [row.status for row in rows]
    return say(
        "{changed:,} changed, {added:,} new, {removed:,} gone, {same:,} the same",
        changed=status.count(Status.CHANGED),
        added=status.count(Status.ADDED),
        removed=status.count(Status.REMOVED),
        same=status.count(Status.SAME),
    )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _ratio(ratio: float | None) -> str:
    """A ratio of norms; near 1 by what it lacks or exceeds it.

    >>> _ratio(1.00013), _ratio(1.0), _ratio(0.5)
    ('1+0.00013', '1', '0.5')
    """
    if ratio is not None and 0 < abs(ratio - 1) < _NEAR:
        return f"1{ratio - 1:+.2g}"
    return _short(ratio)


def _status(row: TensorDiff) -> Message:
    """What happened to a tensor; where its elements do not correspond, why."""
    if row.old_shape is None:
        return say(row.status)
    return say("{was} → {now}", was=_form(row.old_dtype, row.old_shape, row),
               now=_form(row.dtype, row.shape, row))  # fmt: skip


def _form(dtype: str | None, shape: Sequence[int], row: TensorDiff) -> str:
    form = "x".join(map(str, shape)) or "()"
    return form if row.dtype == row.old_dtype else f"{dtype} {form}"
