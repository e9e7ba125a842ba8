"""Backtests of the standard policy on three real streams: ``make bench-backtest``.

Test-then-train: each batch of 336 rows is predicted, then its labels become known. Compared are
never updating, retraining at every batch, and the standard policy with all its defaults. Writes
the table in docs/benchmarks.md; the data are not part of the repository (see ``--data``).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.page import ROOT, write

BATCH_ROWS = 336

STREAMS = {
    "electricity.csv": """\
model: electricity
task: binary
target: class
adapter: sklearn.hist_gradient_boosting
""",
    "bike_sharing_hourly.csv": """\
model: bikes
task: regression
target: cnt
adapter: sklearn.hist_gradient_boosting
exclude: [instant, casual, registered]
time: [dteday, hr]
""",
    "beijing_pm25.csv": """\
model: air
task: regression
target: pm2.5
adapter: sklearn.hist_gradient_boosting
exclude: ["No"]
time: [year, month, day, hour]
""",
}
ARMS = {"static": "never update", "always": "every batch", "policy": "standard policy"}


def backtest(name: str, data: Path, folder: Path) -> dict:
    """What ``tidegate backtest`` prints for one stream."""
    model = folder / f"{name}.yaml"
    model.write_text(STREAMS[name], encoding="utf-8")
    program = [sys.executable, "-m", "tidegate.apps.cli", "--json", "backtest"]
    options = ["--batch-rows", str(BATCH_ROWS)]
    done = subprocess.run(
        [*program, str(model), str(data / name), *options], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def table(found: dict[str, dict]) -> str:
    """The results as Markdown."""
    lines = [
        "| stream | batches | rows tested | metric | " + " | ".join(ARMS.values()) + " | refused |",
        "|---|---:|---:|---|" + "---:|" * (len(ARMS) + 1),
    ]
    for name, result in found.items():
        arms = [
            f"{result[arm]['score']:.4g} ({result[arm]['updates']} updates, "
            f"{result[arm]['seconds']:.0f} s)"
            for arm in ARMS
        ]
        lines.append(
            f"| {name} | {result['batches']} | {result['rows_tested']:,} | "
            f"{result['metric']['name']} {'↑' if result['metric']['greater_is_better'] else '↓'} | "
            f"{' | '.join(arms)} | {result['policy']['refused']} |"
        )
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return "\n".join(lines) + f"\n\nOne run, {machine}, {BATCH_ROWS} rows a batch, seed 0.\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    data = parser.parse_args().data
    missing = [name for name in STREAMS if not (data / name).exists()]
    if missing:
        sys.exit(f"{data} lacks {', '.join(missing)}: name the folder with --data")
    with tempfile.TemporaryDirectory() as scratch:
        results = {name: backtest(name, data, Path(scratch)) for name in STREAMS}
    write("backtest", table(results))
    print(table(results))
