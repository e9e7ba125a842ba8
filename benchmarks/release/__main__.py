"""The gateway under load beside other model servers: ``make bench-release``.

One run on one machine, one worker a server, over loopback. Every answer is read and checked.
Writes the tables in docs/benchmarks.md; ``--quick`` measures less of everything.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import write
from benchmarks.release import (
    arms,
    bodies,
    canary,
    rollback,
    servers,
    switches,
    tables,
    trying_adapter,
    turns,
)


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    seconds: float
    rounds: int
    rollbacks: int
    switches: int
    reloads: int


FULL = Amount(seconds=6.0, rounds=3, rollbacks=100, switches=100, reloads=10)
QUICK = Amount(seconds=2.0, rounds=1, rollbacks=5, switches=10, reloads=2)
PARTS = ("peers", "tidegate", "rollback", "switches")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measured(options: argparse.Namespace, folder: Path, found: dict) -> None:
    """Everything asked for, put into ``found``."""
    amount = QUICK if options.quick else FULL
    env = trying_adapter.install(folder / "announced")
    load = servers.Load()
    bench = arms.Bench(
        load=load, bodies=bodies.written(folder), folder=folder, peers=options.peers,
        plain=bodies.expected_labels(folder), labels=bodies.labels_file(folder),
        seconds=amount.seconds, rounds=amount.rounds, say=say,
    )  # fmt: skip
    found |= {
        "amount": vars(amount),
        "busy": os.getloadavg()[0],
        "versions": tables.versions(options.peers),
    }
    try:
        if "peers" in options.only:
            found["others"] = arms.peers(bench)
            found["mlserver"] = switches.of_mlserver(bench, amount.reloads)
        if "tidegate" in options.only or "rollback" in options.only:
            house = canary.House(folder)
            champion = house.released(0)
            if "tidegate" in options.only:
                (folder / "alone").mkdir()
                alone = canary.House(folder / "alone")
                alone.released(0)
                found |= turns.measured(bench, house, alone)
                alone.close()
            if "rollback" in options.only:
                found["rollbacks"] = rollback.trials(bench, house, champion, amount.rollbacks)
            house.close()
        if "switches" in options.only:
            own = folder / "switches"
            own.mkdir()
            found["switches"] = switches.Switching(bench, own, env).go(amount.switches)
    finally:
        load.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv/peers-release"))
    parser.add_argument("--quick", action="store_true", help="less of everything, in minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS,
                        help="measure these; nothing is written")  # fmt: skip
    parser.add_argument("--scratch", type=Path, default=Path(".venv/bench"))
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    results = options.scratch / "release.json"
    found = json.loads(results.read_text()) if options.only != PARTS and results.exists() else {}
    with tempfile.TemporaryDirectory(dir=options.scratch.resolve()) as scratch:
        try:
            measured(options, Path(scratch), found)
        finally:
            results.write_text(json.dumps(found))
    if options.only == PARTS:
        text = tables.page(found)
        write("release", text)
        print(text)
    elif "rollback" in options.only:
        print(tables.rollbacks(found["rollbacks"]))
