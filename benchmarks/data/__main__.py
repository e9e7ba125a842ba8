"""Profiles and verdicts on two tables, here and at peers: ``make bench-data``.

One run on one machine: the files of each size are written once, and all arms read those same
files from the page cache in turn, each time in a new process. Writes the tables in
docs/benchmarks.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.data import tables
from benchmarks.data.sizes import SIZES, Size
from benchmarks.data.watch import ARMS, Arm, Found, beyond, run
from benchmarks.page import write

#: Runs of an arm that takes less than ``SHORT`` seconds; of a longer one, one says enough.
TIMES, SHORT = 3, 30.0
Results = dict[Size, dict[str, Found]]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def prepare(size: str, folder: Path) -> None:
    """The files of one size, and the profile of the reference, which is not timed."""
    subprocess.run([sys.executable, "-m", "benchmarks.data.files", folder, size], check=True)
    program = [sys.executable, "-m", "tidegate.apps.cli", "data", "profile"]
    files = [folder / "reference.parquet", "-o", folder / "reference.json"]
    subprocess.run([*program, *files], check=True, stdout=subprocess.DEVNULL)
    say(f"{SIZES[size].name}: files written")


def measure(
    arms: list[Arm], size: Size, before: Results, folder: Path, options: argparse.Namespace
) -> dict[str, Found]:
    """All arms on one size, in turn."""
    found: dict[str, Found] = {}
    for arm in arms:
        earlier = {other: done[arm.name] for other, done in before.items() if arm.name in done}
        why = beyond(size, earlier, options.limit) if arm.environment else ""
        found[arm.name] = Found(error=why)
    for pair in ["drifted"] * TIMES + ["same"]:
        for arm in arms:
            one = found[arm.name]
            long = pair == "drifted" and one.seconds and one.took() >= SHORT
            if one.error or long:
                continue
            reference = folder / ("reference.json" if arm.profiled else "reference.parquet")
            files = (reference, folder / f"{pair}.parquet")
            answer = run(arm, options.peers, files, options.limit)
            one.take(answer, pair)
            say(f"{size.name}: {arm.name}, {pair}: {answer}")
    return found


def main(options: argparse.Namespace) -> Results:
    options.scratch.mkdir(parents=True, exist_ok=True)
    arms = [arm for arm in ARMS if options.only in arm.name]
    if options.skip_peers:
        arms = [arm for arm in arms if not arm.environment]
    results: Results = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        for size in options.sizes:
            folder = Path(scratch) / size
            prepare(size, folder)
            results[SIZES[size]] = measure(arms, SIZES[size], results, folder, options)
            shutil.rmtree(folder)  # the largest need the room
    return results


def read(kept: Path) -> Results:
    """What an earlier run measured."""
    told = json.loads(kept.read_text())
    return {
        size: {arm: Found(**one) for arm, one in told[size.name].items()}
        for size in SIZES.values()
        if size.name in told
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv/peers-data"))
    parser.add_argument("--skip-peers", action="store_true", help="only what Tidegate's has")
    parser.add_argument("--only", default="", help="only arms with this in their name")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--limit", type=float, default=600, help="seconds an arm may take")
    parser.add_argument(
        "--scratch", type=Path, default=Path(".venv/bench"), help="a folder with 15 GB free"
    )
    parser.add_argument("--redraw", action="store_true", help="the tables of the last run again")
    options = parser.parse_args()
    options.peers, options.scratch = options.peers.absolute(), options.scratch.absolute()
    options.sizes = [size for size in SIZES if size in options.sizes]
    kept = options.scratch / "results-data.json"
    if options.redraw:
        found = read(kept)
    else:
        found = main(options)
        kept.write_text(json.dumps({
            size.name: {arm: asdict(one) for arm, one in arms.items()}
            for size, arms in found.items()
        }))  # fmt: skip
    text = tables.page(found, options.limit)
    if options.sizes == list(SIZES) and not (options.only or options.skip_peers):
        write("data", text)
    print(text)
