"""A workspace driven from the command line."""

import numpy as np
import polars as pl
import pytest

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


@pytest.fixture
def lived(shop):
    """Two versions made, the second one on traffic."""
    for number in (1, 2):
        snapshot = shop(f"data add m {number}.csv --json").json["snapshot"]
        told = shop(f"update start m --data {snapshot} --reason file --json")
        assert told.code == 0, told
        assert shop(f"approve m-{number} --as wei --json").code == 0
    return shop
