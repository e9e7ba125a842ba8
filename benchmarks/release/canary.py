"""A workspace with versions, a gateway on it, and what each version computes, worked out apart."""

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.release import bodies, servers
from benchmarks.release.peers import model
from safetensors.numpy import load_file
from scipy.special import expit

from tidegate import Workspace
from tidegate.domain.update import Outcome, Update

PATH = "/v2/models/bench/infer"
SHARE = 0.1
#: How long a candidate may take until it answers its share.
SEEN = 20.0
#: Nobody signs here and no gate is close: what is measured is traffic.
POLICY = {
    "preset": "fast",
    "approval": {"free_tier": 4},
    "validation": {"margin": 0.5, "max_negative_flips": 1.0, "max_gap": 1.0},
    "rollout": {"steps": [{"share": SHARE, "min_labels": 1_000_000_000}]},
    "observe": {"min_labels": 0},
}


class House:
    """A workspace whose versions learned from different parts of the rows, so that every answer
    tells which one gave it."""

    def __init__(self, folder: Path, adapter: str = "sklearn.logistic_regression"):
        self.folder = folder
        self.ws = Workspace.init(folder / "workspace", actor="bench")
        self.ws.apply_model({
            "model": "bench", "task": "binary", "target": "y", "adapter": adapter,
            "policy": POLICY,
        })  # fmt: skip
        self.expected = folder / "tidegate.expected"
        self._known: dict[str, dict] = {}
        self._parts: dict[int, str] = {}

    def snapshot(self, part: int) -> str:
        """The rows without every seventh, beginning with the row of number ``part``."""
        if part not in self._parts:
            x, y = model.rows()
            kept = np.arange(len(x)) % 7 != part % 7
            frame = pl.DataFrame({f"x{n}": x[kept, n] for n in range(model.FEATURES)})
            file = self.folder / f"part-{part}.csv"
            frame.with_columns(y=pl.Series(y[kept])).write_csv(file)
            self._parts[part] = self.ws.add_data("bench", [file]).snapshot.id
        return self._parts[part]

    def canary(self, part: int) -> int:
        """A version from that part, brought on traffic as far as it goes without labels."""
        update = self.ws.start_update(
            "bench", data=self.snapshot(part), reason="benchmark", strategy="full"
        )
        if update.outcome not in (None, Outcome.COMPLETED):
            raise servers.Unavailable(str(self.ws.describe(update).text()))
        self._learn(update)
        return update.number

    def released(self, part: int) -> int:
        """A version from that part in production, promoted by hand."""
        number = self.canary(part)
        for update in self.ws.open_updates("bench"):
            while update.outcome is None:
                update = self.ws.promote("bench")
        return number

    def _learn(self, update: Update) -> None:
        """Keep what this version says to every body: its own numbers, our own arithmetic."""
        file = self.folder / "params.safetensors"
        self.ws.checkout(f"bench@{update.number}", file)
        tensors = load_file(file)
        _, manifest = self.ws.version(f"bench@{update.number}")
        numeric = manifest.structure.transform["numeric"]
        at = [int(feature["name"].removeprefix("x")) for feature in numeric]
        mean, scale = (np.array([f[what] for f in numeric]) for what in ("mean", "scale"))
        x, _ = bodies.chosen()
        rows = (x[:, at] - mean) / scale
        shares = expit(rows @ tensors["coef"][0] + tensors["intercept"][0])
        classes = manifest.structure.architecture["classes"]
        self._known[str(update.number)] = {
            "labels": [classes[int(share > 0.5)] for share in shares],
            "shares": shares.tolist(),
        }
        self.expected.write_text(json.dumps({"versions": self._known}))

    @contextmanager
    def gateway(self, env: dict | None = None):
        """``tidegate serve`` on this workspace: its port and its process."""
        port = servers.free_port()
        program = [sys.executable, "-m", "tidegate.apps.cli", "serve", "--port", str(port),
                   "--workspace", str(self.folder / "workspace")]  # fmt: skip
        body = self.body()

        def ready() -> str | None:
            status, _, said = servers.post(port, PATH, body)
            return None if status == 200 else servers.refusal(status, said)

        with servers.running(program, self.folder / "gateway.log", ready, env) as process:
            yield port, process

    def on_traffic(self, part: int, port: int) -> int:
        """A version from that part in canary, once the gateway has been seen to answer by it."""
        number = self.canary(part)
        until, n = time.monotonic() + SEEN, 0
        while time.monotonic() < until:
            _, headers, _ = servers.post(port, PATH, self.body(n % bodies.BODIES))
            if headers.get("tidegate-version", "").endswith(f"@{number}"):
                return number
            n += 1
        raise servers.Unavailable(f"version {number} answered nothing in {SEEN:.0f} s")

    def body(self, n: int = 0) -> bytes:
        """One request in JSON."""
        x, _ = bodies.chosen()
        return bodies.columns(x[n : n + 1], n)

    def close(self) -> None:
        """Let go of the workspace."""
        self.ws.close()
