"""What the gateway answers, and the prediction log keeps."""

from dataclasses import dataclass
from typing import Any, Literal

Arm = Literal["champion", "candidate"]


@dataclass(frozen=True)
class Answer:
    """One row's answer. ``version`` gave it; ``failed`` says that the candidate, to whom the
    request belonged, raised, and the champion stepped in."""

    request_id: str
    model: str
    version: int
    arm: Arm
    prediction: Any
    probabilities: dict[str, float] | None
    features: dict[str, Any]
    key: str | None
    update_id: str | None
    step: int | None
    failed: bool
    latency_ms: float
