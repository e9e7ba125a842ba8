"""A document as a page: one HTML file, no network."""

import re
from functools import cache
from html import escape

from markdown_it import MarkdownIt

from tidegate.governance.record import template


def page(text: str, lang: str = "en") -> str:
    """A document's Markdown as HTML. What people wrote in it becomes no tag, link or picture."""
    title = re.search(r"^# (.*)$", text, re.MULTILINE)
    return template("page.html.j2").render(
        lang="zh-CN" if lang == "zh" else lang,
        title=escape(title[1] if title else ""),
        body=_markdown().render(text),
    )


@cache
def _markdown() -> MarkdownIt:
    # Links and pictures could lead a reader, or a request, elsewhere: the documents have none.
    plain = MarkdownIt("commonmark", {"html": False}).enable("table")
    return plain.disable(["link", "image", "autolink", "reference"])
