"""Serving in this process: the gateway, the prediction log, and the judge, joined."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from threading import Lock
from typing import Any

import polars as pl

from tidegate.domain.answer import Answer, Asked, Shadowed
from tidegate.domain.errors import Busy, Conflict, StorageError, TidegateError
from tidegate.domain.rollout import Deployment, Release, ReleaseStatus, ServingNote
from tidegate.monitoring import shadow_log
from tidegate.monitoring.log_writer import LogWriter
from tidegate.monitoring.prediction_log import Keeps, Logged, Told
from tidegate.process.home import Home
from tidegate.process.judging import any_on_traffic, judge
from tidegate.process.loading import load_version
from tidegate.process.production import InProduction, changed_since, in_production
from tidegate.process.resident import Fails, Resident
from tidegate.process.runner import Watcher
from tidegate.process.signature import Signature, signature_of
from tidegate.process.stages.release import current
from tidegate.release.gateway import Gateway
from tidegate.release.route import Keys, Route, Served, no_version
from tidegate.release.shadow import Shadow

_THREADS = 4


class Serving:
    """Answers requests for the models of a workspace, and acts on the feedback they get: where it
    ``judges``, before it says that it has it, else another process does soon. ``log`` keeps the
    answers of the event loop and the labels; without it, they are written here."""

    def __init__(
        self,
        home: Home,
        watch: Watcher | None = None,
        *,
        judges: bool = True,
        log: Keeps | None = None,
    ):
        self._log: Keeps = home.log if log is None else log
        self._home, self._watch, self._judges = home, watch, judges
        #: Whether a version is on traffic, or was until just now.
        self.on_traffic = False
        #: Asks candidates in the shadow, off the request path.
        self.shadow = Shadow(self._shadowed)
        self._gateway = Gateway(sink=self._written, shadow=self.shadow.put)
        self._resident = Resident(home)
        self._signatures: dict[str, Signature] = {}
        self._whole_ones: dict[str, set[int]] = {}
        self._one_at_a_time = Lock()  # requests and the worker refresh from several threads
        self._judging, self._turns, self._judged = Lock(), count(1), dict[str, int]()
        self._epoch, self._followed, self._read = 0, -1, time.monotonic()
        self._routed_at: dict[str, int] = {}  # the size of the record that each route is from
        #: What keeps answers of the event loop, off the request path.
        self.writer = LogWriter(self._log, self._home.journal.now)
        #: Where versions that take longer answer.
        self.threads = ThreadPoolExecutor(_THREADS, "tidegate-answers")

    def infer(self, model: str, rows: pl.DataFrame, keys: Keys | None = None) -> list[Answer]:
        """An answer a row; ``keys`` make the split sticky (the model's key column by default)."""
        self.route(model)
        return self._gateway.infer(model, rows, keys)

    def routed(self, model: str) -> Route | None:
        """Who answers for a model, as far as that is known without looking."""
        return self._gateway.route(model)

    def route(self, model: str) -> Route:
        """Who answers for a model; raises Conflict where nothing answers for it here."""
        route = self._gateway.route(model)
        if route is None:
            self._check_served(model)
            try:
                self.refresh(model)
            except Exception:  # of a candidate, the notes tell; the champion answers all the same
                if self._gateway.route(model) is None:
                    raise
            route = self._gateway.route(model)
            assert route is not None  # noqa: S101 - refresh set it
        return route

    def log(self, asked: Asked, answers: list[Answer]) -> None:
        """Keep answers soon."""
        self.writer.put(asked, answers)

    @property
    def stale_seconds(self) -> float:
        """How long ago the record was read; more than some seconds: it cannot be."""
        return time.monotonic() - self._read

    @property
    def followed(self) -> int:
        """The size of the record that is routed by; -1 before any was."""
        return self._followed

    @property
    def notes(self) -> list[ServingNote]:
        """Versions that the record names and that were refused here, or not asked in full."""
        return self._resident.notes

    def follow(self) -> None:
        """Route by the record where it has grown since it was last looked at, have ready what a
        rollback goes back to, and try again what was refused."""
        size = self._home.journal.size()
        self._read = time.monotonic()
        if size != self._followed:
            try:
                # First: a rollback is waited for. A record that has shrunk is another one.
                self._route_since(self._followed if 0 <= self._followed < size else None)
                self._followed = size
            finally:
                self.on_traffic = any_on_traffic(self._home)
            self._keep_ready()
        elif (model := self._resident.due) is not None:
            # One at a time: between two loads, the record may have grown.
            with self._one_at_a_time:
                self._refresh(in_production(self._home, model))
            self._keep_ready(model)
        self._resident.tidy()

    def _route_since(self, event: int | None) -> None:
        """Route every model that an event after this one tells of. A version that is refused leaves
        its model as it was routed, and the notes tell of it; the first other problem is raised when
        all were tried."""
        if event is None:
            self._routed_at.clear()
        problems: list[Exception] = []
        for found in changed_since(self._home, event):
            try:
                if isinstance(found, TidegateError):
                    raise found
                with self._one_at_a_time:
                    self._refresh(found)
            except Exception as problem:
                problems.append(problem)
        if problems:
            _raise(problems)

    def _keep_ready(self, model: str | None = None) -> None:
        """Load what each model's rollback, or this one's, goes back to; the notes tell of what
        cannot be."""
        with self._home.journal.read() as reader:
            deployments = reader.all(Deployment, model)
        for deployment in deployments:
            if self._gateway.route(deployment.model) is not None:
                with self._one_at_a_time:
                    self._resident.load(deployment.model, deployment.previous)

    def close(self) -> None:
        """Write what waits."""
        self.shadow.close()
        self.writer.close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def signature(self, model: str) -> Signature:
        """What a model takes now; raises Conflict where nothing answers for it here."""
        route, known = self.routed(model), self._signatures.get(model)
        if route and route.champion and known and known.version == route.champion.version:
            return known
        self._check_served(model)
        number = current(self._home, model).champion
        with self._home.journal.read() as reader:
            adapter = self._home.spec(reader, model).adapter
        if number is None:
            raise no_version(model)
        fitted = load_version(self._home, model, number)
        self._signatures[model] = signature_of(number, adapter, fitted)
        return self._signatures[model]

    def feedback(self, model: str, labels: Mapping[str, Any]) -> Told:
        """What came true, by request id. What is on traffic is judged, and ended where it must.

        Each label is kept or refused by itself; where none could be kept, the first one's problem
        is raised. Raises Busy where the log is behind, so that an answer may be missing still, and
        where none could be kept and some may be a little later.
        """
        if self.routed(model) is None:  # what is routed here is served here
            self._check_served(model)
        self.shadow.flush()  # what is told of may not be written yet
        behind = not self.writer.flush()
        told = self._log.label_many(labels, model=model, whole=self._whole(model))
        none_kept = bool(told.refused) and not told.kept
        if self._judges and not none_kept:
            self.tend(model)
        if behind and told.unknown:
            raise Busy(
                "{count} of the labels belong to no answer in the log, and {waiting} answers wait "
                "to be written to it",
                do="send the same labels again in a little while; the others are kept, and count "
                "once",
                count=told.unknown,
                waiting=self.writer.waiting,
            )
        if none_kept:
            problems = list(told.refused.values())
            raise next((one for one in problems if isinstance(one, Busy)), problems[0])
        return told

    def _whole(self, model: str) -> set[int]:
        """Versions, on the route now or when labels came before, whose classes are floats and whole
        numbers all of them. Of others any number is taken."""
        known, route = self._whole_ones.setdefault(model, set()), self.routed(model)
        if route is not None:
            arms = (route.champion, route.candidate, route.shadow)
            known.update(arm.version for arm in arms if arm is not None and _are_whole(arm.classes))
        return known

    def _check_served(self, model: str) -> None:
        """Raise Conflict for a model whose parameters are kept here and answer elsewhere."""
        with self._home.journal.read() as reader:
            spec = self._home.spec(reader, model)
        if not spec.trains:
            raise Conflict(
                "model '{model}' is not served here, its parameters only are kept",
                do="check them out with: tidegate params checkout {model}@champion -o FILE",
                model=model,
            )

    def tend(self, model: str) -> None:
        """Judge what is on traffic for a model, and route by the result.

        Threads take turns, and whoever asked before a turn began is served by it.
        """
        asked = next(self._turns)
        with self._judging:
            if self._judged.get(model, 0) < asked:
                began = next(self._turns)
                judge(self._home, model, self._watch)
                self.refresh(model)
                self._judged[model] = began

    def refresh(self, model: str) -> None:
        """Route by what the record says is in production now.

        A champion that cannot be made ready leaves the route as it was; a candidate that cannot
        leaves all to the champion. Either is told in ``notes``, and raised.
        """
        with self._one_at_a_time:
            refused = self._refresh(in_production(self._home, model))
        if refused:
            _raise(refused)

    def _refresh(self, found: InProduction) -> list[Exception]:
        """As ``refresh``; why a version was refused is given, and what else is amiss is raised."""
        model, deployment, judged = found.spec.model, found.deployment, found.release
        if found.size < self._routed_at.get(model, 0):
            return []  # a later record is routed by already
        standing = self._gateway.route(model)
        champion = self._resident.load(model, deployment.champion)
        if isinstance(champion, Exception):
            # What the route holds stays, though the record may not name it any more.
            arms = (standing.champion, standing.candidate) if standing is not None else ()
            held = {deployment.previous, *(arm.version for arm in arms if arm is not None)}
            self._resident.keep(model, {deployment.champion, *(held if arms else ())})
            return [champion]
        outside = not found.rollout.shares_known
        made = Route(model, champion, key=found.spec.key, outside=outside)
        refused: list[Exception] = []
        if judged is not None:
            under_way = replace(
                made, share=judged.share, release_id=judged.update, step=judged.step,
                sample=judged.steps[judged.step].sample,
            )  # fmt: skip
            candidate = self._candidate(model, judged)
            if isinstance(candidate, Exception):
                refused.append(candidate)
            elif judged.status is ReleaseStatus.CANARY:
                made = replace(under_way, candidate=candidate)
            else:
                made = replace(under_way, shadow=candidate)
        if standing is None or made != replace(standing, epoch=0):
            self._epoch += 1
            self._gateway.set_route(replace(made, epoch=self._epoch))
        self._routed_at[model] = found.size
        live = {deployment.champion, deployment.previous, judged.candidate if judged else None}
        self._resident.keep(model, live)
        return refused

    def _candidate(self, model: str, release: Release) -> Served | Exception | None:
        """The release's candidate, for traffic or for the shadow, or why there is none.

        What becomes of one in the shadow, champions answer all the same: one that cannot be made
        ready fails what it is asked, unless the store is at fault.
        """
        found = self._resident.load(model, release.candidate)
        shadow = release.status is ReleaseStatus.SHADOW
        if shadow and isinstance(found, Exception) and not isinstance(found, StorageError):
            return Served(release.candidate, Fails(found))
        return found

    def _shadowed(self, told: list[Shadowed]) -> int:
        return shadow_log.write(self._home.database, told)

    def _written(self, asked: Asked, answers: list[Answer]) -> None:
        at = self._home.journal.now()
        rows = [Logged.of(answer, asked.record(row), at) for row, answer in enumerate(answers)]
        self._home.log.write(rows)


def _are_whole(classes: tuple[Any, ...] | None) -> bool:
    return bool(classes) and all(isinstance(c, float) and c.is_integer() for c in classes or ())


def _raise(problems: list[Exception]) -> None:
    """Raise the first. What raised it is let go of with it: a list that is still held by the place
    that raises would keep all that was loaded so far until the collector comes by."""
    try:
        raise problems[0]
    finally:
        problems.clear()
