"""Gateways as processes of their own: killed and back, cut off from the record, and two at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tidegate import Workspace
from tidegate.domain.people import Role
from tidegate.domain.stage import Team

PATIENCE_SECONDS = 60
ROW = {"a": 0.5, "b": -0.5}
KEYS = [f"u{number}" for number in range(200)]

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to see processes"
)


class Process:
    """``tidegate serve`` on a workspace, and a client of it."""

    def __init__(self, workspace, log):
        self.log = log
        for _ in range(5):  # a port that was free may be taken by now
            self._start(workspace)
            until(lambda: self.popen.poll() is not None or self.ready(), "it did not start")
            if self.popen.poll() is None:
                return
            self.client.close()
            if "already in use" not in log.read_text():
                break
        raise AssertionError(log.read_text())

    def _start(self, workspace):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with self.log.open("ab") as err:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tidegate.apps.cli", "--workspace", str(workspace),
                 "serve", "--port", str(port)], stdout=err, stderr=err,
            )  # fmt: skip
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def ready(self):
        try:
            return self.client.get("/v2/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, keys=KEYS):
        """Which version answered each key."""
        body = {"rows": [ROW] * len(keys), "keys": keys}
        answer = self.client.post("/v1/models/m/predict", json=body)
        assert answer.status_code == 200, answer.text
        return {key: told["version"] for key, told in zip(keys, answer.json()["answers"],
                                                         strict=True)}  # fmt: skip

    def metric(self, name):
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise AssertionError(f"there is no metric {name}")

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self, how=signal.SIGTERM):
        self.client.close()
        self.popen.send_signal(how)
        self.popen.wait(PATIENCE_SECONDS)


def until(true, otherwise):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.fixture
def serving(tmp_path):
    """Starts gateways: ``serving(workspace)``; all are ended."""
    running = []

    def start(workspace):
        running.append(Process(workspace, tmp_path / f"gateway-{len(running)}.log"))
        return running[-1]

    yield start
    for process in running:
        if process.popen.poll() is None:
            process.end()


def test_one_that_was_killed_comes_back_with_the_version_and_its_share(lived, tmp_path, serving):
    workspace = tmp_path / ".tidegate"
    first = serving(workspace)
    split = first.ask()
    assert set(split.values()) == {1, 2}
    first.end(signal.SIGKILL)
    assert first.popen.returncode == -signal.SIGKILL
    again = serving(workspace)
    assert again.ask() == split
    with Workspace(workspace) as ws:
        ws.promote("m")
    until(lambda: set(again.ask().values()) == {2}, "it does not follow the record")
    again.end(signal.SIGKILL)
    assert set(serving(workspace).ask().values()) == {2}


def test_a_rollback_returns_when_two_gateways_have_followed(lived, tmp_path, serving):
    workspace = tmp_path / ".tidegate"
    one, two = serving(workspace), serving(workspace)
    split = one.ask()
    assert set(split.values()) == {1, 2}
    assert two.ask() == split
    with Workspace(workspace) as ws:
        ws.rollback("m", reason="drill")
        told = [gateway.ask() for gateway in (one, two)]
    assert [set(versions.values()) for versions in told] == [{1}, {1}]
    for gateway in (one, two):
        given = {"Tidegate-Arm": "candidate"}
        body = {"rows": [ROW]}
        answer = gateway.client.post("/v1/models/m/predict", json=body, headers=given)
        assert answer.status_code == 409


@contextmanager
def unreachable(url, name):
    """A database of the server at ``url`` that takes no connection, and has lost those it had."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    allow = f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS"
    lose = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"{allow} false")
        connection.execute(lose, {"name": name})
        yield
        connection.exec_driver_sql(f"{allow} true")
    engine.dispose()


def test_one_that_cannot_reach_the_record_goes_on_and_says_so(
    template, postgres, served, tmp_path, serving
):
    workspace = tmp_path / "ws"
    with Workspace.init(workspace, actor="ada", database=served.database) as ws:
        ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        ws.apply_model(template / "m.yaml")
        with ws.acting_as("wei") as wei:
            for number in (1, 2):
                snapshot = ws.add_data("m", [template / f"{number}.csv"]).snapshot
                wei.approve(ws.start_update("m", data=snapshot.id, reason="file").id)
    gateway = serving(workspace)
    split = gateway.ask()
    assert set(split.values()) == {1, 2}
    described = gateway.client.get("/v2/models/m").json()
    ready = gateway.client.get("/v2/health/ready").json()
    assert (ready["ready"], ready["stale"]) == (True, False)

    def stale():
        assert gateway.ask() == split  # all the while
        return gateway.client.get("/v2/health/ready").json()["stale"]

    with unreachable(postgres, sa.make_url(served.database).database):
        until(stale, "it never said that it cannot read the record")
        health = gateway.client.get("/v2/health/ready")
        assert (health.status_code, health.json()["ready"]) == (200, True)
        assert gateway.metric("tidegate_stale_seconds") > 5
        assert gateway.metric("tidegate_log_waiting") >= len(KEYS)
        assert gateway.client.get("/v2/models/m/ready").status_code == 200
        assert gateway.client.get("/v2/models/m").json() == described
        body = {"rows": [ROW], "keys": ["late"]}
        late = gateway.client.post("/v1/models/m/predict", json=body).json()["answers"][0]
        labels = {"labels": {late["request_id"]: 1}}
        refused = gateway.client.post("/v1/models/m/feedback", json=labels)
        assert refused.status_code == 507
        assert refused.json()["do"]
    until(lambda: not stale(), "it never read the record again")
    until(lambda: gateway.metric("tidegate_log_waiting") == 0, "the log was not written")
    assert gateway.metric("tidegate_log_lost") == 0
    assert gateway.client.post("/v1/models/m/feedback", json=labels).json() == {"labelled": 1}
    told = [line["event"] for line in gateway.lines()]
    assert {"record_unreadable", "record_back"} <= set(told)
    failed = [line for line in gateway.lines() if line["event"] == "failed"]
    assert failed[-1]["trace_id"] == refused.json()["trace_id"]
    assert failed[-1]["status"] == 507


def beside(gateway, module="tidegate.apps.api"):
    """The processes that a gateway has started to run this."""
    told = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(gateway.popen.pid), "-ww"],
        capture_output=True, text=True,
    )  # fmt: skip
    lines = [line.split() for line in told.stdout.splitlines()]
    return [int(pid) for pid, *words in lines if module in words]


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@needs_proc
def test_what_judges_is_started_again_and_ends_with_its_gateway(lived, tmp_path, serving):
    workspace = tmp_path / ".tidegate"
    gateway = serving(workspace)
    until(lambda: beside(gateway), "nothing judges the canary")
    (first,) = beside(gateway)
    os.kill(first, signal.SIGKILL)
    until(lambda: beside(gateway) not in ([], [first]), "it was not started again")
    keys = [f"v{number}" for number in range(400)]
    body = {"rows": [ROW] * len(keys), "keys": keys}
    told = gateway.client.post("/v1/models/m/predict", json=body).json()["answers"]
    wrong = {
        one["request_id"]: 1 - one["prediction"] if one["version"] == 2 else one["prediction"]
        for one in told
    }
    kept = gateway.client.post("/v1/models/m/feedback", json={"labels": wrong})
    assert kept.json() == {"labelled": len(keys)}
    until(lambda: set(gateway.ask().values()) == {1}, "harm was not found")
    (second,) = beside(gateway)
    gateway.end(signal.SIGKILL)
    until(lambda: gone(second), "it outlived its gateway")
    assert "worker_ended" in [line["event"] for line in gateway.lines()]


@needs_proc
def test_what_keeps_the_log_is_started_again_and_nothing_is_lost(lived, tmp_path, serving):
    workspace = tmp_path / ".tidegate"
    gateway = serving(workspace)
    scribe = "tidegate.process.scribe"
    (first,) = beside(gateway, scribe)
    body = {"rows": [ROW] * len(KEYS), "keys": KEYS}

    def answered():
        told = gateway.client.post("/v1/models/m/predict", json=body).json()["answers"]
        return {one["request_id"]: one["prediction"] for one in told}

    def told():
        said = gateway.client.post("/v1/models/m/feedback", json={"labels": given})
        assert said.status_code in (200, 503), said.text
        return said.json() == {"labelled": len(KEYS)}

    given = answered()
    os.kill(first, signal.SIGTERM)  # as a process manager may tell all
    os.kill(first, signal.SIGINT)  # as a terminal does
    assert told()
    os.kill(first, signal.SIGKILL)
    given = answered()
    until(told, "labels were not taken again")
    (second,) = beside(gateway, scribe)
    assert second != first
    assert gateway.metric("tidegate_log_lost") == 0
    with Workspace(workspace) as ws:
        assert ws.home.log.counts("m").labelled >= 2 * len(KEYS)
    answered()
    gateway.end(signal.SIGKILL)
    until(lambda: gone(second), "it outlived its gateway")
    assert "scribe_ended" in [line["event"] for line in gateway.lines()]


@needs_proc
def test_what_was_answered_before_a_gateway_stops_is_in_the_log(lived, tmp_path, serving):
    workspace = tmp_path / ".tidegate"
    gateway = serving(workspace)
    (scribe,) = beside(gateway, "tidegate.process.scribe")
    with Workspace(workspace) as ws:
        before = ws.home.log.counts("m").answers
        gateway.ask()
        gateway.end()
        assert gone(scribe)
        assert ws.home.log.counts("m").answers == before + len(KEYS)
