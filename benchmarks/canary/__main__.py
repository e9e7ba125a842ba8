"""Rules that end a canary, on simulated traffic: ``make bench-canary``.

Writes the section in docs/benchmarks.md, and docs/canary.svg; needs no other environment.
"""

import argparse
import sys
import time

import numpy as np
from benchmarks.canary import picture, plans, rows, tables
from benchmarks.page import ROOT, write

#: How often the candidate of a plan is wrong, as a multiple of the champion's.
CANDIDATES = {
    "a fifth fewer wrong answers": 0.8,
    "as good": 1.0,
    "wrong as often as the margin allows": 1 + plans.MARGIN,
}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def results(runs: int) -> dict[str, dict[str, rows.Outcome]]:
    cells = {name: (rates, "errors") for name, rates in rows.NULL.items()}
    found = {}
    for name, (rates, signal) in {**cells, **rows.HARM}.items():
        shown = "labels" if rates.late else signal
        found[name] = rows.measured(rates, shown, runs)
        ours = found[name][tables.OURS]
        say(f"{name}: {ours.stopped:.2f} of 100, {ours.delay:.0f} s, {ours.suffered:.0f} harmed")
    return found


def shadowed(runs: int) -> dict[str, float]:
    paired, split = plans.shadow(runs, 1), plans.split(runs, 2)
    return {
        "paired": float(np.median(paired)),
        "paired found": 100 * float(np.isfinite(paired).mean()),
        "split": float(np.median(split)),
        "split found": 100 * float(np.isfinite(split).mean()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="runs a cell")
    parser.add_argument("--dry", action="store_true", help="print, and leave the page alone")
    options = parser.parse_args()
    found = results(options.runs)
    held = {
        name: plans.held(ratio, options.runs, seed)
        for seed, (name, ratio) in enumerate(CANDIDATES.items())
    }
    text = tables.page(found, held, shadowed(options.runs), options.runs)
    if not options.dry:
        write("canary", text)
        (ROOT / "docs" / "canary.svg").write_text(picture.drawn(found), encoding="utf-8")
    print(text)
