"""What the gateway counts, in the text format of Prometheus."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.domain.answer import Answer
from tidegate.process.serving import Serving

#: Milliseconds up to which answers are counted.
_UP_TO = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)
_ARM = ("model", "version", "arm")


class _Tally:
    """Answers of one version: how many took how long, and how many it failed to give."""

    __slots__ = ("counts", "failed", "milliseconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_UP_TO) + 1)
        self.milliseconds, self.failed = 0.0, 0


class _Answers(Collector):
    """Counts answers at the price of a few additions each, and tells them when they are asked for:
    the client's own counters take locks, which costs more than a small answer."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, int, str], _Tally] = {}

    def add(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            of = (answer.model, answer.version, answer.arm)
            tally = self._tallies.get(of)
            if tally is None:
                tally = self._tallies[of] = _Tally()
            tally.counts[bisect_left(_UP_TO, answer.latency_ms)] += 1
            tally.milliseconds += answer.latency_ms
            tally.failed += answer.failed and answer.arm == "candidate"

    def collect(self) -> Iterator[Metric]:
        given = CounterMetricFamily("tidegate_answers", "Rows answered.", labels=_ARM)
        failures = CounterMetricFamily(
            "tidegate_candidate_failures", "Rows that the candidate failed to answer.",
            labels=_ARM[:2],
        )  # fmt: skip
        seconds = HistogramMetricFamily(
            "tidegate_answer_seconds", "Time from the call of a version to its answer.",
            labels=_ARM,
        )  # fmt: skip
        for (model, version, arm), tally in list(self._tallies.items()):
            labels, so_far, buckets = (model, str(version), arm), 0, []
            for limit, count in zip((*_UP_TO, None), tally.counts, strict=True):
                so_far += count
                buckets.append(("+Inf" if limit is None else str(limit / 1000), float(so_far)))
            given.add_metric(labels, so_far)
            seconds.add_metric(labels, buckets, tally.milliseconds / 1000)
            if tally.failed:
                failures.add_metric(labels[:2], tally.failed)
        yield from (given, failures, seconds)


class Metrics:
    """Counters of one gateway; ``serving`` tells what is read when they are asked for."""

    def __init__(self, serving: Callable[[], Serving]):
        self._serving = serving
        self._registry = CollectorRegistry()
        answers = _Answers()
        self._registry.register(answers)
        #: Count the answers to one request.
        self.answered = answers.add
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
        self._dropped = Gauge(
            "tidegate_shadow_dropped",
            "Rows that a candidate in the shadow was not asked, or answered after their label.",
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

    def refused(self, kind: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(kind).inc()

    def page(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """All of them as text, and its content type as a header."""
        serving = self._serving()
        self._waiting.set(serving.writer.waiting)
        self._lost.set(serving.writer.lost)
        self._dropped.set(serving.shadow.dropped)
        self._stale.set(serving.stale_seconds)
        self._unrouted.clear()
        for note in serving.notes:
            self._unrouted.labels(note.model).inc(int(note.refused))
        return generate_latest(self._registry), [(b"content-type", CONTENT_TYPE_LATEST.encode())]
