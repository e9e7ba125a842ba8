"""Text that people read, kept as a template and its values so that it speaks every language."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from tidegate.domain.zh import ZH

LANGUAGES = ("en", "zh")


class Frozen(BaseModel):
    """A value: immutable, no unknown keys, comparable, JSON in and out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Frozen):
    """One sentence: an English template, which is also its key, and the values it names."""

    template: str
    values: dict[str, Any] = {}

    def text(self, lang: str = "en") -> str:
        """The sentence in ``lang`` (``en`` or ``zh``); English where no translation stands."""
        return render(self.template, self.values, lang)

    def __str__(self) -> str:
        return self.text()


def say(template: str, **values: Any) -> Message:
    """A message from an English template.

    >>> say("{rows:,} rows arrived", rows=1200).text()
    '1,200 rows arrived'
    """
    return Message(template=template, values={k: _plain(v) for k, v in values.items()})


def render(template: str, values: Mapping[str, Any], lang: str = "en") -> str:
    """``template`` in ``lang`` with its values filled in; lists are joined by commas.

    A value that is itself a message (its JSON form) is rendered in the same language.
    """
    chosen = ZH.get(template, template) if lang == "zh" else template
    return chosen.format(**{k: _shown(v, lang) for k, v in values.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)


def _shown(value: Any, lang: str) -> Any:
    if isinstance(value, Message):
        return value.text(lang)
    if isinstance(value, dict) and set(value) == {"template", "values"}:
        return render(value["template"], value["values"], lang)
    if isinstance(value, list):
        return ("、" if lang == "zh" else ", ").join(str(_shown(v, lang)) for v in value)
    return value
