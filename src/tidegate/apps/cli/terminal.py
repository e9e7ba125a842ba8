"""A terminal that shows every character and obeys none that came with the data."""

import os
import re
from typing import Any

from rich import markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Control characters but tab and line end, and those that turn the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

#: Wider than any table: ten cells of a thousand characters.
_UNBROKEN = 10_000


def printable(text: str) -> str:
    r"""The text with characters that a terminal would obey written out.

    >>> printable("\x1b[31mred")
    '\\x1b[31mred'
    """
    return _UNSEEN.sub(lambda found: ascii(found.group())[1:-1], text)


def escape(text: str) -> str:
    r"""The text as markup that shows it as it is, whatever stands behind.

    Rich's own doubles a backslash at the end, and halves it only where a tag follows: here one
    does.

    >>> escape("[red]C:\\")
    '\\[red]C:\\\\[none][/none]'
    """
    body = text.rstrip("\\")
    slashes = text[len(body) :]
    return markup.escape(body) + (2 * slashes + "[none][/none]" if slashes else "")


class Terminal(Console):
    """A rich console that writes out control characters in whatever it is given to print.

    A table goes whole to a file or a pipe: no line of it is broken for a screen that is not there,
    unless ``$COLUMNS`` names a width.
    """

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich does it; a table to no terminal as wide as what it holds."""
        tables = any(isinstance(thing, Table) for thing in objects)
        if not tables or self.is_terminal or "COLUMNS" in os.environ:
            super().print(*objects, **how)
            return
        width = self.width
        self.width = _UNBROKEN
        try:
            super().print(*objects, **how)
        finally:
            self.width = width

    def render_str(self, text: str, **how: Any) -> Text:
        """As rich does it, control characters written out."""
        return super().render_str(printable(text), **how)
