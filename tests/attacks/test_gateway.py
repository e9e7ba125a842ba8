"""The gateway under clients that lie, stall, flood and vanish: an error for them, and only them."""

import json
import socket

import numpy as np
import polars as pl
import pytest

from tidegate import Workspace
from tidegate.apps.api import make_app
from tidegate.apps.http import body as http_body

ROW = {"a": 0.5, "b": -0.5}
MODEL = {
    "model": "m", "task": "binary", "target": "y", "adapter": "sklearn.logistic_regression",
    "policy": {"preset": "fast"},
}  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, listening):
    """The port of a gateway in this process, with one version in production."""
    folder = tmp_path_factory.mktemp("gateway")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    pl.DataFrame({"a": rng.normal(2 * y, 1), "b": rng.normal(-y, 1), "y": y}).write_csv(
        folder / "rows.csv"
    )
    with Workspace.init(folder / "ws", actor="root") as ws:
        ws.apply_model(MODEL)
        update = ws.start_update(
            "m", data=ws.add_data("m", [folder / "rows.csv"]).snapshot.id, reason="first"
        )
        assert update.outcome is not None
    with listening(make_app(folder / "ws", "root")) as port:
        yield port


def request(path, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Host": "localhost", "Content-Length": str(len(raw)), "Connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + raw


def send(port, raw):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(raw)
        return answer_of(client)


def answer_of(client):
    told = b""
    while part := client.recv(65536):
        told += part
    head, _, body = told.partition(b"\r\n\r\n")
    problem = b"json" in head.lower()
    return int(head.split()[1]), json.loads(body) if problem else body.decode()


def predict(port, rows=(ROW,), **more):
    return send(port, request("/v1/models/m/predict", {"rows": list(rows), **more}))


def infer(port, data=(0.5,), datatype="FP64", **headers):
    tensors = [
        {"name": name, "shape": [1], "datatype": datatype, "data": list(data)} for name in ROW
    ]
    return send(port, request("/v2/models/m/infer", {"inputs": tensors}, **headers))


def test_an_honest_client_is_answered(gateway):
    assert predict(gateway)[0] == 200
    assert infer(gateway)[0] == 200


@pytest.mark.parametrize(
    "told",
    [
        {"rows": [{"a": "a text", "b": 1.0}]},
        {"rows": [{"a": True, "b": 1.0}]},
        {"rows": [{"a": [1, 2], "b": 1.0}]},
        {"rows": [{"a": {"b": 1}, "b": 1.0}]},
        {"rows": [{"b": 1.0}]},
        {"rows": [{"wrong": 1.0}]},
        {"rows": [{}]},
        {"rows": [ROW], "keys": ["u", "v"]},
        {"rows": [ROW], "keys": [7]},
    ],
)
def test_rows_that_are_none_are_refused_with_a_reason(gateway, told):
    status, problem = send(gateway, request("/v1/models/m/predict", told))
    assert status == 422, problem
    assert problem["detail"]
    assert problem["do"]
    assert predict(gateway)[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b'{"inputs": NaN}', b"\x00" * 100, b"[" * 100_000]
)
def test_bodies_that_are_no_json_are_refused(gateway, body):
    assert send(gateway, request("/v2/models/m/infer", body))[0] == 422
    assert send(gateway, request("/v1/models/m/predict", body))[0] == 422


@pytest.mark.parametrize(
    ("data", "datatype"),
    [(["x"], "FP64"), ([1.5], "INT64"), ([1], "FP128"), ([], "FP64"), ([1, 2], "FP64"),
     ([2**70], "UINT64x"), ([[1.0]], "FP64")],
)  # fmt: skip
def test_tensors_that_are_none_are_refused(gateway, data, datatype):
    assert infer(gateway, data, datatype)[0] == 422


@pytest.mark.parametrize("value", [1e308, -1e308, 2**62, None, 0])
def test_numbers_at_the_edge_are_answered(gateway, value):
    status, told = infer(gateway, [value], "FP64")
    assert status == 200, told


@pytest.mark.parametrize("length", ["x", "-1", "0", "999999", "3"])
def test_a_header_length_that_lies_is_refused(gateway, length):
    status, _ = infer(gateway, **{"Inference-Header-Content-Length": length})
    assert status == 422


def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(gateway):
    raw = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert send(gateway, raw + b"Content-Length: 1073741824\r\n\r\n{")[0] == 413


def test_a_body_without_end_is_cut_off(gateway):
    raw = (
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
        client.sendall(raw)
        chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
        told = b""
        try:
            for _ in range(40):
                client.sendall(chunk)
            told = client.recv(65536)
        except ConnectionError:
            told = told or b" 413 "
        assert b" 413 " in told
    assert predict(gateway)[0] == 200


def test_a_slow_client_is_sent_away_and_holds_up_nobody(gateway, monkeypatch):
    monkeypatch.setattr(http_body, "BODY_SECONDS", 0.3)
    raw = request("/v1/models/m/predict", {"rows": [ROW]})
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as slow:
        slow.sendall(raw[:-5])
        assert predict(gateway)[0] == 200
        status, problem = answer_of(slow)
    assert status == 408
    assert "did not come within" in problem["detail"]


def test_clients_that_vanish_harm_nobody(gateway):
    whole = request("/v1/models/m/predict", {"rows": [ROW]})
    for cut in range(0, len(whole), 17):
        with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
            client.sendall(whole[:cut])
    for _ in range(50):  # asked, and gone before the answer
        with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
            client.sendall(whole)
    assert predict(gateway)[0] == 200


@pytest.mark.parametrize("name", ["nobody", "..%2F..", "%00", "m/versions", "", "m" * 5000, "价"])
def test_models_that_are_not_there(gateway, name):
    path = f"/v2/models/{name}/infer".encode()
    raw = request("/x", {"inputs": []}).replace(b"/x", path, 1)
    assert send(gateway, raw)[0] in (400, 404, 405, 422)


def test_feedback_for_what_was_never_answered(gateway):
    path = "/v1/models/m/feedback"
    assert send(gateway, request(path, {"labels": {"f" * 32: 1}}))[0] == 404
    for labels in ({}, [], "x", {"f" * 32: {"a": 1}}):
        status, _ = send(gateway, request(path, {"labels": labels}))
        assert status in (404, 422)


def test_feedback_counts_once_and_stands(gateway):
    path, (_, told) = "/v1/models/m/feedback", predict(gateway)
    request_id = told["answers"][0]["request_id"]
    for _ in range(3):
        assert send(gateway, request(path, {"labels": {request_id: 1}}))[0] == 200
    assert send(gateway, request(path, {"labels": {request_id: 0}}))[0] == 409
    assert send(gateway, request(path, {"labels": {request_id: "x"}}))[0] == 422


def test_a_flood_of_one_key_is_answered(gateway):
    rows = [ROW] * 3000
    status, told = predict(gateway, rows, keys=["one"] * 3000)
    assert status == 200
    assert len({one["version"] for one in told["answers"]}) == 1


def test_a_foreign_name_or_page_is_turned_away(gateway):
    raw = request("/v1/models/m/predict", {"rows": [ROW]}, Host="evil.example")
    assert send(gateway, raw)[0] == 421
    raw = request("/v1/models/m/predict", {"rows": [ROW]}, Origin="http://evil.example")
    assert send(gateway, raw)[0] == 403
