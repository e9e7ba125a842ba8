"""Serving in this process: the gateway, the prediction log, and the judge, joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import polars as pl

from tidegate.domain.answer import Answer
from tidegate.domain.errors import Conflict
from tidegate.domain.rollout import Deployment, ReleaseStatus
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.monitoring.prediction_log import Labelled, Logged
from tidegate.process.home import Home
from tidegate.process.loading import load_serving, load_version
from tidegate.process.runner import Watcher, run
from tidegate.process.stages.release import current
from tidegate.release.gateway import Gateway, Route, Served, no_version


class Input(NamedTuple):
    """A column that rows must have: of numbers or of texts, or of vectors of ``width``."""

    name: str
    numeric: bool
    width: int | None = None


@dataclass(frozen=True)
class Signature:
    """What the version in production takes, and its classes, or None where it answers numbers."""

    version: int
    adapter: str
    inputs: list[Input]
    classes: list[Any] | None


class Serving:
    """Answers requests for the models of a workspace, and acts on the feedback they get."""

    def __init__(self, home: Home, watch: Watcher | None = None):
        self._home, self._watch = home, watch
        self._gateway = Gateway(sink=self._log)
        self._served: dict[tuple[str, int], Served] = {}
        self._one_at_a_time = Lock()  # requests and the worker refresh from several threads

    def infer(
        self, model: str, rows: pl.DataFrame, keys: Sequence[str] | None = None
    ) -> list[Answer]:
        """An answer a row; ``keys`` make the split sticky (the model's key column by default)."""
        if not self._gateway.has(model):
            self._check_served(model)
            self.refresh(model)
        if keys is None:
            with self._home.journal.read() as reader:
                key = self._home.spec(reader, model).key
            if key is not None and key in rows.columns:
                keys = rows[key].cast(pl.String).fill_null("").to_list()
        return self._gateway.infer(model, rows, keys)

    def signature(self, model: str) -> Signature:
        """What a model takes now; raises Conflict where nothing answers for it here."""
        self._check_served(model)
        number = current(self._home, model).champion
        with self._home.journal.read() as reader:
            adapter = self._home.spec(reader, model).adapter
        if number is None:
            raise no_version(model)
        fitted = load_version(self._home, model, number)
        transform = fitted.transform
        numeric = {feature.name for feature in transform.numeric}
        widths = {feature.name: feature.width for feature in transform.embeddings}
        inputs = [Input(name, name in numeric, widths.get(name)) for name in transform.columns]
        return Signature(number, adapter, inputs, fitted.state.architecture.get("classes"))

    def feedback(self, model: str, labels: Mapping[str, Any]) -> list[Labelled]:
        """What came true, by request id. The canary is judged, and ended where it must, at once."""
        self._check_served(model)
        answers = self._home.log.label_many(labels, at=self._home.journal.now())
        self.tend(model)
        return answers

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
        """Judge what is on traffic for a model, and route by the result."""
        with self._home.journal.read() as reader:
            live = [
                update
                for update in reader.all(Update, model)
                if update.outcome is None and update.stage in (Stage.RELEASE, Stage.OBSERVE)
            ]
        for update in live:
            try:
                run(self._home, update.id, self._watch)
            except Conflict:
                continue  # another process judges it at this moment; its word stands
        self.refresh(model)

    def refresh(self, model: str) -> Deployment:
        """Route by what the record says is in production now."""
        with self._one_at_a_time:
            return self._refresh(model)

    def _refresh(self, model: str) -> Deployment:
        deployment = current(self._home, model)
        release = deployment.release
        canary = release is not None and release.status is ReleaseStatus.CANARY
        self._gateway.set_route(
            Route(
                model=model,
                champion=self._load(model, deployment.champion),
                candidate=self._load(model, release.candidate) if canary and release else None,
                share=release.share if canary and release else 0.0,
                release_id=release.update if canary and release else None,
                step=release.step if canary and release else None,
            )
        )
        live = {deployment.champion, deployment.previous, release.candidate if release else None}
        self._served = {
            at: served for at, served in self._served.items() if at[0] != model or at[1] in live
        }
        return deployment

    def _load(self, model: str, number: int | None) -> Served | None:
        if number is None:
            return None
        if (model, number) not in self._served:
            predictor = load_serving(self._home, model, number)
            self._served[model, number] = Served(number, predictor)
        return self._served[model, number]

    def _log(self, answers: list[Answer]) -> None:
        at = self._home.journal.now()
        self._home.log.write([Logged.of(answer, at) for answer in answers])
