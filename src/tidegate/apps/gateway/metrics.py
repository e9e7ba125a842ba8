"""What the gateway counts, in the text format of Prometheus."""

from collections.abc import Callable, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from tidegate.domain.answer import Answer
from tidegate.process.serving import Serving

#: Seconds up to which answers are counted.
_BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
)
_ARM = ("model", "version", "arm")


class Metrics:
    """Counters of one gateway; ``serving`` tells what is read when they are asked for."""

    def __init__(self, serving: Callable[[], Serving]):
        self._serving = serving
        self._registry = CollectorRegistry()
        self._known: dict[tuple[str, int, str], tuple[Counter, Histogram]] = {}
        self._answers = Counter("tidegate_answers", "Rows answered.", _ARM, registry=self._registry)
        self._failures = Counter(
            "tidegate_candidate_failures", "Rows that the candidate failed to answer.",
            ("model", "version"), registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tidegate_answer_seconds", "Time from the call of a version to its answer.", _ARM,
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._refused = Counter(
            "tidegate_refused_requests", "Requests refused, by the kind of error.", ("kind",),
            registry=self._registry,
        )  # fmt: skip
        self._waiting = Gauge(
            "tidegate_log_waiting", "Answers not yet in the prediction log.",
            registry=self._registry,
        )  # fmt: skip
        self._lost = Gauge(
            "tidegate_log_lost", "Answers that found no room in the prediction log.",
            registry=self._registry,
        )  # fmt: skip
        self._stale = Gauge(
            "tidegate_stale_seconds", "Time since the record was last read.",
            registry=self._registry,
        )  # fmt: skip

        self._unrouted = Gauge(
            "tidegate_versions_refused", "Versions that the record names and that are not routed.",
            ("model",), registry=self._registry,
        )  # fmt: skip

    def answered(self, answers: Sequence[Answer]) -> None:
        """Count the answers to one request."""
        for answer in answers:
            of = (answer.model, answer.version, answer.arm)
            counters = self._known.get(of)
            if counters is None:
                labels = (answer.model, str(answer.version), answer.arm)
                counters = (self._answers.labels(*labels), self._seconds.labels(*labels))
                self._known[of] = counters
            counters[0].inc()
            counters[1].observe(answer.latency_ms / 1000)
            if answer.failed:
                self._failures.labels(answer.model, str(answer.version)).inc()

    def refused(self, kind: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(kind).inc()

    def page(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """All of them as text, and its content type as a header."""
        serving = self._serving()
        self._waiting.set(serving.writer.waiting)
        self._lost.set(serving.writer.lost)
        self._stale.set(serving.stale_seconds)
        self._unrouted.clear()
        for note in serving.notes:
            self._unrouted.labels(note.model).inc(int(note.refused))
        return generate_latest(self._registry), [(b"content-type", CONTENT_TYPE_LATEST.encode())]
