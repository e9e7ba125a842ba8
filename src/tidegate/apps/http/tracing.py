"""Which request a log line or a problem belongs to: W3C Trace Context, level 1."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

#: Version, trace, the caller's span and flags; versions to come may add more behind a dash.
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


@dataclass(slots=True)
class Span:
    """This server's part of a trace: ids in lower-case hexadecimal, the trace's of 32 digits, those
    of spans of 16. ``parent_id`` is the caller's span, ``sampled`` whether the caller records the
    trace; ``problem`` is what the request was told in the end, its kind and detail."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    sampled: bool = False
    problem: tuple[str, str] | None = None


_CURRENT: ContextVar[Span | None] = ContextVar("tidegate-span", default=None)


def current() -> Span | None:
    """The span of the request that is being answered here; None outside of any."""
    return _CURRENT.get()


@contextmanager
def begun(headers: Mapping[bytes, bytes]) -> Iterator[Span]:
    """A span that is the current one meanwhile, in the trace that a request's headers name."""
    span = span_of(headers.get(b"traceparent"))
    token = _CURRENT.set(span)
    try:
        yield span
    finally:
        _CURRENT.reset(token)


def span_of(traceparent: bytes | None) -> Span:
    """A new span in the caller's trace; in a trace of its own where the header is missing or wrong.

    >>> span_of(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").trace_id
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    own = os.urandom(8).hex()
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None:
        return Span(os.urandom(16).hex(), own)
    version, trace, parent, flags, more = found.groups()
    wrong = version == b"ff" or not trace.strip(b"0") or not parent.strip(b"0")
    if wrong or (version == b"00" and more is not None):
        return Span(os.urandom(16).hex(), own)
    return Span(trace.decode(), own, parent.decode(), bool(int(flags, 16) & _SAMPLED))
