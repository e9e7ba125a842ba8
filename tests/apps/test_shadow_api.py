"""A shadow over HTTP: users are given the champion's answers, and one label judges both."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tidegate import Workspace
from tidegate.apps.api import make_app

SHADOWED = """\
model: m
task: binary
target: y
adapter: sklearn.logistic_regression
policy:
  rollout: {steps: [{share: 0, min_labels: 30}, {share: 0.5, min_labels: 40}]}
  observe: {min_labels: 0}
"""


@pytest.fixture
def api(shop, tmp_path):
    """A client on a workspace whose second version is in the shadow."""
    (tmp_path / "m.yaml").write_text(SHADOWED)
    assert shop("model apply m.yaml").code == 0
    with Workspace(tmp_path / ".tidegate", actor="ada") as ws:
        for number in (1, 2):
            snapshot = ws.add_data("m", [tmp_path / f"{number}.csv"]).snapshot
            update = ws.start_update("m", data=snapshot.id, reason="file")
            with ws.acting_as("wei") as wei:
                wei.approve(update.id)
    app = make_app(tmp_path / ".tidegate", hosts=frozenset({"localhost"}))
    with TestClient(app, "http://localhost") as client:
        yield client


def test_a_shadow_over_http(api):
    assert api.get("/v1/models/m/release").json()["release"]["status"] == "shadow"
    values = np.random.default_rng(1).normal(size=(30, 2)).tolist()
    tensor = {"name": "rows", "shape": [30, 2], "datatype": "FP64", "data": values}
    told = api.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert told.headers["tidegate-version"] == "m@1"
    assert set(told.json()["parameters"]["arms"]) == {"champion"}
    ids, said = told.json()["parameters"]["request_ids"], told.json()["outputs"][0]["data"]
    labels = dict(zip(ids, said, strict=True))
    assert api.post("/v1/models/m/feedback", json={"labels": labels}).json()["labelled"] == 30
    release = api.get("/v1/models/m/release").json()["release"]
    assert (release["status"], release["step"]) == ("canary", 1)
    assert release["tallies"][0]["champion_labels"] == 30
    assert release["tallies"][0]["candidate_labels"] == 30
    assert "tidegate_shadow_dropped 0.0" in api.get("/metrics").text


def test_the_arm_that_nobody_is_given_cannot_be_asked_by_name(api):
    row = {"rows": [{"a": 0.5, "b": -0.5}]}
    told = api.post("/v1/models/m/predict", json=row, headers={"Tidegate-Arm": "candidate"})
    assert told.status_code == 409
    assert "in its shadow" in told.json()["detail"]
    assert "once a step gives it traffic" in told.json()["do"]
