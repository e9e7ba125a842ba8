"""The gateway under clients that lie, stall, flood and vanish: an error for them, and only them."""

import json
import socket
import threading
import time

import numpy as np
import polars as pl
import pytest

from tidegate import Workspace
from tidegate.apps.api import make_app
from tidegate.apps.http import body as http_body
from tidegate.apps.http import protocol

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
        for name in ("m", "other"):
            ws.apply_model(MODEL | {"model": name})
            snapshot = ws.add_data(name, [folder / "rows.csv"]).snapshot
            assert ws.start_update(name, data=snapshot.id, reason="first").outcome is not None
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
        {"rows": [ROW], "keys": ["\0"]},
        {"rows": [ROW], "keys": ["k" * 1001]},
    ],
)
def test_rows_that_are_none_are_refused_with_a_reason(gateway, told):
    status, problem = send(gateway, request("/v1/models/m/predict", told))
    assert status == 422, problem
    assert problem["detail"]
    assert problem["do"]
    assert predict(gateway)[0] == 200


def nested(depth, of="list"):
    """JSON in JSON in JSON."""
    begin, end = (b"[", b"]") if of == "list" else (b'{"x":', b"}")
    return begin * depth + b"1" + end * depth


@pytest.mark.parametrize("column", [b"a", b"z"])
@pytest.mark.parametrize("of", ["list", "object"])
def test_what_is_nested_in_a_row_is_refused_and_not_unfolded(gateway, column, of):
    body = b'{"rows":[{"a":0.5,"b":1.0,"%s":%s}]}' % (column, nested(900, of))
    status, problem = send(gateway, request("/v1/models/m/predict", body))
    assert status == 422
    assert column.decode() in problem["detail"]
    assert len(problem["detail"]) < 200


@pytest.mark.parametrize(
    "tensor",
    [
        {"shape": [2, 200_000_000], "data": [[1], None]},
        {"shape": [2, 10**18], "data": [[1], None]},
        {"shape": [2, 2], "data": [[1, 2, 3], [4]]},
        {"shape": [3, 2], "data": [[1, 2], [3, 4]]},
        {"shape": [10**9], "data": [1]},
    ],
)
def test_a_shape_that_is_not_that_of_the_values_is_refused_before_room_is_made(gateway, tensor):
    told = {"inputs": [{"name": "a", "datatype": "FP64", **tensor}]}
    status, problem = send(gateway, request("/v2/models/m/infer", told))
    assert status in (413, 422)
    assert problem["do"]


def test_rows_that_share_few_columns_are_refused(gateway):
    rows = [{f"c{n}": 1.0} for n in range(5000)]
    status, problem = send(gateway, request("/v1/models/m/predict", {"rows": rows}))
    assert status == 422
    assert "5000 columns" in problem["detail"]


def test_more_rows_than_a_request_may_have_are_refused(gateway):
    status, problem = predict(gateway, [{}] * 10_001)
    assert status == 413
    assert "10,000" in problem["detail"]
    status, _ = infer(gateway, [0.5] * 2)
    assert status == 422
    tensors = [
        {"name": name, "shape": [10_001], "datatype": "FP64", "data": [0.5] * 10_001}
        for name in ROW
    ]
    assert send(gateway, request("/v2/models/m/infer", {"inputs": tensors}))[0] == 413
    labels = {f"{n:032x}": 1 for n in range(10_001)}
    assert send(gateway, request("/v1/models/m/feedback", {"labels": labels}))[0] == 413
    assert predict(gateway, [ROW] * 10_000)[0] == 200


def test_a_tensor_given_twice_is_found_at_once(gateway):
    names = [f"x{n}" for n in range(20_000)]
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [None]}
        for name in [*names, names[-1]]
    ]
    status, problem = send(gateway, request("/v2/models/m/infer", {"inputs": tensors}))
    assert status == 422
    assert "twice" in problem["detail"]


def test_parts_of_a_request_that_are_of_no_kind_are_refused(gateway):
    row = [{"name": name, "shape": [1], "datatype": "FP64", "data": [0.5]} for name in ROW]
    body = json.dumps({"inputs": row, "id": "ID"}).encode()
    path = "/v2/models/m/infer"
    assert send(gateway, request(path, body.replace(b'"ID"', nested(900))))[0] == 422
    named = json.dumps({"inputs": row, "outputs": [{"name": "ID"}]}).encode()
    assert send(gateway, request(path, named.replace(b'"ID"', nested(900))))[0] == 422
    sized = [{**one, "datatype": ["FP64"], "parameters": {"binary_data_size": 8}} for one in row]
    told = json.dumps({"inputs": sized}).encode()
    length = {"Inference-Header-Content-Length": str(len(told))}
    assert send(gateway, request(path, told + bytes(16), **length))[0] == 422
    long = {"Inference-Header-Content-Length": "9" * 5000}
    assert send(gateway, request(path, told, **long))[0] == 422


def test_after_a_body_that_is_too_large_no_more_of_it_is_read(gateway):
    head = b"POST /v1/models/m/predict HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
        client.sendall(head + b"Content-Length: 1000000000\r\n\r\n")
        told = client.recv(65536)
        assert told.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in told
        while client.recv(65536):
            pass


@pytest.mark.parametrize("header", ["Upgrade", "UPGRADE"])
def test_a_wish_for_another_protocol_is_not_heard(gateway, header):
    more = {
        header: "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
        "Connection": "Upgrade, HTTP2-Settings",
    }
    raw = request("/v1/models/m/predict", {"rows": [ROW]}, **more)
    last = request("/v1/models/m/predict", {"rows": [ROW]})
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
        client.sendall(raw + last)
        told = b""
        while part := client.recv(65536):
            told += part
    assert told.count(b"HTTP/1.1 200") == 2


def test_a_path_is_read_once(gateway):
    row = request("/v1/models/%256d/predict", {"rows": [ROW]})
    assert send(gateway, row)[0] == 404
    assert send(gateway, request("/v1/models/%6d/predict", {"rows": [ROW]}))[0] == 200


def test_what_a_path_takes_is_told(gateway):
    raw = b"DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
        client.sendall(raw)
        status, problem = answer_of(client)
    assert status == 405
    assert "GET" in problem["detail"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b'{"inputs": NaN}', b"\x00" * 100, b"[" * 100_000]
)
def test_bodies_that_are_no_json_are_refused(gateway, body):
    assert send(gateway, request("/v2/models/m/infer", body))[0] == 422
    assert send(gateway, request("/v1/models/m/predict", body))[0] == 422


@pytest.mark.parametrize(
    ("data", "datatype"),
    [(["x"], "FP64"), ([1.5], "INT64"), ([1], "FP128"), ([], "FP64"), ([1, 2], "FP64"),
     ([2**70], "UINT64x"), ([[1.0]], "FP64"), ([128], "INT8"), ([-1], "UINT64"), ([2**63], "INT64"),
     (["1"], "INT64"), ([True], "BOOL"), (["x"], "BYTES")],
)  # fmt: skip
def test_tensors_that_are_none_are_refused(gateway, data, datatype):
    status, problem = infer(gateway, data, datatype)
    assert status == 422, problem
    assert problem["detail"]
    assert problem["do"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_are_none_are_refused(gateway, number):
    body = json.dumps({"rows": [{"a": 7, "b": 1.0}]}).replace("7", number).encode()
    status, problem = send(gateway, request("/v1/models/m/predict", body))
    assert status == 422
    assert "no JSON" in problem["detail"]


def test_a_number_that_is_none_among_the_bytes_is_missing(gateway):
    raws = [np.array([np.nan]).tobytes(), np.array([0.5]).tobytes()]
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
        for name in ROW
    ]
    head = json.dumps({"inputs": tensors}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    raw = request("/v2/models/m/infer", head + b"".join(raws), **length)
    status, told = send(gateway, raw)
    assert status == 200, told
    missing = predict(gateway, [{"a": None, "b": 0.5}])[1]["answers"][0]
    assert told["outputs"][0]["data"] == [missing["prediction"]]
    assert told["outputs"][1]["data"] == list(missing["probabilities"].values())


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": [{"name": "A", "shape": [1], "datatype": "FP64", "data": [1.0]}]},
        {"outputs": [{"name": "nothing"}]},
        {"parameters": {"keys": [None]}},
        {"parameters": {"keys": [["u"]]}},
        {"parameters": {"keys": {"u": 1}}},
    ],
)
def test_requests_that_name_what_is_not_there_are_refused(gateway, changed):
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [1.0]} for name in ROW]
    raw = request("/v2/models/m/infer", {"inputs": tensors} | changed)
    status, problem = send(gateway, raw)
    assert status == 422, problem
    assert problem["do"]


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


def test_an_upload_that_stalls_is_sent_away(gateway, monkeypatch):
    monkeypatch.setattr(http_body, "BODY_SECONDS", 0.3)
    raw = request("/v1/models/m/data?name=x.csv", b"a,b,y\n" + b"1,2,1\n" * 50)
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as slow:
        slow.sendall(raw[:-5])
        assert predict(gateway)[0] == 200
        status, problem = answer_of(slow)
    assert status == 408
    assert problem["do"]


def test_a_client_that_does_not_end_its_headers_is_sent_away(gateway, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    with (
        socket.create_connection(("127.0.0.1", gateway), timeout=20) as silent,
        socket.create_connection(("127.0.0.1", gateway), timeout=20) as slow,
    ):
        slow.sendall(b"POST /v1/models/m/predict HTTP/1.1\r\nHost: localhost\r\nX-")
        assert predict(gateway)[0] == 200
        for client in (silent, slow):
            status, problem = answer_of(client)
            assert (status, problem["status"]) == (408, 408)


def test_a_connection_that_is_kept_is_given_time_between_requests(gateway, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    raw = request("/v1/models/m/predict", {"rows": [ROW]}, Connection="keep-alive")
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
        for _ in range(3):
            client.sendall(raw[:40])
            client.sendall(raw[40:])
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.3)


def test_headers_without_end_are_cut_off(gateway):
    with socket.create_connection(("127.0.0.1", gateway), timeout=20) as client:
        client.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n")
        told = b""
        try:
            for number in range(1000):
                client.sendall(b"X-%d: " % number + b"x" * 1000 + b"\r\n")
            told = client.recv(65536)
        except ConnectionError:
            told = told or b" 431 "
        assert b" 431 " in told
    assert predict(gateway)[0] == 200


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01", b"hello\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_no_http_is_told_so(gateway, raw):
    status, problem = send(gateway, raw)
    assert (status, problem["status"]) == (400, 400)
    assert problem["do"]


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


def test_feedback_for_the_answer_of_another_model(gateway):
    ids = [one["request_id"] for one in predict(gateway, [ROW, ROW])[1]["answers"]]
    status, told = send(gateway, request("/v1/models/other/predict", {"rows": [ROW]}))
    assert status == 200
    foreign = told["answers"][0]["request_id"]
    path = "/v1/models/m/feedback"
    status, problem = send(gateway, request(path, {"labels": {foreign: 1}}))
    assert status == 404
    assert "by model 'other'" in problem["detail"]
    # Beside others, it alone is refused.
    status, told = send(gateway, request(path, {"labels": {ids[0]: 1, foreign: 1}}))
    assert (status, told["labelled"]) == (200, 1)
    (refused,) = told["refused"]
    assert (refused["request_id"], refused["status"]) == (foreign, 404)
    assert "by model 'other'" in refused["detail"]
    assert send(gateway, request(path, {"labels": {ids[0]: 0}}))[0] == 409


def test_feedback_that_cannot_be_used_is_refused_by_itself_and_says_why(gateway):
    path, rows = "/v1/models/m/feedback", [ROW] * 4
    one, two, three, four = (a["request_id"] for a in predict(gateway, rows)[1]["answers"])
    labels = {one: 1, two: "x", three: None, "f" * 32: 1, four: 3.7}
    raw = request(path, {"labels": labels}, **{"Accept-Language": "zh"})
    status, told = send(gateway, raw)
    assert (status, told["labelled"]) == (200, 1)
    refused = {each["request_id"]: each for each in told["refused"]}
    assert {name: each["status"] for name, each in refused.items()} == {
        two: 422, three: 422, "f" * 32: 404, four: 422,
    }  # fmt: skip
    assert "不是同一类值" in refused[two]["detail"]
    assert all(each["do"] for each in refused.values())


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


def test_a_flood_of_requests_of_one_key_leaves_the_others_answered(gateway):
    raw = request("/v1/models/m/predict", {"rows": [ROW], "keys": ["one"]})
    statuses = []
    flood = [threading.Thread(target=lambda: statuses.append(send(gateway, raw)[0]))
             for _ in range(60)]  # fmt: skip
    for one in flood:
        one.start()
    mine = [predict(gateway, keys=[f"u{number}"])[0] for number in range(20)]
    for one in flood:
        one.join()
    assert set(mine) == {200}
    assert set(statuses) <= {200, 503}
    assert len(statuses) == 60


def test_a_foreign_name_or_page_is_turned_away(gateway):
    raw = request("/v1/models/m/predict", {"rows": [ROW]}, Host="evil.example")
    assert send(gateway, raw)[0] == 421
    raw = request("/v1/models/m/predict", {"rows": [ROW]}, Origin="http://evil.example")
    assert send(gateway, raw)[0] == 403
