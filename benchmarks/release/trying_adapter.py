"""An adapter whose loads can be made slow, made to fail, or given wrong shapes, from outside.

Tidegate finds it as it finds every adapter of an installed package: by its entry point, which the
benchmark writes into a folder on the path. What the next loads are to do stands in the file that
``$BENCH_LOADS`` names; each load adds a line to the file beside it.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from tidegate.training.adapters.logistic import LogisticRegression

NAME = "bench.logistic_regression"
SLOW_SECONDS = 0.5


class TryingRegression(LogisticRegression):
    """Logistic regression that loads as it is told to."""

    name: ClassVar[str] = NAME

    def load(self, state):
        """As logistic regression, after a while or not at all where the file says so."""
        file = os.environ.get("BENCH_LOADS")
        if file is not None:
            told = Path(file).read_text().strip()
            with open(f"{file}.done", "a", encoding="utf-8") as done:
                done.write(f"{told}\n")
            if told == "slow":
                time.sleep(SLOW_SECONDS)
            elif told == "failing":
                raise RuntimeError("the benchmark made this load fail")
            elif told == "wrong shape":
                wide = np.hstack([state.tensors["coef"], state.tensors["coef"][:, :1]])
                state = replace(state, tensors={**state.tensors, "coef": wide})
        return super().load(state)


def install(folder: Path) -> dict[str, str]:
    """Announce the adapter in ``folder``, before any other is asked for; gives the environment in
    which another process finds it."""
    info = folder / "bench_adapters-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-adapters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[tidegate.adapters]\n{NAME} = benchmarks.release.trying_adapter:TryingRegression\n"
    )
    root = Path(__file__).resolve().parents[2]
    loads = folder / "loads"
    loads.write_text("plain")
    sys.path.insert(0, str(folder))
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(folder), str(root), *([known] if known else [])])
    return {"PYTHONPATH": path, "BENCH_LOADS": str(loads)}
