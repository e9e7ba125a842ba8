"""The gateway as an ASGI application: the Open Inference Protocol v2, rows by name, feedback."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from tidegate import __version__
from tidegate.apps.gateway.metrics import Metrics
from tidegate.apps.gateway.requests import document, request_of
from tidegate.apps.gateway.responses import datatype, refused_labels, response_of, versions_of
from tidegate.apps.gateway.rows import rows_of
from tidegate.apps.gateway.values import check_amount
from tidegate.apps.http.body import whole_body, within_limits
from tidegate.apps.http.errors import not_allowed, nothing_here
from tidegate.apps.http.exchange import Exchange
from tidegate.apps.http.logs import of_answers
from tidegate.apps.http.problems import kind_of, language_of
from tidegate.apps.http.protocol import EXCHANGE, UNDER_WAY
from tidegate.apps.http.refusing import refuse
from tidegate.domain.answer import Answer, Arm, Asked
from tidegate.domain.errors import Busy, Conflict, DataError, TidegateError, WrongUsage
from tidegate.monitoring.gateways import GONE_SECONDS
from tidegate.process.serving import Serving
from tidegate.release.lane import Lane

_JSON = (b"content-type", b"application/json")
#: Digits of a length: more than any body's.
_DIGITS = 18
#: Threads that take feedback, and how many requests may wait for one.
_TELLERS, MOST_TELLING = 4, 64

Headers = dict[bytes, bytes]
Reply = tuple[bytes, list[tuple[bytes, bytes]]]
Handler = Callable[[str, bytes, Headers], Awaitable[Reply]]


class GatewayApp:
    """Answers what ``of_gateway`` says is its own."""

    def __init__(self, serving: Callable[[], Serving]):
        self._of_process = serving
        self._lanes: dict[str, Lane] = {}
        self._under_way: Collection[Any] = ()  # unknown, where a server does not tell
        # Feedback waits for the log and for the database: whatever else takes a thread does not.
        self._tellers, self._telling = ThreadPoolExecutor(_TELLERS, "tidegate-feedback"), 0
        self.metrics = Metrics(self._of_process)
        self._methods: dict[str, dict[str, Handler]] = {
            "/v2": {"GET": self._server},
            "/v2/health/live": {"GET": self._healthy},
            "/v2/health/ready": {"GET": self._healthy},
            "/v2/models/NAME": {"GET": self._metadata},
            "/v2/models/NAME/ready": {"GET": self._model_ready},
            "/v2/models/NAME/infer": {"POST": self._infer},
            "/v1/models/NAME/predict": {"POST": self._predict},
            "/v1/models/NAME/feedback": {"POST": self._feedback},
            "/metrics": {"GET": self._metrics},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        headers: Headers = dict(scope["headers"])
        extensions = scope.get("extensions", {})
        self._under_way = extensions.get(UNDER_WAY, ())
        exchange: Exchange | None = extensions.pop(EXCHANGE, None)
        began = time.perf_counter()
        try:
            handler, name = self._handler(scope["method"], scope["path"])
            body = b""
            if scope["method"] == "POST":
                body = (
                    within_limits(exchange.body())
                    if exchange is not None and exchange.is_whole
                    else await whole_body(headers, receive)
                )
            reply, more = await handler(name, body, headers)
        except Exception as error:
            if isinstance(error, TidegateError):
                self.metrics.refused(kind_of(error))
            await refuse(error, headers, began, scope, receive, send)
            return
        told = [(b"content-length", b"%d" % len(reply)), *more]
        if exchange is None or not exchange.answer(told, reply):
            await send({"type": "http.response.start", "status": 200, "headers": told})
            await send({"type": "http.response.body", "body": reply})

    def _handler(self, method: str, path: str) -> tuple[Handler, str]:
        """Who answers, and the model's name where the path holds one."""
        name, place = "", path.rstrip("/")
        parts = place.split("/")
        if len(parts) > 3 and parts[2] == "models":
            name, place = parts[3], "/".join([*parts[:3], "NAME", *parts[4:]])
        methods = self._methods.get(place)
        if methods is None:
            raise nothing_here(path)
        if method not in methods:
            raise not_allowed(methods)
        return methods[method], name

    # What is asked

    async def _infer(self, name: str, body: bytes, headers: Headers) -> Reply:
        lane = self._lanes.get(name) or await self._lane(name)
        asked = request_of(body, _header_length(headers), lane.inputs)
        answers = await _answers(lane, asked.asked, asked.keys, headers)
        reply, head = response_of(name, asked, answers)
        if head is None:
            return reply, [_JSON, _versions(answers)]
        length = (b"inference-header-content-length", b"%d" % head)
        kind = (b"content-type", b"application/octet-stream")
        return reply, [kind, length, _versions(answers)]

    async def _predict(self, name: str, body: bytes, headers: Headers) -> Reply:
        lane = self._lanes.get(name) or await self._lane(name)
        asked, keys = rows_of(document(body))
        answers = await _answers(lane, asked, keys, headers)
        told = [
            {
                "request_id": answer.request_id,
                "version": answer.version,
                "prediction": answer.prediction,
                "probabilities": answer.probabilities,
            }
            for answer in answers
        ]
        return orjson.dumps({"answers": told}), [_JSON, _versions(answers)]

    async def _feedback(self, name: str, body: bytes, headers: Headers) -> Reply:
        labels = document(body).get("labels")
        if not isinstance(labels, dict) or not labels:
            raise WrongUsage(
                "the request has no labels", do='give "labels": what came true, by request id'
            )
        check_amount(len(labels))
        if self._telling >= MOST_TELLING:
            raise Busy(
                "{count:,} requests with feedback wait already",
                do="send it again in a second",
                count=self._telling,
            )
        self._telling += 1
        try:
            loop = asyncio.get_running_loop()
            feedback = self._of_process().feedback
            told = await loop.run_in_executor(self._tellers, feedback, name, labels)
        finally:
            self._telling -= 1
        reply: dict[str, Any] = {"labelled": len(told.kept)}
        if told.refused:
            reply["refused"] = refused_labels(told.refused, language_of(headers))
        return orjson.dumps(reply), [_JSON]

    # What is told

    async def _server(self, *_: Any) -> Reply:
        told = {"name": "tidegate", "version": __version__, "extensions": ["binary_tensor_data"]}
        return orjson.dumps(told), [_JSON]

    async def _healthy(self, *_: Any) -> Reply:
        seconds = self._of_process().stale_seconds
        told = {"live": True, "ready": True, "stale": seconds > GONE_SECONDS}
        return orjson.dumps({**told, "stale_seconds": round(seconds, 1)}), [_JSON]

    async def _metadata(self, name: str, *_: Any) -> Reply:
        signature = await asyncio.to_thread(self._of_process().signature, name)
        told = {
            "name": name,
            "versions": [str(signature.version)],
            "platform": signature.adapter,
            "inputs": [
                {
                    "name": column.name,
                    "datatype": "FP64" if column.numeric or column.width else "BYTES",
                    "shape": [-1, column.width] if column.width else [-1],
                }
                for column in signature.inputs
            ],
            "outputs": [
                {"name": "predict", "datatype": datatype(signature.classes), "shape": [-1]}
            ],
        }
        return orjson.dumps(told), [_JSON]

    async def _model_ready(self, name: str, *_: Any) -> Reply:
        route = self._of_process().routed(name)
        if route is None or route.champion is None:
            await asyncio.to_thread(self._of_process().signature, name)  # raises what is missing
        return orjson.dumps({"name": name, "ready": True}), [_JSON]

    async def _metrics(self, *_: Any) -> Reply:
        return self.metrics.page()

    async def _lane(self, name: str) -> Lane:
        serving = self._of_process()
        if serving.routed(name) is None:  # it is loaded first, and that takes time
            await asyncio.to_thread(serving.route, name)
        route, sink = partial(serving.route, name), self._sink(serving)
        lane = Lane(
            route, sink, serving.threads, shadow=serving.shadow.put, alone=self._one_under_way
        )
        return self._lanes.setdefault(name, lane)

    def _one_under_way(self) -> bool:
        return len(self._under_way) == 1

    def _sink(self, serving: Serving) -> Callable[[Asked, list[Answer]], None]:
        log, count = serving.log, self.metrics.answered

        def taken(asked: Asked, answers: list[Answer]) -> None:
            log(asked, answers)
            count(answers)

        return taken


async def _answers(
    lane: Lane, asked: Asked, keys: list[str] | None, headers: Headers
) -> list[Answer]:
    arm: Arm | None = None
    told = headers.get(b"tidegate-arm")
    if told is not None:
        if told not in (b"champion", b"candidate"):
            raise WrongUsage(
                "Tidegate-Arm names no arm",
                do="send champion or candidate, or leave the header out",
            )
        arm = "champion" if told == b"champion" else "candidate"
    if asked.rows > 1:
        check_amount(asked.rows)
    elif asked.rows == 0:
        raise Conflict("there are no rows to answer", do="give at least one row")
    began = time.perf_counter()
    answers = await lane.ask(asked, keys, arm)
    of_answers(answers, began, headers.get(b"traceparent"))
    return answers


def _header_length(headers: Headers) -> int | None:
    told = headers.get(b"inference-header-content-length")
    if told is None:
        return None
    if not told.isdigit() or len(told) > _DIGITS:
        raise DataError(
            "Inference-Header-Content-Length is no number of bytes",
            do="give the length of the JSON before the tensors, or leave it out",
        )
    return int(told)


def _versions(answers: list[Answer]) -> tuple[bytes, bytes]:
    """The versions that answered, as a header."""
    return _version_header(answers[0].model, tuple(versions_of(answers)))


@lru_cache(256)
def _version_header(model: str, versions: tuple[int, ...]) -> tuple[bytes, bytes]:
    told = ", ".join(f"{model}@{version}" for version in versions)
    return b"tidegate-version", told.encode()
