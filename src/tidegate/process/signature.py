"""What a version takes, and answers."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from tidegate.process.loading import Fitted


class Input(NamedTuple):
    """A column that rows must have: of numbers or of texts, or of vectors of ``width``."""

    name: str
    numeric: bool
    width: int | None = None


@dataclass(frozen=True)
class Signature:
    """What the version in production takes, and its classes, or None where it answers numbers."""

    version: int
    adapter: str
    inputs: list[Input]
    classes: list[Any] | None


def signature_of(version: int, adapter: str, fitted: Fitted) -> Signature:
    """As its transform and its architecture say."""
    transform = fitted.transform
    numeric = {feature.name for feature in transform.numeric}
    widths = {feature.name: feature.width for feature in transform.embeddings}
    inputs = [Input(name, name in numeric, widths.get(name)) for name in transform.columns]
    return Signature(version, adapter, inputs, fitted.state.architecture.get("classes"))
