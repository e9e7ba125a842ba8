"""A picture of a diff: how far each layer moved, drawn as SVG."""

import math
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from tidegate.domain.amounts import share_text
from tidegate.domain.messages import Message, say
from tidegate.params.rows import Status, TensorDiff

#: More layers than this are told in one line; the ones that moved furthest are drawn.
MOST_LAYERS = 200

_WIDTH, _ROW, _TOP, _BAR, _NAME = 1200, 22, 84, 190, 300
#: Where columns begin; the largest step ends at its place.
_TURNED, _STEP, _NOTES = _NAME + 260, _NAME + 620, _NAME + 640
_INK, _FAINT, _LINE, _SHARE, _ANGLE, _STOP = (
    "#1f2933", "#7b8794", "#e4e7eb", "#2f6f9f", "#b0662a", "#b83232",
)  # fmt: skip


class Layer(NamedTuple):
    """Tensors of one layer together.

    ``changed_share`` is of the elements that have one before to compare with (0 to 1), None where
    none has; ``degrees`` the largest angle by which one of them turned, None where none has a
    cosine; ``max_step`` their largest step. ``reshaped`` have another shape or dtype than before.
    """

    name: str
    tensors: int
    changed_share: float | None
    degrees: float | None
    max_step: float | None
    new_nonfinite: int
    added: int
    removed: int
    reshaped: int


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
        far = sorted(found, key=_how_far)
        kept = set(far[-MOST_LAYERS:])
        drawn = [layer for layer in found if layer in kept]
    widest = max([layer.degrees or 0.0 for layer in drawn], default=0.0)
    height = _TOP + _ROW * len(drawn) + 34
    turned = say("Turned by (whole bar: {degrees}°)", degrees=f"{widest:.3g}")
    heads = (
        (24, say("Layer")),
        (_NAME, say("Changed share")),
        (_TURNED, turned),
        (_NOTES, say("Notes")),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(24, 32, f"{old} → {new}", size=18),
        *(_text(x, 64, head.text(lang), fill=_FAINT) for x, head in heads),
        _text(_STEP, 64, say("Largest step").text(lang), fill=_FAINT, anchor="end"),
    ]
    for turn, layer in enumerate(drawn):
        parts += _line(layer, _TOP + _ROW * turn, widest, lang)
    rest = len(found) - len(drawn)
    if rest:
        told = say("and {count} more like these", count=rest).text(lang)
        parts.append(_text(24, height - 14, told, fill=_FAINT))
    return "\n".join([*parts, "</svg>", ""])


def _layer(name: str, rows: Sequence[TensorDiff]) -> Layer:
    compared = [(math.prod(r.shape), r.changed_share) for r in rows if r.changed_share is not None]
    cosines = [row.cosine for row in rows if row.cosine is not None]
    steps = [row.max_step for row in rows if row.max_step is not None]
    whole = sum(size for size, _ in compared)
    status = [row.status for row in rows]
    return Layer(
        name=name,
        tensors=len(rows),
        changed_share=sum(z * s for z, s in compared) / max(1, whole) if compared else None,
        degrees=math.degrees(math.acos(min(cosines))) if cosines else None,
        max_step=max(steps, default=None),
        new_nonfinite=sum(row.new_nonfinite for row in rows),
        added=status.count(Status.ADDED),
        removed=status.count(Status.REMOVED),
        reshaped=sum(row.old_shape is not None for row in rows),
    )


def _how_far(layer: Layer) -> tuple[float, float]:
    """What the layers that are drawn are chosen by."""
    return layer.degrees or 0.0, 1.0 if layer.changed_share is None else layer.changed_share


def _line(layer: Layer, top: int, widest: float, lang: str) -> list[str]:
    base = top + 15
    name = layer.name if len(layer.name) <= 36 else f"…{layer.name[-35:]}"
    parts = [
        f'<line x1="24" x2="{_WIDTH - 24}" y1="{top}" y2="{top}" stroke="{_LINE}"/>',
        _text(24, base, name),
    ]
    if layer.changed_share is not None:
        told = share_text(layer.changed_share, 0)
        parts.append(_bar(_NAME, top, layer.changed_share, _SHARE))
        parts.append(_text(_NAME + _BAR + 6, base, told, fill=_FAINT, size=11))
    if layer.degrees is not None:
        share = layer.degrees / widest if widest else 0.0
        told = f"{layer.degrees:.3g}°"
        parts.append(_bar(_TURNED, top, share, _ANGLE))
        parts.append(_text(_TURNED + _BAR + 6, base, told, fill=_FAINT, size=11))
    step = "-" if layer.max_step is None else f"{layer.max_step:.3g}"
    parts.append(_text(_STEP, base, step, anchor="end"))
    notes = [note.text(lang) for note in _notes(layer)]
    if notes:
        parts.append(_text(_NOTES, base, ", ".join(notes), fill=_STOP, size=11))
    return parts


def _notes(layer: Layer) -> list[Message]:
    """What a bar cannot show."""
    told = [
        (layer.new_nonfinite, say("{count} new NaN or infinite", count=layer.new_nonfinite)),
        (layer.added, say("{count} new tensor(s)", count=layer.added)),
        (layer.removed, say("{count} removed", count=layer.removed)),
        (layer.reshaped, say("{count} of another shape or type", count=layer.reshaped)),
    ]
    return [message for count, message in told if count]


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
