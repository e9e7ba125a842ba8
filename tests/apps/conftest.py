"""A workspace driven from the command line."""

import shutil

import numpy as np
import polars as pl
import pytest

from tidegate import Workspace
from tidegate.domain.people import Role
from tidegate.domain.stage import Team

MODEL = """\
model: m
task: binary
target: y
adapter: sklearn.logistic_regression
policy:
  rollout: {steps: [{share: 0.5, min_labels: 40}]}
  observe: {min_labels: 0}
"""


def rows(seed, count=200):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    return pl.DataFrame({"a": rng.normal(2 * y, 1), "b": rng.normal(-2 * y, 1), "y": y})


@pytest.fixture
def shop(tidegate, tmp_path):
    """A declared model, a file of rows, an approver; nothing updated yet."""
    for line in (
        "init --as ada",
        "people add wei --team business --role approver",
    ):
        assert tidegate(line).code == 0
    (tmp_path / "m.yaml").write_text(MODEL)
    assert tidegate("model apply m.yaml").code == 0
    rows(1).write_csv(tmp_path / "1.csv")
    rows(2).write_csv(tmp_path / "2.csv")
    return tidegate


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A folder with two versions made, the second one on traffic: built once, then copied."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "m.yaml").write_text(MODEL)
    with Workspace.init(folder / ".tidegate", actor="ada") as ws, ws.acting_as("wei") as wei:
        ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        ws.apply_model(folder / "m.yaml")
        for number in (1, 2):
            file = folder / f"{number}.csv"
            rows(number).write_csv(file)
            snapshot = ws.add_data("m", [file]).snapshot
            update = ws.start_update("m", data=snapshot.id, reason="file")
            wei.approve(update.id)
    return folder


@pytest.fixture
def lived(template, tidegate, tmp_path):
    """Two versions made, the second one on traffic."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tidegate
