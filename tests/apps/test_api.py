"""The HTTP API: the operations of the command line, the Open Inference Protocol, and problems."""

import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tidegate import Workspace
from tidegate.apps.api import make_app, serve
from tidegate.domain.errors import WrongUsage

HOSTS = frozenset({"localhost"})
ROW = {"a": 0.5, "b": -0.5}


@pytest.fixture
def api(lived, tmp_path):
    """A client on a workspace whose second version is on traffic."""
    with TestClient(
        make_app(tmp_path / ".tidegate", hosts=HOSTS),
        "http://localhost",
        raise_server_exceptions=False,
    ) as client:
        yield client


@pytest.fixture
def fresh(shop, tmp_path):
    """A client on a workspace with a declared model and nothing more."""
    with TestClient(make_app(tmp_path / ".tidegate", hosts=HOSTS), "http://localhost") as client:
        yield client


def columns(count, **changed):
    tensors = [
        {"name": name, "shape": [count], "datatype": "FP64", "data": [value] * count}
        for name, value in ROW.items()
    ]
    return [tensors[0] | changed, tensors[1]]


def test_a_first_version_over_http(fresh, tmp_path):
    body = (tmp_path / "1.csv").read_bytes()
    added = fresh.post("/v1/models/m/data?name=1.csv", content=body)
    assert added.status_code == 201
    assert added.json()["rows"] == 200
    asked = {"model": "m", "data": added.json()["snapshot"], "reason": "first"}
    started = fresh.post("/v1/updates", json=asked).json()
    assert (started["update"], started["stage"], started["outcome"]) == ("m-1", "approve", None)
    assert fresh.post("/v1/updates/m-1/approve").status_code == 403
    signed = fresh.post("/v1/updates/m-1/approve", headers={"Tidegate-User": "wei"})
    assert signed.json()["outcome"] == "completed"
    assert fresh.get("/v1/models/m/release").json()["champion"] == 1
    assert fresh.get("/v1/audit").json()["ok"] is True


@pytest.mark.parametrize(
    "path",
    [
        "models", "models/m", "models/m/drift", "models/m/versions", "models/m/release",
        "models/m/monitor",
        "updates", "updates?model=m", "updates/m-2", "updates/m-2/replay", "versions/m@2",
        "diff?old=m@1&new=m@2", "audit", "people", "parameters/damage",
    ],
)  # fmt: skip
def test_everything_can_be_read(api, path):
    answer = api.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json(), dict)


def test_documents_in_both_languages(api):
    assert "# Update record m-2" in api.get("/v1/updates/m-2/record").text
    assert api.get("/v1/updates/m-2/record?lang=zh").status_code == 200
    assert "columns:" in api.get("/v1/models/m/contract").text


def test_parameters_go_out_exactly(api, lived, tmp_path):
    lived("params checkout m@1 -o out.safetensors")
    out = api.get("/v1/versions/m@1/parameters")
    assert out.content == (tmp_path / "out.safetensors").read_bytes()


def test_parameters_come_in(fresh, tmp_path):
    import numpy as np
    from safetensors.numpy import save

    assert fresh.put("/v1/models", json={"model": "t", "adapter": "tensors"}).json()["changed"]
    body = save({"w": np.arange(3.0)})
    made = fresh.post("/v1/models/t/parameters?reason=lab", content=body)
    assert (made.status_code, made.json()["stage"]) == (201, "approve")
    bad = fresh.post("/v1/models/t/parameters?reason=lab", content=b"junk")
    assert bad.status_code == 422


def test_the_open_inference_protocol(api):
    assert api.get("/v2/health/live").status_code == 200
    assert api.get("/v2/health/ready").status_code == 200
    meta = api.get("/v2/models/m").json()
    assert meta["versions"] == ["1"]
    assert meta["outputs"] == [{"name": "predict", "datatype": "INT64", "shape": [-1]}]
    assert {column["name"] for column in meta["inputs"]} == {"a", "b"}
    assert api.get("/v2/models/m/ready").status_code == 200
    answer = api.post(
        "/v2/models/m/infer",
        json={
            "id": "x",
            "inputs": columns(40),
            "parameters": {"keys": [f"u{n}" for n in range(40)]},
        },
    )
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["id"], said["model_name"]) == ("x", "m")
    assert said["outputs"][0]["shape"] == [40]
    assert said["outputs"][1]["shape"] == [40, 2]
    assert set(said["parameters"]["versions"]) == {1, 2}
    assert answer.headers["tidegate-version"] == "m@1, m@2"
    assert len(set(said["parameters"]["request_ids"])) == 40


def test_a_user_stays_with_one_version(api):
    asked = {"rows": [ROW], "keys": ["user-7"]}
    versions = {api.post("/v1/models/m/predict", json=asked).json()["answers"][0]["version"]
                for _ in range(8)}  # fmt: skip
    assert len(versions) == 1


def test_labels_move_the_canary_on(api):
    labels = {}
    for burst in range(3):
        asked = {"rows": [ROW] * 30, "keys": [f"{burst}-{n}" for n in range(30)]}
        for answer in api.post("/v1/models/m/predict", json=asked).json()["answers"]:
            labels[answer["request_id"]] = answer["prediction"]
    told = api.post("/v1/models/m/feedback", json={"labels": labels})
    assert told.json() == {"labelled": 90}
    assert api.get("/v1/updates/m-2").json()["outcome"] == "completed"
    assert api.get("/v1/models/m/release").json()["champion"] == 2
    assert api.post("/v1/models/m/predict", json={"rows": [ROW]}).headers[
        "tidegate-version"
    ] == "m@2"  # fmt: skip


def test_promotion_and_rollback(api):
    assert api.post("/v1/models/m/release/promote").json()["outcome"] == "completed"
    back = api.post("/v1/models/m/release/rollback", json={"reason": "trouble"})
    assert back.json()["champion"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "/v1/updates/none", None, 404),
        ("get", "/v1/versions/m@x", None, 422),
        ("get", "/v1/versions/m@99", None, 404),
        ("get", "/v1/nowhere", None, 404),
        ("delete", "/v1/models", None, 405),
        ("post", "/v1/updates", {"model": "m"}, 422),
        ("post", "/v1/updates", {"model": "m", "data": "s-1", "reason": "x", "more": 1}, 422),
        ("put", "/v1/models", {"model": "m", "adapter": "sklearn.nothing"}, 422),
        ("post", "/v1/models/m/predict", {"rows": []}, 422),
        ("post", "/v1/models/m/predict", {"rows": [{"a": 1.0}]}, 422),
        ("post", "/v1/models/m/predict", {"rows": [{"a": "x", "b": 1}]}, 422),
        ("post", "/v1/models/m/predict", {"rows": [{"a": {"deep": 1}, "b": 1}]}, 422),
        ("post", "/v1/models/m/predict", {"rows": [ROW], "keys": ["a", "b"]}, 422),
        ("post", "/v1/models/m/feedback", {"labels": {"none": 1}}, 404),
        ("post", "/v1/models/none/predict", {"rows": [ROW]}, 404),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, datatype="FP8")}, 422),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, shape=[3])}, 422),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, shape=[2, 2])}, 422),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, shape=[])}, 422),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, data=[1.0])}, 422),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, data=["x", "y"])}, 422),
        ("post", "/v2/models/m/infer", {"inputs": columns(2, name="b")}, 422),
        ("post", "/v2/models/m/infer", {"inputs": []}, 422),
        ("post", "/v1/models/m/data?name=../x.csv", None, 422),
    ],
)
def test_errors_are_problems(api, method, path, body, status):
    answer = api.request(method, path, json=body) if body else api.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()
    assert answer.json()["status"] == status


@pytest.mark.parametrize("width", [1, 3])
def test_one_tensor_of_another_width_is_told_the_columns_and_their_order(api, width):
    tensor = {"name": "rows", "shape": [1, width], "datatype": "FP64", "data": [0.5] * width}
    told = api.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert told.status_code == 422
    assert f"holds {width} values a row, not 2" in told.json()["detail"]
    assert told.json()["do"].endswith("in this order, or each column by its name: a, b")
    assert 'kind="data-error"' in api.get("/metrics").text, "as in the problem's type"
    assert told.json()["type"].endswith(":data-error")


def test_who_may_not_is_told_how_to_act_as_another(api):
    told = api.post("/v1/models/m/release/promote", headers={"Tidegate-User": "wei"})
    assert told.status_code == 403
    assert "over HTTP the header Tidegate-User" in told.json()["do"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/v1/models/m/predict", '{"rows":[{"\\ud800":1}]}'),
        ("post", "/v1/models/m/feedback", '{"labels":{"\\ud800":1}}'),
        ("put", "/v1/models", '{"model":"z","adapter":"tensors","groups":{"\\ud800":"x"}}'),
        ("post", "/v1/models/m/predict", '{"rows":'),
        ("get", "/v1/models/m/monitor?window=99999999999999999999", ""),
        ("get", "/v1/models/m/monitor?window=0", ""),
    ],
)
def test_what_cannot_be_text_or_number_is_the_callers_mistake(api, method, path, body):
    headers = {"content-type": "application/json"}
    assert api.request(method, path, content=body, headers=headers).status_code == 422


def test_a_remedy_comes_with_the_error(api):
    assert "tidegate update list" in api.get("/v1/updates/none").json()["do"]


def test_a_stranger_may_do_nothing(api):
    answer = api.post("/v1/models/m/release/promote", headers={"Tidegate-User": "stranger"})
    assert answer.status_code == 403
    assert "stranger" in answer.json()["detail"]


def test_foreign_hosts_and_pages_are_turned_away(api):
    assert api.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
    assert api.get("/v1/models", headers={"Origin": "http://evil.example"}).status_code == 403
    assert api.get("/v1/models", headers={"Origin": "null"}).status_code == 403
    assert api.get("/v1/models", headers={"Origin": "http://localhost"}).status_code == 200


def test_a_body_beyond_the_limit_is_refused(api, monkeypatch):
    from tidegate.apps.http import body

    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1000)
    assert api.post("/v1/models/m/predict", json={"rows": [ROW] * 100}).status_code == 413
    assert api.post("/v1/models/m/predict", json={"rows": [ROW]}).status_code == 200

    def chunks():
        for _ in range(100):
            yield b"x" * 100

    assert api.post("/v1/models/m/predict", content=chunks()).status_code == 413


def test_it_listens_on_this_machine_only(lived, tmp_path):
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        with pytest.raises(WrongUsage, match="reached from other machines"):
            serve(tmp_path / ".tidegate", None, host=host, port=0, worker=False)


def test_the_worker_runs_on_what_was_left(shop, tmp_path):
    snapshot = shop("data add m 1.csv --json").json["snapshot"]
    shop(f"update start m --data {snapshot} --reason first --no-wait")
    with TestClient(
        make_app(tmp_path / ".tidegate", worker=True, hosts=HOSTS), "http://localhost"
    ) as client:
        deadline = time.monotonic() + 60
        while client.get("/v1/updates/m-1").json()["stage"] != "approve":
            assert time.monotonic() < deadline, "the worker did nothing"
            time.sleep(0.2)
        shop("approve m-1 --as wei")
        while client.post("/v1/models/m/predict", json={"rows": [ROW]}).status_code != 200:
            assert time.monotonic() < deadline, "the gateway never heard of the approval"
            time.sleep(0.2)


def test_every_route_is_described(fresh):
    for path, methods in fresh.get("/openapi.json").json()["paths"].items():
        for method, described in methods.items():
            assert described.get("description"), f"{method} {path}"


def test_parameters_that_are_only_kept_are_not_served(fresh, tmp_path):
    from safetensors.numpy import save_file

    assert fresh.put("/v1/models", json={"model": "llm", "adapter": "tensors"}).status_code == 200
    save_file({"w": np.ones(3)}, tmp_path / "w.safetensors")
    with Workspace(tmp_path / ".tidegate") as ws, ws.acting_as("wei") as wei:
        assert wei.approve(
            ws.import_params("llm", tmp_path / "w.safetensors", reason="x").id
        ).outcome
    asked = {"inputs": columns(1)}
    for answer in (
        fresh.get("/v2/models/llm"),
        fresh.get("/v2/models/llm/ready"),
        fresh.post("/v2/models/llm/infer", json=asked),
        fresh.post("/v1/models/llm/feedback", json={"labels": {"x": 1}}),
    ):
        assert answer.status_code == 409, answer.text
        assert "not served here" in answer.json()["detail"]
        assert "tidegate params checkout llm@champion -o FILE" in answer.json()["do"]


def test_the_deployment_log_and_the_verdict_over_http(api):
    log = api.get("/v1/updates/m-2/deployment?lang=zh")
    assert log.text.startswith("# 部署日志 m-2")
    assert log.headers["content-type"] == "text/markdown; charset=utf-8"
    page = api.get("/v1/updates/m-2/deployment?format=html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.count("<table>") == 5
    assert api.get("/v1/updates/m-2/deployment?format=docx").status_code == 422
    verdict = api.get("/v1/models/m/release/verdict").json()
    assert (verdict["verdict"], verdict["step"], verdict["needed"]) == ("hold", 1, 40)
    assert api.get("/v1/models/m/release/verdict?version=1").json()["verdict"] == "promote"
    assert api.get("/v1/models/m/release/verdict?step=0").status_code == 422
    assert api.get("/v1/models/none/release/verdict").status_code == 404
