"""What the server says of itself: lines of text, or JSON, one object a line, on standard error."""

import json
import logging
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tidegate.apps.http import tracing
from tidegate.domain.answer import Answer

#: Lines of one event in a second. More tell nobody more, and a flood of bad requests, or a
#: candidate that fails every one, would cost more to tell than to answer.
MOST_A_SECOND = 20
#: An answer that takes longer is told: the candidate has as long before the champion stands in.
SLOW_SECONDS = 1.0

_LOG = logging.getLogger("tidegate")


class Form(StrEnum):
    """What lines of the log are."""

    TEXT = "text"
    JSON = "json"


def form_of(asked: Form | None) -> Form:
    """As asked; else text on a terminal, and JSON where something reads along."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return asked or (Form.TEXT if on_terminal else Form.JSON)


def config(form: Form) -> dict[str, Any]:
    """The configuration of ``logging`` for a server: ours and uvicorn's lines alike."""
    own = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"bounded": {"()": Bounded}},
        "formatters": {"lines": {"()": JsonLines if form is Form.JSON else TextLines}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "filters": ["bounded"],
            }
        },
        "loggers": {"tidegate": own, "uvicorn": own},
    }


class Bounded(logging.Filter):
    """Lets so many lines of each event pass in a second; the next one tells how many it held back,
    as ``left_out``."""

    def __init__(self, most: int = MOST_A_SECOND):
        super().__init__()
        self._most = most
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}  # the second, and lines in it

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is one of them."""
        event, second = _event(record), int(record.created)
        with self._lock:
            began, count = self._seen.get(event, (second, 0))
            if began != second:
                record.left_out = max(count - self._most, 0)
                began, count = second, 0
            self._seen[event] = began, count + 1
        return count < self._most


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """``time``, ``level``, ``event``, ``message``, the trace, and the facts of the event; it is
        None for lines of libraries."""
        told = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", None),
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)  # ASCII: no text of a caller can break it


class TextLines(logging.Formatter):
    """Lines for people: control characters of a caller's are written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The same as one line, the facts behind the message, the traceback below."""
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        line = f"{_moment(record.created)} {record.levelname.lower()} {record.getMessage()} {facts}"
        line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line.rstrip())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def told(event: str, level: int, message: str, **facts: Any) -> None:
    """Write a line of this event; facts that are None are left out."""
    _LOG.log(level, message, extra={"event": event, "facts": facts})


def of_request(
    method: str, path: str, status: int, seconds: float, *, changes: bool = False
) -> None:
    """Tell of a request within the current span where it was refused, failed or took long, or where
    it ``changes`` something."""
    parts, span = path.split("/"), tracing.current()
    kind, detail = (span and span.problem) or (None, None)
    facts = {
        "method": method,
        "path": path[:200],
        "model": parts[3][:200] if len(parts) > 3 and parts[2] == "models" else None,
        "status": status,
        "kind": kind,
        "milliseconds": round(seconds * 1000, 3),
    }
    if status >= 500:
        told("failed", logging.ERROR, detail or "a request failed", **facts)
    elif status >= 400:
        told("refused", logging.INFO, detail or "a request was refused", **facts)
    elif changes:  # which takes as long as what is asked for
        told("changed", logging.INFO, "a request was carried out", **facts)
    elif seconds > SLOW_SECONDS:
        told("slow", logging.WARNING, "an answer took long", **facts)


def of_answers(answers: Sequence[Answer], began: float, traceparent: bytes | None) -> None:
    """Tell of answers where the champion stood in, where they took long, and where the caller's
    trace is sampled. ``began``: when they were asked for, by ``time.perf_counter``."""
    seconds = time.perf_counter() - began
    failed = sum([answer.failed for answer in answers])
    if not failed and seconds <= SLOW_SECONDS and traceparent is None:
        return
    span = tracing.span_of(traceparent)
    first = answers[0]
    facts = {
        "model": first.model,
        "version": _one_or_all(answer.version for answer in answers),
        "arm": _one_or_all(answer.arm for answer in answers),
        "rows": len(answers),
        "milliseconds": round(seconds * 1000, 3),
        "span": span,
    }
    if failed:
        message = "the candidate failed, and the champion answered"
        told("stood_in", logging.WARNING, message, **facts, rows_failed=failed)
    elif seconds > SLOW_SECONDS:
        told("slow", logging.WARNING, "an answer took long", **facts)
    elif span.sampled:
        told("answered", logging.INFO, "a request was answered", **facts)


def _one_or_all(values: Any) -> Any:
    found = sorted(set(values))
    return found[0] if len(found) == 1 else found


def _event(record: logging.LogRecord) -> str:
    """What lines alike have in common."""
    return str(getattr(record, "event", record.msg))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts = dict(getattr(record, "facts", {}))
    span = facts.pop("span", None) or tracing.current()
    if span is not None:
        facts |= {"trace_id": span.trace_id, "span_id": span.span_id, "parent_id": span.parent_id}
    facts["left_out"] = getattr(record, "left_out", 0) or None
    return {name: value for name, value in facts.items() if value is not None}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
