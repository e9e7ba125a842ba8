"""Delay against false stops, as ``docs/canary.svg``: low and left is where one wants to be."""

from collections.abc import Mapping
from html import escape

import numpy as np
from benchmarks.canary.rows import NULL, Outcome

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 1000, 520, 70, 50, 320, 60
#: The row whose delay is drawn, and the seconds between which the axis runs.
ROW, SHORTEST, LONGEST = "errors 0.5% to 1.5%", 10.0, 3600.0
OURS, THEIRS, INK, LINE = "#2d7d5a", "#b83232", "#1f2933", "#d5dae0"


def drawn(results: Mapping[str, Mapping[str, Outcome]]) -> str:
    """An SVG picture with a dot a rule; dots are numbered, and named at the right."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="26" font-size="16">Seconds until harm ({ROW}) is found, against '
        "false stops in the worst row without harm</text>",
        *_axes(),
    ]
    named: dict[tuple[int, int], tuple[float, float, list[int]]] = {}
    for number, rule in enumerate(results[ROW], 1):
        worst = max(row[rule].stopped for name, row in results.items() if name in _rows())
        x, y = _x(worst), _y(results[ROW][rule].delay)
        colour = OURS if rule.startswith("Tidegate") else THEIRS
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}" opacity="0.85"/>')
        at = TOP + 20 + 24 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 40}" y="{at}" fill="{colour}">{number} '
                     f"{escape(rule)}</text>")  # fmt: skip
        named.setdefault((round(x / 16), round(y / 16)), (x, y, []))[2].append(number)
    for x, y, numbers in named.values():  # dots that cover each other share a label
        told = ", ".join(map(str, numbers))
        parts.append(f'<text x="{x - 10:.1f}" y="{y + 4:.1f}" text-anchor="end">{told}</text>'
                     if x > WIDTH - RIGHT - 40
                     else f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">{told}</text>')  # fmt: skip
    return "\n".join([*parts, "</svg>"]) + "\n"


def _rows() -> list[str]:
    return [name for name, rates in NULL.items() if not rates.late]


def _x(stopped: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * stopped / 100


def _y(seconds: float) -> float:
    place = np.log(min(max(seconds, SHORTEST), LONGEST) / SHORTEST) / np.log(LONGEST / SHORTEST)
    return float(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * place)


def _axes() -> list[str]:
    parts = []
    for stopped in range(0, 101, 20):
        x = _x(stopped)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{LINE}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
                     f"{stopped}</text>")  # fmt: skip
    for seconds in (10, 30, 100, 300, 1000, 3600):
        y = _y(seconds)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{LINE}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{seconds:,}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 18}" text-anchor="middle">stopped falsely, of '
                 "100 runs of an hour</text>")  # fmt: skip
    return parts
