"""A picture of a diff: how far each layer moved, drawn as SVG."""

import math
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from tidegate.domain.messages import say
from tidegate.params.rows import TensorDiff

#: More layers than this are told in one line; the ones that moved furthest are drawn.
MOST_LAYERS = 200

_WIDTH, _ROW, _TOP, _BAR, _NAME = 960, 22, 84, 190, 300
_INK, _FAINT, _LINE, _SHARE, _ANGLE, _STOP = (
    "#1f2933", "#7b8794", "#e4e7eb", "#2f6f9f", "#b0662a", "#b83232",
)  # fmt: skip


class Layer(NamedTuple):
    """Tensors of one layer together.

    ``changed_share`` is of all their elements (0 to 1); ``degrees`` the largest angle by which
    one of them turned, None where none has a cosine; ``max_step`` their largest step.
    """

    name: str
    tensors: int
    changed_share: float
    degrees: float | None
    max_step: float | None
    new_nonfinite: int
    others: int


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to by its name.

    Up to the first number; else all but the last word.

    >>> layer_of("model.layers.3.mlp.weight"), layer_of("embed.weight"), layer_of("coef")
    ('model.layers.3', 'embed', 'coef')
    """
    numbered = re.match(r"(?:[^.]+\.)*?[^.]*\d(?=\.)", name)
    return numbered.group() if numbered else name.rpartition(".")[0] or name


def layers(rows: Sequence[TensorDiff]) -> list[Layer]:
    """The layers of a diff in the order of their first tensor."""
    members: dict[str, list[TensorDiff]] = {}
    for row in rows:
        members.setdefault(layer_of(row.name), []).append(row)
    return [_layer(name, found) for name, found in members.items()]


def picture(rows: Sequence[TensorDiff], old: str, new: str, lang: str = "en") -> str:
    """The diff as an SVG document, in ``lang``: a line for each layer."""
    found = layers(rows)
    drawn = found
    if len(found) > MOST_LAYERS:
        far = sorted(found, key=lambda layer: (layer.degrees or 0.0, layer.changed_share))
        kept = set(far[-MOST_LAYERS:])
        drawn = [layer for layer in found if layer in kept]
    widest = max([layer.degrees or 0.0 for layer in drawn], default=0.0)
    height = _TOP + _ROW * len(drawn) + 34
    heads = ((24, "Layer"), (_NAME, "Changed share"), (_NAME + 240, "Turned by"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(24, 32, f"{old} → {new}", size=18),
        *(_text(x, 64, say(head).text(lang), fill=_FAINT) for x, head in heads),
        _text(_WIDTH - 24, 64, say("Largest step").text(lang), fill=_FAINT, anchor="end"),
    ]
    for turn, layer in enumerate(drawn):
        parts += _line(layer, _TOP + _ROW * turn, widest, lang)
    rest = len(found) - len(drawn)
    if rest:
        told = say("and {count} more like these", count=rest).text(lang)
        parts.append(_text(24, height - 14, told, fill=_FAINT))
    return "\n".join([*parts, "</svg>", ""])


def _layer(name: str, rows: Sequence[TensorDiff]) -> Layer:
    sizes = [math.prod(row.shape) for row in rows]
    shares = [0.0 if row.changed_share is None else row.changed_share for row in rows]
    cosines = [row.cosine for row in rows if row.cosine is not None]
    steps = [row.max_step for row in rows if row.max_step is not None]
    whole = sum(sizes)
    return Layer(
        name=name,
        tensors=len(rows),
        changed_share=sum(z * s for z, s in zip(sizes, shares, strict=True)) / max(1, whole),
        degrees=math.degrees(math.acos(min(cosines))) if cosines else None,
        max_step=max(steps, default=None),
        new_nonfinite=sum(row.new_nonfinite for row in rows),
        others=sum(row.changed_share is None for row in rows),
    )


def _line(layer: Layer, top: int, widest: float, lang: str) -> list[str]:
    base = top + 15
    name = layer.name if len(layer.name) <= 36 else f"…{layer.name[-35:]}"
    parts = [
        f'<line x1="24" x2="{_WIDTH - 24}" y1="{top}" y2="{top}" stroke="{_LINE}"/>',
        _text(24, base, name),
        _bar(_NAME, top, layer.changed_share, _SHARE),
        _text(_NAME + _BAR + 6, base, f"{layer.changed_share:.0%}", fill=_FAINT, size=11),
    ]
    if layer.degrees is not None:
        share = layer.degrees / widest if widest else 0.0
        told = f"{layer.degrees:.3g}°"
        parts.append(_bar(_NAME + 240, top, share, _ANGLE))
        parts.append(_text(_NAME + 240 + _BAR + 6, base, told, fill=_FAINT, size=11))
    step = "-" if layer.max_step is None else f"{layer.max_step:.3g}"
    parts.append(_text(_WIDTH - 24, base, step, anchor="end"))
    alarm = []
    if layer.new_nonfinite:
        alarm.append(say("{count} new NaN or infinite", count=layer.new_nonfinite).text(lang))
    if layer.others:
        alarm.append(say("{count} not comparable", count=layer.others).text(lang))
    if alarm:
        parts.append(_text(_WIDTH - 96, base, ", ".join(alarm), fill=_STOP, anchor="end", size=11))
    return parts


def _bar(left: int, top: int, share: float, colour: str) -> str:
    width = max(1.0, share * _BAR) if share > 0 else 0.0
    return (
        f'<rect x="{left}" y="{top + 5}" width="{_BAR}" height="12" fill="{_LINE}"/>'
        f'<rect x="{left}" y="{top + 5}" width="{width:.1f}" height="12" fill="{colour}"/>'
    )


def _text(
    x: int, y: int, words: str, *, fill: str = _INK, anchor: str = "start", size: int = 13
) -> str:
    # XML has no place for control characters, whatever stands for them.
    seen = "".join(c if c.isprintable() else "\ufffd" for c in words)
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" text-anchor="{anchor}" '
        f'font-size="{size}">{escape(seen)}</text>'
    )
