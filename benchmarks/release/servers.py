"""Servers, load and labels as processes: started, driven, watched and ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
STARTING = 90.0


class Unavailable(Exception):
    """Why a server cannot be measured."""


def free_port() -> int:
    """A port with the next two free as well, as far as can be told: MLServer takes three."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def post(port: int, path: str, body: bytes, headers: dict | None = None) -> tuple[int, dict, bytes]:
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        given = {"Content-Type": "application/json", **(headers or {})}
        connection.request("POST", path, body, given)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def refusal(status: int, said: bytes) -> str:
    """An answer that is none, in a line."""
    return f"HTTP {status}: {said.decode(errors='replace')[:120]}"


@contextmanager
def running(program: list[str], log: Path, ready, env: dict | None = None):
    """The process of ``program`` once ``ready()``, and all it started ended afterwards.

    Raises Unavailable with the last line it wrote where it stops or does not get ready.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            program, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, **(env or {})},
        )  # fmt: skip
    try:
        until, why = time.monotonic() + STARTING, "not ready in time"
        while time.monotonic() < until:
            if process.poll() is not None:
                raise Unavailable(f"stopped at its start: {last_line(log)}")
            try:
                why = ready()
            except OSError:
                why = "does not listen"
            if why is None:
                break
            time.sleep(0.2)
        else:
            raise Unavailable(f"{why} after {STARTING:.0f} s: {last_line(log)}")
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen) -> None:
    """Ask the process to stop, which is its chance to end what it started; then end its group."""
    go_on(process.pid)  # one that is stopped hears nothing
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def stop(pid: int) -> None:
    """Let a server, and what it has started, do nothing until it may ``go_on``."""
    _tell(pid, signal.SIGSTOP)


def go_on(pid: int) -> None:
    """Let a server that was stopped work again."""
    _tell(pid, signal.SIGCONT)


def _tell(pid: int, what: signal.Signals) -> None:
    """Signal a server's group, and those that it started in groups of their own."""
    started = [int(one) for file in Path(f"/proc/{pid}/task").glob("*/children")
               for one in file.read_text().split()]  # fmt: skip
    for group in {pid, *started}:
        with suppress(ProcessLookupError):  # it has ended, or leads no group
            os.killpg(group, what)


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:160] if lines else "it wrote nothing"


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


class Load:
    """The load generator's process."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "load.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, **order: object) -> None:
        """Begin a run; ``result`` waits for it."""
        print(json.dumps({"do": "run", **order}), file=self._process.stdin, flush=True)

    def stop(self) -> None:
        """End the run that is on."""
        print(json.dumps({"do": "stop"}), file=self._process.stdin, flush=True)

    def result(self) -> dict:
        """What the run found; raises Unavailable where nothing could be reached."""
        told = json.loads(self._process.stdout.readline() or '{"error": "the load stopped"}')
        if "error" in told:
            raise Unavailable(told["error"])
        return told

    def run(self, **order: object) -> dict:
        """A run from beginning to end."""
        self.start(**order)
        return self.result()

    def close(self) -> None:
        """No more runs."""
        self._process.stdin.close()
        self._process.wait()


def used(pid: int) -> float:
    """Seconds of a processor that a process has used so far, in the system's ticks."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def labelling(port: int, truth: Path):
    """Ten rows asked and labelled ten times a second, beside the load, so that there is something
    to judge by."""
    process = subprocess.Popen([sys.executable, str(HERE / "labels.py"), str(port), str(truth)])
    try:
        yield
    finally:
        process.terminate()
        process.wait()
