"""Requests that wait for a model, and how they are told what came of them."""

import asyncio
import logging
from dataclasses import dataclass

from tidegate.domain.answer import Answer, Arm, Asked
from tidegate.release.route import Keys

_LOG = logging.getLogger("tidegate")


@dataclass(slots=True)
class Waiting:
    """A request, and where its answers are waited for."""

    asked: Asked
    keys: Keys | None
    arm: Arm | None
    answered: asyncio.Future[list[Answer]]


def fail(batch: list[Waiting], error: BaseException) -> None:
    """Give the error to all who wait still; raise it where it is to end more than these."""
    if isinstance(error, Exception):
        _LOG.error("requests could not be answered", exc_info=error)
        told = error
    else:
        told = RuntimeError(f"the gateway stops: {error!r}")
    for one in batch:
        give(one, told)
    if told is not error:
        raise error


def give(one: Waiting, said: list[Answer] | Exception) -> None:
    """Give whoever asked the answers, or the error."""
    if one.answered.done():
        return  # whoever asked has gone
    if isinstance(said, Exception):
        one.answered.set_exception(said)
    else:
        one.answered.set_result(said)
