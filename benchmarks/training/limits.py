"""What a third of always's updates can reach at best, and what tells settings apart.

The first table is computed in hindsight: of all ways to choose when to update, the best one. No
trigger can do better with the same settings and windows. Part of ``make bench-training``.
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
from benchmarks.page import ROOT, markdown, write
from benchmarks.training import streams

from tidegate.data.read import read_files
from tidegate.data.table import stacked
from tidegate.domain.evidence import PlanEvidence
from tidegate.domain.metrics import Task, losses
from tidegate.domain.strategy import Strategy
from tidegate.process.backtest import batches_of
from tidegate.process.fitting import fit_candidate, target_of
from tidegate.training.adapter import adapter
from tidegate.training.validation.calibration import brier

#: Batches that a version is followed for; a third of all updates leaves it three on average.
AHEAD = 12
SMALL = {"max_leaf_nodes": 7, "learning_rate": 0.05}
#: The loss that is known, in hindsight, to suit a stream.
SUITED = {"bike_sharing_hourly.csv": "poisson", "beijing_pm25.csv": "absolute_error"}


def versions(name: str, data: Path, window: int | None, settings: dict):
    """For each batch: what a version trained up to it says of the next ones, and their truth."""
    spec = streams.spec_of(name, settings=settings)
    frame = read_files([data / name], lambda _done, _total: None)
    batches = batches_of(spec, frame, streams.BATCH_ROWS)
    plan = PlanEvidence(strategy=Strategy.FULL, requested="full", supported=[], why=[])
    for at in range(1, len(batches)):
        rows = stacked(batches[:at] if window is None else batches[max(0, at - window) : at])
        fitted = fit_candidate(spec, plan, rows, None, lambda _done, _total: None)[0]
        predictor = fitted.predictor()
        ahead = batches[at : at + AHEAD]
        yield spec, at, [(target_of(batch, spec), predictor.predict(batch)) for batch in ahead]


def best_third(name: str, data: Path, window: int | None, settings: dict) -> tuple[float, float]:
    """Mean loss of an update at every batch, and of the best choice of a third of them."""
    batches = 0
    cost: dict[tuple[int, int], float] = {}  # of a version from its batch up to another
    rows = every = 0.0
    for spec, at, answers in versions(name, data, window, settings):
        total = 0.0
        for number, (truth, said) in enumerate(answers):
            total += float(losses(spec.task, truth, said.values).sum())
            cost[at, at + number + 1] = total
            batches = max(batches, at + number + 1)
        rows += len(answers[0][0])
        every += cost[at, at + 1]
    allowed = (batches - 2) // 3
    best = {1: 0.0}  # up to which batch, at what loss, with the versions so far
    least = np.inf
    for _ in range(allowed + 1):
        reached: dict[int, float] = {}
        for (start, end), loss in cost.items():
            if start in best:
                reached[end] = min(reached.get(end, np.inf), best[start] + loss)
        best, least = reached, min(least, reached.get(batches, np.inf))
    return every / rows, least / rows


def told_apart(data: Path) -> list[list[str]]:
    """Accuracy and Brier score of two settings, an update at every third batch."""
    rows = []
    for window in (9, 24):
        for label, settings in (("scikit-learn's own", {}), ("smaller trees", SMALL)):
            right, near = [], []
            for _spec, at, answers in versions("electricity.csv", data, window, settings):
                if at % 3 == 1:
                    right += [np.mean(truth == said.values) for truth, said in answers[:3]]
                    near += [brier(truth, said) for truth, said in answers[:3]]
            rows.append([label, str(window), f"{np.mean(right):.4f}", f"{np.mean(near):.4f}"])
    return rows


def suited(name: str) -> dict:
    """What a search tries first with that loss."""
    how = adapter(streams.STREAMS[name]["adapter"])
    starts = how.starts(Task(streams.STREAMS[name]["task"]))
    return next(one for one in starts if one.get("loss") == SUITED[name])


def page(data: Path, say) -> str:
    rows = []
    for name in streams.STREAMS:
        tries = [(None, {}), (streams.WINDOW, {})]
        if name in SUITED:
            tries.append((None, suited(name)))
        for window, settings in tries:
            every, least = best_third(name, data, window, settings)
            if streams.STREAMS[name]["task"] != "regression":
                every, least = 1 - every, 1 - least
            known = "all data" if window is None else f"the last {window}"
            how = "those that suit it" if settings else "scikit-learn's own"
            rows.append([name, known, how, f"{every:.4g}", f"{least:.4g}"])
            say(f"{name}: {rows[-1]}")
    best = markdown(["stream", "trained on", "settings", "always", "best third in hindsight"], rows)
    told = markdown(["settings", "batches trained on", "accuracy", "Brier score"], told_apart(data))
    return (
        f"{best}\n\nTwo settings on `electricity.csv`, an update at every third batch, means "
        f"over batches:\n\n{told}\n\nOne run, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {streams.BATCH_ROWS} rows a batch, seed 0.\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    text = page(options.data, lambda told: print(time.strftime("%H:%M:%S"), told, file=sys.stderr))
    write("training-limits", text)
    print(text)
