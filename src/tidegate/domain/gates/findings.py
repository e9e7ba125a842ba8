"""How gates write down what they saw."""

from typing import Any

from tidegate.domain.messages import say
from tidegate.domain.update import Finding, Level


def note(code: str, template: str, **values: Any) -> Finding:
    """A finding that only informs."""
    return Finding(code=code, level=Level.NOTE, message=say(template, **values))


def warn(code: str, template: str, **values: Any) -> Finding:
    """A finding to look at, which lets the update pass."""
    return Finding(code=code, level=Level.WARN, message=say(template, **values))


def refuse(code: str, template: str, **values: Any) -> Finding:
    """A finding that ends the update."""
    return Finding(code=code, level=Level.REFUSE, message=say(template, **values))
