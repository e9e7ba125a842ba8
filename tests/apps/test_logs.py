"""The log of the server: what is told of a request, under which trace, and of how many."""

import io
import json
import logging
import re
import shutil
import socket
import time
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from tidegate.apps.api import hub, make_app
from tidegate.apps.http import logs
from tidegate.apps.http.tracing import begun, current, span_of
from tidegate.domain.errors import IntegrityError, StorageError
from tidegate.process.workspace import Workspace
from tidegate.release.route import Served

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROW = {"a": 0.5, "b": -0.5}


def header(version="00", trace=TRACE, parent=PARENT, flags="01", more=""):
    return f"{version}-{trace}-{parent}-{flags}{more}".encode()


@pytest.mark.parametrize(
    ("traceparent", "sampled"),
    [(header(), True), (header(flags="00"), False), (header(flags="03"), True),
     (header("cc", more="-what-comes-later"), True), (b" " + header() + b" ", True)],
)  # fmt: skip
def test_a_trace_is_taken_up(traceparent, sampled):
    span = span_of(traceparent)
    assert (span.trace_id, span.parent_id, span.sampled) == (TRACE, PARENT, sampled)
    assert re.fullmatch("[0-9a-f]{16}", span.span_id)
    assert span.span_id != PARENT


@pytest.mark.parametrize(
    "traceparent",
    [None, b"", b"x", header()[:-1], header() + b"0", header(more="-more"), header("ff"),
     header(trace="0" * 32), header(parent="0" * 16), header(trace=TRACE.upper()),
     header(trace="g" * 32), header(flags="0x"), b"\xff" * 55],
)  # fmt: skip
def test_what_is_no_trace_begins_one(traceparent):
    one, two = span_of(traceparent), span_of(traceparent)
    assert re.fullmatch("[0-9a-f]{32}", one.trace_id)
    assert one.trace_id not in (TRACE, two.trace_id)
    assert (one.parent_id, one.sampled) == (None, False)


def test_a_span_is_current_within_its_request_alone():
    assert current() is None
    with begun({b"traceparent": header()}) as outer:
        with begun({}) as inner:
            assert current() is inner
        assert current() is outer
    assert current() is None


@pytest.fixture
def lines():
    """The log as it is written, read back: one document a line."""
    form, stream = logs.config(logs.Form.JSON), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form["formatters"]["lines"]["()"]())
    handler.addFilter(form["filters"]["bounded"]["()"]())
    logger, level = logging.getLogger("tidegate"), logging.getLogger("tidegate").level
    logger.addHandler(handler)
    logger.setLevel(form["loggers"]["tidegate"]["level"])
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def app(template, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "FOLLOW_SECONDS", 3600.0)  # it would undo the routes set here
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return make_app(tmp_path / ".tidegate", hosts=frozenset({"localhost"}))


@pytest.fixture
def api(app, lines):
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("the database {database} failed: {problem}", do="x",
                      database="postgresql://ada@10.0.0.7/rows", problem="at 10.0.0.7"), 507),
        (StorageError("the object store failed on '{key}': {problem}", do="x",
                      key="10.0.0.7", problem="at http://10.0.0.7"), 507),
        (IntegrityError("the database {database} is damaged: {problem}", do="x",
                        database="postgresql://ada@10.0.0.7/rows", problem="x"), 500),
    ],
)  # fmt: skip
def test_where_things_lie_is_for_the_log_alone(api, lines, monkeypatch, error, status):
    def fails(*_):
        raise error

    monkeypatch.setattr(Workspace, "models", fails)
    for accepted, detail in (("en", "the server cannot"), ("zh", "服务器无法")):
        answer = api.get("/v1/models", headers={"Accept-Language": accepted})
        assert answer.status_code == answer.json()["status"] == status
        assert detail in answer.json()["detail"]
        assert answer.json()["do"]
        assert "10.0.0.7" not in answer.text
        line = lines()[-1]
        assert (line["event"], line["trace_id"]) == ("failed", answer.json()["trace_id"])
        assert "10.0.0.7" in line["message"]


def asked(lines, event):
    return [line for line in lines() if line["event"] == event]


def test_an_answer_is_told_only_where_its_caller_records_the_trace(api, lines):
    for flags in ("00", "01"):
        given = {"traceparent": header(flags=flags).decode()}
        answer = api.post("/v1/models/m/predict", json={"rows": [ROW]}, headers=given)
        assert answer.status_code == 200
    assert api.post("/v1/models/m/predict", json={"rows": [ROW]}).status_code == 200
    (line,) = lines()
    arm = line.pop("arm")
    assert arm in ("champion", "candidate")
    assert line["milliseconds"] > 0
    wanted = {
        "level": "info",
        "event": "answered",
        "model": "m",
        "version": 1 if arm == "champion" else 2,
        "rows": 1,
        "trace_id": TRACE,
        "parent_id": PARENT,
    }
    assert wanted.items() <= line.items()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("POST", "/v1/models/m/predict", b"{", 422, "wrong-usage"),
        ("POST", "/v2/models/nobody/infer", b'{"inputs": []}', 404, "not-found"),
        ("DELETE", "/v2/models/m/infer", b"", 405, "not-allowed"),
        ("GET", "/v1/updates/none", b"", 404, "not-found"),
        ("GET", "/v1/nowhere", b"", 404, "not-found"),
        ("POST", "/v1/updates", b"{", 422, "invalid-request"),
        ("GET", "/v1/models/m/monitor?window=0", b"", 422, "invalid-request"),
    ],
)
def test_a_refusal_is_found_in_the_log_by_its_trace(api, lines, method, path, body, status, kind):
    for given in ({}, {"traceparent": header().decode()}):
        answer = api.request(method, path, content=body, headers=given)
        problem, line = answer.json(), lines()[-1]
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["trace_id"] == line["trace_id"]
        assert (problem["trace_id"] == TRACE) == bool(given)
        told = (line["event"], line["status"], line["kind"], line["message"])
        assert told == ("refused", status, kind, problem["detail"])
        assert (line["method"], line["path"]) == (method, path.split("?")[0])
    assert len(lines()) == 2


def test_requests_that_are_turned_away_at_the_door_are_told(api, lines):
    for given in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        problem = api.get("/v1/models", headers=given).json()
        assert lines()[-1]["trace_id"] == problem["trace_id"]
        assert problem["do"]


def test_a_half_sent_upload_is_the_callers_mistake(app, lines, listening):
    raw = b"POST /v1/models/m/data?name=x.csv HTTP/1.1\r\nHost: localhost\r\n"
    with listening(app) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(raw + b"Content-Length: 1000\r\n\r\na,b")
        deadline = time.monotonic() + 60
        while not lines():
            assert time.monotonic() < deadline, "nothing was told"
            time.sleep(0.02)
    (line,) = lines()
    assert (line["event"], line["status"], line["kind"]) == ("refused", 400, "incomplete")


def test_what_changes_something_is_told_and_what_reads_is_not(api, lines):
    api.get("/v1/models")
    assert lines() == []
    api.put("/v1/models", json={"model": "t", "adapter": "tensors"})
    (line,) = lines()
    assert (line["event"], line["status"], line["path"]) == ("changed", 200, "/v1/models")


def serving_of(app):
    """What serves behind an application that has started."""
    return app._app._gateway._of_process()


def change_route(serving, **changed):
    serving.follow()
    serving._gateway.set_route(replace(serving.routed("m"), **changed))


class Fails:
    """A version that cannot answer."""

    def __init__(self, trouble):
        self.trouble = trouble

    def predict(self, rows):
        raise self.trouble


def test_a_candidate_that_fails_is_told_with_the_reason(app, api, lines):
    serving = serving_of(app)
    change_route(serving, candidate=Served(2, Fails(ValueError("bad weights"))), share=1.0)
    given = {"traceparent": header().decode()}
    answer = api.post("/v1/models/m/predict", json={"rows": [ROW] * 3}, headers=given)
    assert answer.status_code == 200
    (why,), (stood,) = asked(lines, "candidate_failed"), asked(lines, "stood_in")
    assert (why["model"], why["version"], why["arm"]) == ("m", 2, "candidate")
    assert "ValueError: bad weights" in why["traceback"]
    assert (stood["version"], stood["rows_failed"], stood["trace_id"]) == (1, 3, TRACE)


def test_an_error_nobody_expected_is_told_with_its_traceback_and_tells_nothing(app, api, lines):
    change_route(serving_of(app), champion=Served(1, Fails(ZeroDivisionError("deep inside"))),
                 candidate=None)  # fmt: skip
    answer = api.post("/v1/models/m/predict", json={"rows": [ROW]})
    assert answer.status_code == 500
    assert "deep inside" not in answer.text
    unexpected, failed = lines()
    assert "deep inside" in unexpected["traceback"]
    assert failed["event"] == "failed"
    assert {unexpected["trace_id"], failed["trace_id"]} == {answer.json()["trace_id"]}


def test_an_error_of_the_api_nobody_expected_is_told_once(app, api, lines, monkeypatch):
    def broken(self):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(Workspace, "models", broken)
    answer = api.get("/v1/models")
    assert answer.status_code == 500
    assert [bool(line.get("traceback")) for line in lines()] == [True, False]
    assert {line["trace_id"] for line in lines()} == {answer.json()["trace_id"]}


def test_what_takes_long_is_told(api, lines, monkeypatch):
    monkeypatch.setattr(logs, "SLOW_SECONDS", 0.0)
    api.post("/v1/models/m/predict", json={"rows": [ROW]})
    api.get("/v1/models/m")
    assert [(line["event"], line["model"]) for line in lines()] == [("slow", "m"), ("slow", "m")]


def test_of_many_lines_alike_some_are_written_and_the_others_counted(lines):
    bounded = logs.Bounded(3)

    def passed(event, at):
        record = logging.LogRecord("tidegate", logging.INFO, "", 0, "m", None, None)
        record.event, record.created = event, at
        return bounded.filter(record), getattr(record, "left_out", None)

    assert [passed("flood", 10.0 + n / 100)[0] for n in range(8)] == [True] * 3 + [False] * 5
    assert passed("rare", 10.5) == (True, None)
    assert passed("flood", 11.0) == (True, 5)
    assert passed("flood", 12.0) == (True, 0)


def test_a_line_holds_what_a_caller_sent_and_obeys_none_of_it():
    record = logging.LogRecord("tidegate", logging.INFO, "", 0, "no %s", ("\x1b[31m\n{}",), None)
    record.facts = {"path": '/a"\nlevel=error', "none": None}
    told = json.loads(logs.JsonLines().format(record))
    assert (told["message"], told["path"]) == ("no \x1b[31m\n{}", '/a"\nlevel=error')
    assert "none" not in told
    for form in (logs.JsonLines(), logs.TextLines()):
        line = form.format(record)
        assert "\n" not in line
        assert "\x1b" not in line


def test_it_is_text_on_a_terminal_and_json_elsewhere(monkeypatch):
    for terminal, form in ((True, logs.Form.TEXT), (False, logs.Form.JSON)):
        monkeypatch.setattr("sys.stderr.isatty", lambda told=terminal: told, raising=False)
        assert logs.form_of(None) is form
        assert logs.form_of(logs.Form.TEXT) is logs.Form.TEXT
    monkeypatch.setattr("sys.stderr", None)  # it was closed before we began
    assert logs.form_of(None) is logs.Form.JSON


def test_a_librarys_line_names_no_event(lines):
    logging.getLogger("tidegate").warning("started server process [%d]", 7)
    (line,) = lines()
    assert (line["event"], line["message"]) == (None, "started server process [7]")
