"""Versions switched under load: plainly, slowly, with loads that fail, stored bytes that are
damaged, and tensors of the wrong shape, loaded or imported. And a version change of a peer."""

import http.client
import json
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from benchmarks.release import arms, canary, servers, trying_adapter
from benchmarks.release.arms import Bench
from benchmarks.release.timeline import Timeline
from safetensors.numpy import load_file, save_file

from tidegate.domain.errors import TidegateError

#: Every second switch is a plain one, to a version that loads.
KINDS = ("plain", "slow", "plain", "failing", "plain", "corrupt", "plain", "wrong shape", "plain",
         "import")  # fmt: skip
#: Those that must end with the version that answered before.
IN_VAIN = ("failing", "corrupt", "wrong shape", "import")
#: Versions switched among, beside the one released last, which a gateway may keep ready.
VERSIONS = 4
#: Full load before the switch and after it, twice as long as a slow load takes; and time in which
#: a gateway follows what is taken back.
BEFORE, AFTER, AGAIN = 0.3, 1.2, 0.3
#: Seconds at the most until the log has written what waits.
RESTING = 60.0


class Switching:
    """A workspace with versions to go back to, and a gateway on it under load."""

    def __init__(self, bench: Bench, folder: Path, env: dict[str, str]):
        self._bench, self._folder, self._env = bench, folder, env
        self._loads = Path(self._env["BENCH_LOADS"])
        self._house = canary.House(folder, trying_adapter.NAME)
        self._objects = folder / "workspace" / "objects"
        self._versions, self._files = [], {}
        for part in range(VERSIONS + 1):
            before = set(self._stored())
            number = self._house.released(part)
            self._versions.append(number)
            self._files[number] = sorted(set(self._stored()) - before)

    def _stored(self):
        return (path for path in self._objects.rglob("*") if path.is_file())

    def go(self, count: int) -> dict:
        """So many switches on one gateway, and its memory before and after them.

        It is taken at rest, with as many versions loaded, and before them after one switch of each
        kind under load, which counts for nothing else.
        """
        found, answering, before = [], self._versions[-1], 0.0
        with self._house.gateway(self._env) as (port, process):
            for number in range(len(KINDS) + count):
                if number == len(KINDS):
                    found, before = [], _at_rest(port, process.pid)
                kind = KINDS[number % len(KINDS)]
                target = self._versions[(self._versions.index(answering) + 1) % VERSIONS]
                one = self._switch(port, kind, answering, target)
                answering = answering if kind in IN_VAIN else target
                found.append(one)
                self._bench.say(f"switch {number + 1} of {len(KINDS)} + {count}: {one}")
            after = _at_rest(port, process.pid)
        self._house.close()
        done = Path(f"{self._loads}.done")
        loads = done.read_text().split("\n") if done.exists() else []
        return {
            "switches": found,
            "rss_before": before,
            "rss_after": after,
            "loads": {kind: loads.count(kind) for kind in dict.fromkeys(KINDS) if kind in loads},
        }

    def _switch(self, port: int, kind: str, old: int, target: int) -> dict:
        bench, file = self._bench, self._bench.folder / "timeline"
        bench.load.start(**bench.order(
            port, canary.PATH, "columns", "tidegate", self._house.expected,
            timeline=str(file), seconds=60.0,
        ))  # fmt: skip
        time.sleep(BEFORE)
        with self._made(kind, target):
            decided = time.monotonic()
            refused = self._ordered(kind, target)
            time.sleep(AFTER)
            bench.load.stop()
            run, line = bench.load.result(), Timeline.read(file)
            if kind in IN_VAIN:  # nothing may load by itself once it can
                self._house.ws.rollback("bench", reason="benchmark", to=old)
                time.sleep(AGAIN)
        first = line.first_answer(target)
        usual, during = line.outside_and_within(decided, first or decided + AFTER)
        return {
            "kind": kind,
            "requests": run["requests"],
            "failures": run["failed"],
            "failed": line.failed,
            "refused": refused,
            "moved": first is not None,
            "ms": None if first is None else 1000 * (first - decided),
            "wrong": line.neither(old, target)
            + (0 if first is None else line.sent_after(first, not_by=target)),
            "usual_p99": usual,
            "during_p99": during,
        }

    def _ordered(self, kind: str, target: int) -> str:
        """The switch itself; gives why it was refused, or nothing."""
        try:
            if kind == "import":
                self._house.ws.import_params("bench", self._misshapen(), reason="benchmark")
            else:
                self._house.ws.rollback("bench", reason="benchmark", to=target)
        except TidegateError as error:
            return type(error).__name__
        return ""

    def _misshapen(self) -> Path:
        """A file with the parameters of a version and a feature too many."""
        file = self._folder / "misshapen.safetensors"
        self._house.ws.checkout(f"bench@{self._versions[0]}", file)
        tensors = load_file(file)
        tensors["coef"] = np.hstack([tensors["coef"], tensors["coef"][:, :1]])
        save_file(tensors, file)
        return file

    @contextmanager
    def _made(self, kind: str, target: int):
        """Loads, or the stored bytes of ``target``, as ``kind`` wants them, and then as before."""
        self._loads.write_text(kind)
        damaged = self._files[target] if kind == "corrupt" else []
        kept = {file: file.read_bytes() for file in damaged}
        for file, data in kept.items():
            file.write_bytes(bytes(byte ^ 0xFF for byte in data))
        try:
            yield
        finally:
            for file, data in kept.items():
                file.write_bytes(data)
            self._loads.write_text("plain")


def _at_rest(port: int, pid: int) -> float:
    """Resident memory in MiB once the prediction log has written all that waited for it."""
    waits = re.compile(rb"^tidegate_log_waiting (.*)$", re.MULTILINE)
    until, left = time.monotonic() + RESTING, 1.0
    while left and time.monotonic() < until:
        time.sleep(0.5)
        with urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            left = float(waits.search(page.read())[1])
    return servers.rss_mib(pid)


def of_mlserver(bench: Bench, count: int) -> dict:
    """MLServer told through its repository API to load, which takes half a second: the version
    that it has, or a new one, whose number stands in the model's settings."""
    found = []
    folder = bench.folder / "mlserver"
    folder.mkdir()
    settings = folder / "model-settings.json"
    try:
        slow = (str(trying_adapter.SLOW_SECONDS), str(folder))
        with arms.serving(bench, arms.MLSERVER, *slow) as (order, _):
            for number in range(2 * count):
                kind = "the same version again" if number < count else "a new version"
                if number >= count:
                    told = json.loads(settings.read_text())
                    told["parameters"]["version"] = f"v{number - count + 2:03}"
                    settings.write_text(json.dumps(told))
                found.append({"kind": kind, **_reloaded(bench, order)})
                bench.say(f"MLServer, load {number + 1} of {2 * count}: {found[-1]}")
    except servers.Unavailable as why:
        return {"error": str(why)}
    return {"switches": found}


def _reloaded(bench: Bench, order: dict) -> dict:
    bench.load.start(**{**order, "seconds": 60.0})
    time.sleep(BEFORE)
    began, status = time.monotonic(), 0
    with suppress(OSError, http.client.HTTPException):
        status, _, _ = servers.post(order["port"], "/v2/repository/models/bench/load", b"{}")
    took = time.monotonic() - began
    time.sleep(BEFORE)
    bench.load.stop()
    run = bench.load.result()
    return {
        "requests": run["requests"],
        "failed": sum(run["failed"].values()),
        "failures": run["failed"],
        "status": status,
        "ms": 1000 * took,
    }
