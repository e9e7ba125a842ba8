"""What is wrong with a request before anybody looks at what it asks."""

from collections.abc import Iterable

from tidegate.domain.errors import NotFound, TidegateError


class TooLarge(TidegateError):
    """A body beyond the limit."""

    status = 413


class TooSlow(TidegateError):
    """A body that does not come."""

    status = 408


class Incomplete(TidegateError):
    """A request that ends before its body."""

    status = 400


class NotAllowed(TidegateError):
    """A method that a path does not take."""

    status = 405


class HeadTooLarge(TidegateError):
    """A request line and headers beyond the limit."""

    status = 431


class NoHttp(TidegateError):
    """Bytes that are no request."""

    status = 400


class ForeignHost(TidegateError):
    """A request under a name that is not this server's."""

    status = 421


class ForeignOrigin(TidegateError):
    """A request that a page from elsewhere sends."""

    status = 403


def nothing_here(path: str) -> NotFound:
    """The error for a path that nothing answers."""
    return NotFound(
        "there is nothing at {path}",
        do="see /openapi.json for what there is",
        path=path[:200],
    )


def not_allowed(methods: Iterable[str]) -> NotAllowed:
    """The error for a method that a path does not take."""
    return NotAllowed(
        "this path takes {methods}", do="use one of these methods", methods=list(methods)
    )
