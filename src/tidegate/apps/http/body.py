"""A request's body, within limits of size and time."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from tidegate.apps.http.errors import Incomplete, TooLarge, TooSlow

#: Bytes of a request's body, but for uploads, which go to disk as they come.
MAX_BODY_BYTES = 16 * 2**20
#: How long a client may take to send one.
BODY_SECONDS = 30.0


async def whole_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """All of it. Raises TooLarge as soon as that is known, TooSlow, or Incomplete."""
    told = headers.get(b"content-length", b"0")
    if told.isdigit() and int(told) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _all_of(receive)
    except TimeoutError:
        raise too_slow() from None


def within_limits(body: bytes | None) -> bytes:
    """A body that has come already, if it has. Raises TooLarge, or Incomplete."""
    if body is None:
        raise incomplete()
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


async def _all_of(receive: Receive) -> bytes:
    parts, length, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise incomplete()
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        more = message.get("more_body", False)
        if length > MAX_BODY_BYTES:
            raise _too_large()
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def parts_of(request: Request) -> AsyncIterator[bytes]:
    """A body of any size, part by part. Raises TooSlow where none comes for so long, Incomplete."""
    parts = request.stream()
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise too_slow() from None
        except ClientDisconnect:
            raise incomplete() from None
        yield part


def incomplete() -> Incomplete:
    """The error for a request that ends before its body."""
    return Incomplete("the request ended before its body", do="send it whole")


def too_slow() -> TooSlow:
    """The error for a body that does not come."""
    return TooSlow(
        "the body did not come within {seconds:g} seconds",
        do="send it at once, or fewer rows at a time",
        seconds=BODY_SECONDS,
    )


def _too_large() -> TooLarge:
    return TooLarge(
        "a body holds at most {limit:,} bytes here",
        do="send fewer rows at a time",
        limit=MAX_BODY_BYTES,
    )
