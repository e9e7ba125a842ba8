"""Draws the loop: the eight stages, their teams and gates, as ``docs/loop.svg`` (``make docs``).

What it says comes from ``tidegate.domain.stage``, so the picture cannot tell another story than
the program.
"""

import textwrap
from html import escape
from pathlib import Path

from tidegate.domain.messages import render
from tidegate.domain.stage import CHARTERS, Stage, Team

WIDTH, HEIGHT = 1080, 520
BOX, TALL, GAP = 216, 128, 48
LEFT, UPPER, LOWER = 36, 72, 284
COLOURS = {
    Team.DATA: "#2f6f9f",
    Team.ALGORITHM: "#5b4b9a",
    Team.ENGINEERING: "#2d7d5a",
    Team.BUSINESS: "#b0662a",
}
CAPTIONS = {
    "en": {
        "title": "An update passes eight gates",
        "again": "the model ages: again",
        "rejected": "a gate refuses: rejected",
        "rolled_back": "traffic says no: rolled back at once",
        "ledger": "Every step is written to a tamper-evident ledger: who, when, on what evidence.",
    },
    "zh": {
        "title": "一次更新，八道关卡",
        "again": "模型老化：再来一轮",
        "rejected": "关卡不放行：驳回",
        "rolled_back": "真实流量说不：立即回滚",
        "ledger": "每一步都写入防篡改账本：谁、何时、凭什么证据。",
    },
}
INK, PAPER, LINE, STOP = "#1f2933", "#ffffff", "#7b8794", "#b83232"


def draw(lang: str) -> str:
    """The picture as SVG text, in ``en`` or ``zh``."""

    captions = {name: escape(text) for name, text in CAPTIONS[lang].items()}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f"font-family=\"system-ui, -apple-system, 'Noto Sans CJK SC', sans-serif\">",
        f"<title>{captions['title']}</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{LINE}"/>'
        "</marker></defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="{PAPER}"/>',
        _text(LEFT, 38, captions["title"], 20, bold=True),
    ]
    for number, stage in enumerate(Stage):
        parts += _stage(number, stage, lang)
    parts += _arrows(captions)
    parts += _ledger(captions)
    return "\n".join([*parts, "</svg>\n"])


def _place(number: int) -> tuple[int, int]:
    """Left upper corner of a stage: the first four go right, the last four come back."""
    column = number if number < 4 else 7 - number
    return LEFT + column * (BOX + GAP), UPPER if number < 4 else LOWER


def _stage(number: int, stage: Stage, lang: str) -> list[str]:
    x, y = _place(number)
    charter = CHARTERS[stage]
    colour = COLOURS[charter.team]
    name = escape(render(str(stage), {}, lang))
    team = escape(render(str(charter.team), {}, lang))
    width = 30 if lang == "en" else 15
    asks = textwrap.wrap(charter.asks.text(lang), width)
    parts = [
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="10" fill="{PAPER}" '
        f'stroke="{colour}" stroke-width="2"/>',
        f'<path d="M{x} {y + 34}v-24a10 10 0 0 1 10-10h{BOX - 20}a10 10 0 0 1 10 10v24z" '
        f'fill="{colour}"/>',
        _text(x + 14, y + 23, f"{number + 1}  {name}", 15, colour=PAPER, bold=True),
        _text(x + BOX - 14, y + 23, team, 12, colour=PAPER, anchor="end"),
    ]
    for line, text in enumerate(asks):
        parts.append(_text(x + 14, y + 58 + 18 * line, escape(text), 13))
    return parts


def _arrows(captions: dict[str, str]) -> list[str]:
    parts = []
    for number in range(7):
        (x, y), (to_x, to_y) = _place(number), _place(number + 1)
        if to_y != y:
            parts.append(_line(x + BOX / 2, y + TALL, x + BOX / 2, to_y - 4))
        elif to_x > x:
            parts.append(_line(x + BOX, y + TALL / 2, to_x - 4, y + TALL / 2))
        else:
            parts.append(_line(x, y + TALL / 2, to_x + BOX + 4, y + TALL / 2))
    x, y = _place(7)
    parts.append(_line(x + BOX / 2, y, x + BOX / 2, UPPER + TALL + 4, dashed=True))
    middle = UPPER + TALL + 47
    parts.append(_text(x + BOX / 2 + 12, middle, captions["again"], 13))
    parts.append(
        _text(WIDTH / 2 + 60, middle, captions["rejected"], 13, colour=STOP,
              anchor="middle")
    )  # fmt: skip
    parts.append(
        _text(LEFT + BOX + GAP, LOWER + TALL + 28, captions["rolled_back"], 13,
              colour=STOP)
    )  # fmt: skip
    return parts


def _ledger(captions: dict[str, str]) -> list[str]:
    y = HEIGHT - 62
    return [
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH - 2 * LEFT}" height="38" rx="8" fill="#eef2f6"/>',
        _text(WIDTH / 2, y + 24, captions["ledger"], 14, anchor="middle"),
    ]


def _text(
    x: float, y: float, text: str, size: int, *, colour: str = INK, bold: bool = False,
    anchor: str = "start",
) -> str:  # fmt: skip
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
        f"{weight}>{text}</text>"
    )


def _line(x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="6 5"' if dashed else ""
    return (
        f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" stroke="{LINE}" stroke-width="2" fill="none" '
        f'marker-end="url(#tip)"{dashes}/>'
    )


FILES = {"en": "loop.svg", "zh": "loop.zh-CN.svg"}

if __name__ == "__main__":
    for lang, name in FILES.items():
        Path(__file__).with_name(name).write_text(draw(lang), encoding="utf-8")
