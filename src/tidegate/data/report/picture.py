"""Pictures of columns: how a value is spread before and now, and how drift went over time."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from tidegate.data.drift.measures import by_name
from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.numbers import NumberBrief
from tidegate.domain.schema import Kind

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 320, 96
#: Bars of a histogram: enough for a shape, few enough to be told apart.
BINS = 40
#: Categories drawn, the most frequent ones of both sides.
TOP = 8
#: The histogram leaves out so much at either end, or a few far values would flatten all the rest.
ASIDE = 0.005
#: Told apart by people who see no red or green, and in grey (Okabe and Ito 2008).
BEFORE, NOW = "#9aa5b1", "#d55e00"
GRADES = {"small": "#f0e442", "medium": "#e69f00", "large": "#d55e00"}
_INK, _FAINT, _LINE = "#1f2933", "#7b8794", "#e4e7eb"


def column_picture(reference: ColumnProfile, current: ColumnProfile | None = None) -> str:
    """An SVG of one column: grey for the reference, a line for the current rows."""
    if reference.kind is Kind.EMBEDDING:
        sides = [_side(column, "length") for column in (reference, current)]
        return _histogram(sides[0], sides[1])
    if reference.value is not None and (current is None or current.value is not None):
        now = current.value if current is not None else None
        return _histogram(reference.value, now, dates=reference.kind is Kind.DATE)
    return _bars(reference, current)


def timeline(
    names: Sequence[str], columns: Sequence[str], grades: Sequence[Sequence[str | None]]
) -> str:
    """An SVG with a square for each column (down) and each table (across), by grade of drift."""
    width, height = _LEFT + _SIZE * len(names) + 12, _TOP + _SIZE * len(columns) + 8
    parts = [_head(width, height)]
    for across in range(len(names)):
        middle = _LEFT + _SIZE * across + _SIZE // 2
        parts.append(_text(middle, 14, str(across + 1), "middle", _FAINT))
    for down, column in enumerate(columns):
        parts.append(_text(_LEFT - 8, _TOP + _SIZE * down + 13, _short(column, 26), "end"))
        for across, grade in enumerate(grades[down]):
            told = f"{column}, {names[across]}: {grade or '-'}"
            parts.append(_square(across, down, GRADES.get(grade or "", _LINE), told))
    return "".join([*parts, "</svg>"])


#: The timeline's squares, and the room for names on the left and numbers above.
_SIZE, _LEFT, _TOP = 18, 180, 24


def _square(across: int, down: int, colour: str, told: str) -> str:
    return (
        f'<rect x="{_LEFT + _SIZE * across + 1}" y="{_TOP + _SIZE * down + 1}" '
        f'width="{_SIZE - 2}" height="{_SIZE - 2}" rx="2" fill="{colour}">'
        f"<title>{_plain(told)}</title></rect>"
    )


def _side(column: ColumnProfile | None, name: str) -> NumberBrief | None:
    return None if column is None else column.numbers.get(name)


def _histogram(before: NumberBrief | None, now: NumberBrief | None, *, dates: bool = False) -> str:
    sides = [side for side in (before, now) if side is not None and side.summary.rows]
    if not sides:
        return _empty()
    edges = _edges(sides)
    was, is_now = (
        _shares(side, edges) if side is not None and side.summary.rows else np.zeros(BINS)
        for side in (before, now)
    )
    base = HEIGHT - 16
    scale = (base - 4) / (float(max(was.max(), is_now.max())) or 1.0)
    low, high = (_day(edge) if dates else f"{edge:.4g}" for edge in (edges[0], edges[-1]))
    return "".join(
        [
            _head(WIDTH, HEIGHT),
            *_filled(was * scale, base),
            _outline(is_now * scale, base) if now is not None else "",
            f'<line x1="0" x2="{WIDTH}" y1="{base}" y2="{base}" stroke="{_LINE}"/>',
            _text(2, HEIGHT - 4, low, "start", _FAINT),
            _text(WIDTH - 2, HEIGHT - 4, high, "end", _FAINT),
            "</svg>",
        ]
    )


def _filled(heights: Floats, base: float) -> list[str]:
    step = WIDTH / BINS
    return [
        f'<rect x="{at * step:.1f}" y="{base - tall:.1f}" width="{step - 0.6:.1f}" '
        f'height="{tall:.1f}" fill="{BEFORE}"/>'
        for at, tall in enumerate(heights)
        if tall > 0
    ]


def _outline(heights: Floats, base: float) -> str:
    step = WIDTH / BINS
    points = " ".join(
        f"{(at + end) * step:.1f},{base - tall:.1f}"
        for at, tall in enumerate(heights)
        for end in (0, 1)
    )
    return f'<polyline points="{points}" fill="none" stroke="{NOW}" stroke-width="1.8"/>'


def _edges(sides: Sequence[NumberBrief]) -> Floats:
    values = np.concatenate([side.summary.values for side in sides])
    weights = np.concatenate([side.summary.counts / side.summary.rows for side in sides])
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weights[order]) / len(sides)
    low, high = (
        float(values[order][min(int(np.searchsorted(mass, share)), len(mass) - 1)])
        for share in (ASIDE, 1 - ASIDE)
    )
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    return np.linspace(low, high, BINS + 1)


def _shares(side: NumberBrief, edges: Floats) -> Floats:
    places = np.clip(np.searchsorted(edges, side.summary.values, side="right") - 1, 0, BINS - 1)
    inside = (side.summary.values >= edges[0]) & (side.summary.values <= edges[-1])
    counts = np.bincount(places[inside], side.summary.counts[inside], minlength=BINS)
    return np.asarray(counts / side.summary.rows)


def _bars(reference: ColumnProfile, current: ColumnProfile | None) -> str:
    a = reference.texts()
    names, before, after = by_name(a, current.texts() if current is not None else a)
    shares = before / max(1, reference.held), after / max(1, (current or reference).held)
    order = np.argsort(-np.maximum(*shares), kind="stable")[:TOP]
    if not len(order):
        return _empty()
    highest = float(max(shares[0][order].max(), shares[1][order].max())) or 1.0
    tall = 12
    height = (tall + 6) * len(order) + 4
    parts = [_head(WIDTH, height)]
    for turn, place in enumerate(order):
        y, wide = turn * (tall + 6) + 2, WIDTH - 160
        was, now = (float(share[place]) / highest * wide for share in shares)
        parts.append(_text(112, y + 10, _short(names[place], 17), "end"))
        parts.append(f'<rect x="118" y="{y}" width="{was:.1f}" height="{tall}" fill="{BEFORE}"/>')
        told = f"{shares[0][place]:.1%}"
        if current is not None:
            parts.append(
                f'<rect x="118" y="{y + 3}" width="{now:.1f}" height="{tall - 6}" fill="{NOW}"/>'
            )
            told = f"{shares[1][place]:.1%}"
        parts.append(_text(WIDTH - 2, y + 10, told, "end", _FAINT))
    return "".join([*parts, "</svg>"])


def _empty() -> str:
    return _head(WIDTH, 16) + _text(2, 12, "-", "start", _FAINT) + "</svg>"


def _head(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11">'
    )


def _text(x: float, y: float, words: str, anchor: str, fill: str = _INK) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}">{_plain(words)}</text>'


def _plain(words: str) -> str:
    # XML has no place for control characters, whatever stands for them.
    return escape("".join(c if c.isprintable() else "\ufffd" for c in words))


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _day(microseconds: float) -> str:
    return str(np.datetime64(int(microseconds), "us"))[:10]
