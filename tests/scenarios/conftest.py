"""A small team, a small model, and data whose truth is known."""

import numpy as np
import polars as pl
import pytest

from tidegate import Workspace
from tidegate.domain.people import Role
from tidegate.domain.stage import Team

MODEL = {
    "model": "m",
    "task": "binary",
    "target": "y",
    "adapter": "sklearn.logistic_regression",
    "policy": {
        "rollout": {"steps": [{"share": 0.3, "min_labels": 40}, {"share": 0.6, "min_labels": 40}]},
        "observe": {"min_labels": 40},
    },
}


def rows(seed, count=200, *, flip=0.0):
    """Two columns that tell ``y`` well; ``flip``: share of rows with the wrong label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    told = np.where(rng.random(count) < flip, 1 - y, y)
    return pl.DataFrame({"a": rng.normal(2 * y, 1), "b": rng.normal(-2 * y, 1), "y": told})


@pytest.fixture
def team(backend, tmp_path):
    """Ada proposes, Wei and Mei approve, Oli operates; the workspace is opened as Ada."""
    with Workspace.init(
        tmp_path / "ws",
        actor="root",
        database=backend.database,
        objects=backend.objects,
        options=backend.options,
    ) as ws:
        ws.add_person("ada", Team.ALGORITHM, [Role.PROPOSER])
        ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        ws.add_person("mei", Team.ENGINEERING, [Role.APPROVER])
        ws.add_person("oli", Team.ENGINEERING, [Role.OPERATOR])
        ws.apply_model(MODEL)
    with Workspace(tmp_path / "ws", actor="ada") as opened:
        yield Cast(opened, tmp_path)


class Cast:
    """The workspace, and what its people do in nearly every story."""

    def __init__(self, ws, folder):
        self.ws, self.folder, self.model = ws, folder, MODEL

    def as_(self, name):
        return self.ws.acting_as(name)

    def file(self, frame, name="rows"):
        path = self.folder / f"{name}.csv"
        frame.write_csv(path)
        return path

    def add(self, frame):
        return self.ws.add_data("m", [self.file(frame)]).snapshot

    def start(self, frame, **options):
        return self.ws.start_update("m", data=self.add(frame).id, reason="new rows", **options)

    def approved(self, frame, **options):
        """An update, approved by Wei, as far as it goes."""
        with self.as_("wei") as wei:
            return wei.approve(self.start(frame, **options).id)

    def traffic(self, update, *, wrong=(), bursts=60):
        """Requests with outcomes until the update ends; ``wrong``: versions whose answers turn
        out wrong."""
        serving, live = self.ws.serving(), rows(4242, 600)
        for burst in range(bursts):
            update = self.ws.update(update.id)
            if update.outcome is not None:
                break
            some = live[[(burst * 20 + n) % live.height for n in range(20)]]
            keys = [f"u{burst}-{n}" for n in range(20)]
            answers = serving.infer("m", some.drop("y"), keys)
            serving.feedback(
                "m",
                {
                    a.request_id: 1 - a.prediction if a.version in wrong else a.prediction
                    for a in answers
                },
            )
        return self.ws.update(update.id)


@pytest.fixture
def make_rows():
    return rows


@pytest.fixture
def promoted(team, make_rows):
    """A function: one more version in production, promoted by hand."""

    def promote(seed):
        update = team.approved(make_rows(seed))
        with team.as_("oli") as oli:
            while update.outcome is None:
                update = oli.promote("m")
        return update

    return promote
