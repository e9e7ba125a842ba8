"""The worker beside a server: how it is started, how it stops, and that one works at a time."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate import Workspace
from tidegate.apps.api import beside as module
from tidegate.apps.api.beside import Beside
from tidegate.apps.http.logs import Form
from tidegate.domain.stage import Stage

PATIENCE_SECONDS = 60
#: A worker that tells what it does, and whose training takes as long as it may; "quietly" it comes
#: by no place where it could stop.
WORKER = """
import sys, time
from tidegate.apps.api import beside, worker
from tidegate.domain.stage import Stage
from tidegate.process import runner

quietly = "quietly" in sys.argv and not sys.argv.remove("quietly")

def train(case):
    print("training", flush=True)
    while True:
        time.sleep(0.02)
        quietly or case.progress("training")(1, 2)

def work(self, works=worker.Worker.work):
    print("looking", flush=True)
    works(self)

runner.STAGES[Stage.TRAIN] = train
worker.Worker.work, beside.TICK_SECONDS = work, 0.02
beside.main()
"""


class Process:
    """Such a worker, and what it has told."""

    def __init__(self, workspace, *more):
        program = [sys.executable, "-c", WORKER, f"--workspace={workspace}", "--updates", *more]
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True)
        self.told = []
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self):
        for line in self.popen.stdout:
            self.told.append(line.strip())

    def until(self, *lines):
        until(lambda: set(lines) <= set(self.told) or self.popen.poll() is not None)
        assert set(lines) <= set(self.told), "it ended before"

    def end(self):
        self.popen.kill()
        self.popen.wait()
        self._listening.join()
        self.popen.stdin.close()
        self.popen.stdout.close()


def until(true):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def workspace(shop, tmp_path):
    """One with an update that nobody has begun with."""
    snapshot = shop("data add m 1.csv --json").json["snapshot"]
    shop(f"update start m --data {snapshot} --reason first --no-wait")
    return tmp_path / ".tidegate"


@pytest.fixture
def working(workspace):
    """Starts such workers; all are ended."""
    running = []

    def start(*more):
        running.append(Process(workspace, *more))
        return running[-1]

    yield start
    for process in running:
        process.end()


def at(workspace):
    with Workspace(workspace) as ws:
        return ws.update("m-1")


@pytest.mark.parametrize("how", ["SIGTERM", "its input ends"])
def test_it_stops_at_a_safe_place_and_goes_on_from_there(working, workspace, how):
    worker = working()
    worker.until("training")
    if how == "SIGTERM":
        worker.popen.send_signal(signal.SIGTERM)
    else:
        worker.popen.stdin.close()
    assert worker.popen.wait(PATIENCE_SECONDS) == 0
    left = at(workspace)
    assert (left.stage, left.outcome, left.waiting) == (Stage.TRAIN, None, None)
    with Workspace(workspace) as ws:
        assert ws.resume("m-1").stage is Stage.APPROVE


def test_it_stops_where_there_is_no_workspace_yet(tmp_path):
    program = [sys.executable, "-m", "tidegate.apps.api", f"--workspace={tmp_path}", "--log=json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stderr=pipe, text=True) as worker:
        assert "no workspace" in json.loads(worker.stderr.readline())["message"]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 0


def test_a_second_signal_ends_it_at_once(working, workspace):
    worker = working("quietly")
    worker.until("training")
    until(lambda: worker.popen.send_signal(signal.SIGTERM) or worker.popen.poll() is not None)
    assert worker.popen.returncode == -signal.SIGTERM
    assert at(workspace).stage is Stage.TRAIN


def test_the_next_one_waits_for_one_whose_server_was_killed(working):
    first = working("quietly")
    first.until("training")
    first.popen.stdin.close()  # as it is when the server dies
    second = working()
    until(lambda: second.told.count("looking") >= 5)
    assert "training" not in second.told
    first.popen.send_signal(signal.SIGKILL)
    second.until("training")


def program(**given):
    facts = {"folder": None, "actor": None, "updates": False, "log": Form.JSON} | given
    return Beside(facts.pop("folder"), facts.pop("actor"), **facts)._program


def test_values_that_begin_with_a_dash_are_values(tmp_path):
    odd = program(folder=Path("-odd"), actor="--updates")
    ended = subprocess.run(odd, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True)
    assert ended.returncode == 0, ended.stderr


def test_it_runs_as_its_server_does():
    told = (
        "from tidegate.apps.api.beside import Beside\n"
        "print(*Beside(None, None, updates=False, log='json')._program, sep='\\n')"
    )
    flags = ["-s", "-X", "utf8", "-W", "error::FutureWarning"]
    ran = subprocess.run(
        [sys.executable, *flags, "-c", told], capture_output=True, text=True, check=True
    )
    words = ran.stdout.split("\n")
    for flag in ("-s", "utf8", "-Werror::FutureWarning", "-P"):
        assert flag in words[: words.index("-m")]


class Ends:
    """A process that ends with this status when it is told to."""

    made = []

    def __init__(self, *_program, **_how):
        self.status, self.pid = None, os.getpid()
        self.made.append(self)

    def poll(self):
        return self.status


def test_one_that_ends_at_once_is_started_later_each_time(monkeypatch, caplog):
    now = [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module.subprocess, "Popen", Ends)
    monkeypatch.setattr(Ends, "made", [])
    caplog.set_level(logging.WARNING, "tidegate")
    kept = Beside(None, None, updates=True, log=Form.JSON)

    def pause():
        """How long it takes until the next one is there, in seconds."""
        Ends.made[-1].status, count, ended = 3, len(Ends.made), now[0]
        while len(Ends.made) == count:
            kept.see_to(needed=True)
            now[0] += 0.5
        return now[0] - 0.5 - ended

    kept.see_to(needed=True)
    assert [pause() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    now[0] += 60
    assert [pause() for _ in range(2)] == [1, 2]
    assert len(caplog.records) == 10
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert "(3)" in caplog.records[0].getMessage()
    assert caplog.records[0].event == "worker_ended"


def test_a_worker_that_does_not_stop_is_ended(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    beside = Beside(tmp_path, None, updates=True, log=Form.TEXT)
    beside._program = [sys.executable, "-c", "import time; time.sleep(600)"]
    beside.see_to(needed=True)
    with caplog.at_level(logging.WARNING, "tidegate"):
        beside.close()
    assert beside._process.poll() is not None
    assert "did not stop" in caplog.text
