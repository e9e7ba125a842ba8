"""Updates by policy, against fixed schedules and River, on real streams: ``make bench-training``.

One run on one machine. Writes the tables in docs/benchmarks.md; the streams are not part of the
repository (see ``--data``), and River lives in an environment of its own.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.page import ROOT, markdown, write
from benchmarks.training import forgetting, overhead, streams

RIVER = {"River, adaptive random forest": "forest", "River, Hoeffding adaptive tree": "tree"}
#: Of full retraining's accuracy, of always's updates and time, of a bare fit's time.
POINTS, UPDATES, COMPUTE, OVERHEAD = 0.02, 1 / 3, 1 / 2, 1.05


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def river(name: str, python: Path, data: Path) -> dict[str, dict]:
    found = {}
    script = Path(__file__).with_name("river_arm.py")
    for arm, kind in RIVER.items():
        done = subprocess.run(
            [python, script, kind, name, data / name], stdout=subprocess.PIPE, check=True
        )
        found[arm] = json.loads(done.stdout)
        say(f"{name}: {arm}: {found[arm]}")
    return found


def greater(name: str) -> bool:
    return streams.STREAMS[name]["task"] != "regression"


def reached(replays: dict, peers: dict, digits: dict, added: dict) -> str:
    """What was to be reached, and what was."""
    rows = []

    def row(what: str, measured: str, bound: str, value: float, met: bool, digits: int = 3) -> None:
        rows.append([what, measured, bound, f"{value:.{digits}f}", "yes" if met else "no"])

    for name, arms in replays.items():
        policy, up = arms["standard policy"], greater(name)
        best = (max if up else min)(arms[arm]["score"] for arm in streams.FIXED)
        sign = "≥" if up else "≤"
        better = policy["score"] >= best if up else policy["score"] <= best
        row(name, "score, against the best fixed schedule's", f"{sign} {best:.3f}",
            policy["score"], better)  # fmt: skip
        for arm, done in peers[name].items():
            above = policy["score"] > done["score"] if up else policy["score"] < done["score"]
            row(
                name, f"score, against {arm}", f"{sign} {done['score']:.3f}", policy["score"], above
            )
        full = arms["always, on all data"]
        share = policy["updates"] / full["updates"]
        row(name, "updates, of always", f"≤ {UPDATES:.2f}", share, share <= UPDATES, 2)
        spent = policy["updating"] / full["updating"]
        row(name, "seconds in updates, of always on all data", f"≤ {COMPUTE:.2f}", spent,
            spent <= COMPUTE, 2)  # fmt: skip
    whole = digits["full update"]
    for arm in list(digits)[2:]:
        one = digits[arm]
        least = whole["accuracy"] - POINTS
        row("digits", f"accuracy, {arm}, {one['steps']} of {whole['steps']} steps",
            f"≥ {least:.3f}", one["accuracy"], one["accuracy"] >= least)  # fmt: skip
    for name, one in added.items():
        ratio = median(x / y for x, y in zip(one["tidegate"], one["bare"], strict=True))
        bare = median(one["bare"])
        told = f"time, of the bare fit's ({bare:.1f} s), median of {len(one['bare'])} pairs"
        row(name, told, f"≤ {OVERHEAD:.2f}", ratio, ratio <= OVERHEAD, 2)
    return markdown(["on", "measured", "must reach", "reached", "met"], rows)


def every_arm(replays: dict, peers: dict) -> str:
    rows = []
    for name, arms in replays.items():
        for arm, done in [*arms.items(), *peers[name].items()]:
            rows.append([
                name, arm, f"{done['score']:.4g}", str(done.get("updates", "every row")),
                f"{done.get('updating', done['seconds']):.1f}", str(done.get("refused", "")),
            ])  # fmt: skip
    return markdown(["stream", "arm", "score", "updates", "seconds in updates", "refused"], rows)


def page(replays: dict, peers: dict, digits: dict, added: dict) -> str:
    parts = [
        reached(replays, peers, digits, added),
        "Every arm on every stream: accuracy on `electricity.csv` (more is better), mean absolute "
        "error on the others (less is better). River's seconds are those of the whole replay, as "
        "it learns row by row:",
        every_arm(replays, peers),
        "Digits, by classes:",
        markdown(
            ["digits", "steps", "accuracy", "on 0 to 4", "on 5 to 9"],
            [
                [arm, str(one["steps"]), f"{one['accuracy']:.3f}", f"{one['first']:.3f}",
                 f"{one['second']:.3f}"]
                for arm, one in digits.items()
            ],
        ),
        f"One run, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{streams.BATCH_ROWS} rows a batch, seed 0.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--river", type=Path, default=Path(".venv/river/bin/python"))
    options = parser.parse_args()
    missing = [name for name in streams.STREAMS if not (options.data / name).exists()]
    if missing:
        sys.exit(f"{options.data} lacks {', '.join(missing)}: name the folder with --data")
    replays = {name: streams.replayed(name, options.data, say) for name in streams.STREAMS}
    peers = {name: river(name, options.river, options.data) for name in streams.STREAMS}
    text = page(replays, peers, forgetting.measured(say), overhead.measured(say))
    write("training", text)
    print(text)
