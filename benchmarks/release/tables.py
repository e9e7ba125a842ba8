"""The tables of ``make bench-release`` in Markdown."""

import os
import platform
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
from benchmarks.page import markdown
from benchmarks.release import arms
from benchmarks.release.bodies import BODIES
from benchmarks.release.turns import ALONE, CANARY

TENSOR = f"{CANARY}, one tensor"
#: What must be reached: times a peer's requests a second, by ours of the same form: a tensor a
#: column, or all of a row's values in one list, as the others take them.
TIMES = [("MLServer", TENSOR, 5.0), ("BentoML", TENSOR, 10.0), (arms.BARE.name, CANARY, 0.5),
         (arms.BARE_TENSOR.name, TENSOR, 0.5)]  # fmt: skip
#: Milliseconds; requests and switches; a share of the memory before.
ADDED_MS, ROLLBACK_MS, REQUESTS, SWITCHES, RSS_SHARE = 1.0, 50.0, 200_000, 100, 1.02


def versions(peers: Path) -> dict[str, str]:
    """What each peer's environment holds of what its file of requirements names."""
    found = {}
    for file in sorted((Path(__file__).parent / "peers").glob("*.txt")):
        python = peers / file.stem / "bin" / "python"
        if python.exists():
            lines = [line.strip() for line in file.read_text().splitlines()]
            names = [line.split("==")[0].split("[")[0] for line in lines if "==" in line]
            code = "import sys, importlib.metadata as m; " \
                "print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"  # fmt: skip
            done = subprocess.run([python, "-c", code, *names], capture_output=True, text=True)
            found[file.stem] = done.stdout.strip() or "not as its file says"
    return found


def page(found: dict) -> str:
    """All tables, each with a line that says what it shows."""
    amount = found["amount"]
    held = "; ".join(f"{name} ({told})" for name, told in found["versions"].items())
    parts = [
        reached(found),
        "Right answers a second, one row a request, one worker each; p50 and p99 in ms at that "
        "load. Every answer is read and checked, and one that is not right counts as failed:",
        every_arm(found),
        stickiness(found["tidegate"]),
        ceiling(found),
        "Latency at half of what the gateway answers in a canary, each request sent when it is due "
        "and its latency counted from then; of several runs by turns the middle one by p99, and "
        "the least and the most of it. *Processor* is the server's own, of which one process "
        "of Python has little more than one:",
        paced(found["added"]),
        "A rollback under full load, in milliseconds until the candidate's last answer. *Late* are "
        "answers by the candidate to requests that were sent after the call had returned:",
        rollbacks(found["rollbacks"]),
        "Versions switched under load: *wrong* are answers by a version that is neither the old "
        "nor the new one, and by the old one to requests sent after the new one had answered:",
        switching(found),
        f"{'A quick run' if amount['rounds'] == 1 else 'One run'}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, loopback, {amount['seconds']:.0f} s a measurement, the "
        f"middle one of {amount['rounds']}; those that a bound compares took turns, three for each "
        f"of these and as long together; {found['busy']:.1f} processes wanted a core before it "
        "began. What the peers ran on: "
        f"{held}.",
    ]
    return "\n\n".join(parts) + "\n"


def reached(found: dict) -> str:
    """What was to be reached, and what was."""
    rows = []

    def row(what: str, bound: str, reach: str, met: bool, *, enough: bool = True) -> None:
        rows.append([what, bound, reach, ("yes" if enough else "too few") if met else "no"])

    for peer, form, times in TIMES:
        own, theirs = found["tidegate"][form], found["peers"][peer]
        for at in map(str, arms.CONCURRENCY):
            what = f"requests a second, {form}, of {peer}'s, concurrency {at}"
            if "error" in theirs:
                row(what, f"≥ {times}", f"{peer} did not run", False)
                continue
            ratio = own[at]["good"] / theirs[at]["good"]
            row(what, f"≥ {times}", f"{ratio:.2f}", ratio >= times)
    added = found["added"]
    for beside in (ALONE, arms.BARE.name):
        if beside not in added:
            continue
        more = added[CANARY]["p99"] - added[beside]["p99"]
        row(f"p99 in a canary at half of peak load, ms more than {beside}", f"≤ {ADDED_MS}",
            f"{more:.2f}", more <= ADDED_MS)  # fmt: skip
    trials = found["rollbacks"]
    total = sum(one["requests"] for one in trials)
    wrong = sum(one["failed"] + one["late"] + one["foreign"] for one in trials)
    row(f"rollback: failed or misrouted, of {total:,} requests", f"0 of {REQUESTS:,}", str(wrong),
        wrong == 0, enough=total >= REQUESTS)  # fmt: skip
    last = quantile([one["from_call"] for one in trials], 0.99)
    row(f"rollback: call to last candidate answer, ms, 99th of {len(trials)}",
        f"≤ {ROLLBACK_MS:.0f}", f"{last:.0f}", last <= ROLLBACK_MS)  # fmt: skip
    some = found["switches"]["switches"]
    for what in ("failed", "wrong"):
        count = sum(one[what] for one in some)
        told = "answered by a wrong version" if what == "wrong" else "failed"
        row(f"{len(some)} switches: {told}", f"0 in {SWITCHES}", str(count),
            count == 0, enough=len(some) >= SWITCHES)  # fmt: skip
    grew = found["switches"]["rss_after"] / found["switches"]["rss_before"]
    row(f"{len(some)} switches: memory afterwards, of that before", f"≤ {RSS_SHARE}",
        f"{grew:.3f}", grew <= RSS_SHARE)  # fmt: skip
    return markdown(["measured", "must reach", "reached", "met"], rows)


def every_arm(found: dict) -> str:
    rows = []
    for name, arm in {**found["others"], **found["peers"], **found["tidegate"]}.items():
        if "error" in arm:
            rows.append([name, f"not run: {arm['error']}", *[""] * 6])
            continue
        cells = [name]
        for run in arm.values():
            cells += [f"{run['good']:,.0f}", f"{run['p50']:.2f} / {run['p99']:.2f}",
                      failures(run["failed"])]  # fmt: skip
        shares = arm["16"]["versions"]
        candidate = ""
        if len(shares) > 1:
            candidate = f"{shares[max(shares, key=int)] / sum(shares.values()):.1%}"
        rows.append([*cells, candidate])
    return markdown(["server", "at 16, /s", "p50 / p99", "failed", "at 64, /s", "p50 / p99",
                     "failed", "candidate's share"], rows)  # fmt: skip


def stickiness(own: dict) -> str:
    """Whether each entity stayed with one version."""
    runs = [run for name, arm in own.items() if name != ALONE and "error" not in arm
            for run in arm.values()]  # fmt: skip
    return (
        f"Of the {BODIES:,} entities in these canaries {max(run['moved'] for run in runs):,} were "
        "answered by both versions within one run."
    )


def failures(failed: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in failed.items()) or "0"


def ceiling(found: dict) -> str:
    """How far the load generator itself lies above the fastest server."""
    echo = found["others"][arms.ECHO.name]
    if "error" in echo:
        return "The echo did not run, so the load generator's own limit was not measured."
    told = []
    for at, run in echo.items():
        limit = run["requests"] / run["used"]
        told.append(f"{limit:,.0f} a second at {at} connections ({limit / run['good']:.1f} times "
                    "the echo)")  # fmt: skip
    return (
        "The load generator spends processor time on each request to the echo that would let it "
        f"send {' and '.join(told)}, were a core its own."
    )


def paced(added: dict) -> str:
    rows = []
    for name, run in added.items():
        rows.append([name, f"{run['rate']:,.0f}", f"{run['p50']:.2f}", f"{run['p99']:.2f}",
                     f"{run['least']:.2f} / {run['most']:.2f}",
                     f"{run['used'] / run['seconds']:.0%}",
                     f"{1e6 * run['used'] / run['requests']:.0f}", f"{run['requests']:,}",
                     failures(run["failed"])])  # fmt: skip
    return markdown(["server", "requests a second", "p50, ms", "p99, ms", "least / most",
                     "processor", "µs of it a request", "requests", "failed"], rows)  # fmt: skip


def rollbacks(trials: list[dict]) -> str:
    rows = []
    for key, told in (
        ("from_call", "call's start to last candidate answer"),
        ("from_return", "call's return to last candidate answer"),
        ("call", "the call itself"),
    ):
        values = [one[key] for one in trials]
        some = [f"{quantile(values, share):.0f}" for share in (0.5, 0.99, 1.0)]
        rows.append([told, *some])
    count = {key: sum(one[key] for one in trials) for key in
             ("requests", "failed", "late", "foreign", "by_candidate")}  # fmt: skip
    return markdown([f"{len(trials)} trials", "median", "99th", "most"], rows) + (
        f"\n\nOf {count['requests']:,} requests {count['by_candidate']:,} were answered by a "
        f"candidate; failed: {count['failed']:,}; late: {count['late']:,}; by any other version: "
        f"{count['foreign']:,}."
    )


def quantile(values: list, share: float) -> float:
    known = [value for value in values if value is not None]
    return float(np.quantile(known, share, method="higher")) if known else float("nan")


def switching(found: dict) -> str:
    rows, own = [], found["switches"]["switches"]
    for kind in dict.fromkeys(one["kind"] for one in own):
        some = [one for one in own if one["kind"] == kind]
        refused = Counter(one["refused"] for one in some if one["refused"])
        moved = [one["ms"] for one in some if one["moved"]]
        rows.append([
            f"Tidegate: {kind}", str(len(some)), str(len(moved)),
            f"{quantile(moved, 0.5):.0f} / {max(moved):.0f}" if moved else "",
            f"{sum(one['requests'] for one in some):,}",
            str(sum(one["failed"] for one in some)), str(sum(one["wrong"] for one in some)),
            f"{quantile([one['usual_p99'] for one in some], 0.5):.1f} / "
            f"{quantile([one['during_p99'] for one in some], 0.5):.1f}",
            failures(refused) if refused else "",
        ])  # fmt: skip
    peer = found["mlserver"]
    if "error" in peer:
        rows.append(["MLServer", f"not run: {peer['error']}", *[""] * 7])
    for kind in dict.fromkeys(one["kind"] for one in peer.get("switches", [])):
        some = [one for one in peer["switches"] if one["kind"] == kind]
        ms = [one["ms"] for one in some]
        rows.append([
            f"MLServer: {kind}, slow", str(len(some)), str(sum(o["status"] == 200 for o in some)),
            f"{quantile(ms, 0.5):.0f} / {max(ms):.0f}",
            f"{sum(one['requests'] for one in some):,}",
            str(sum(one["failed"] for one in some)), "not told", "", "",
        ])  # fmt: skip
    loads, mib = found["switches"]["loads"], found["switches"]
    return markdown(["switch", "ordered", "moved", "ms until the new one answers, median / most",
                     "requests", "failed", "wrong",
                     "p99 in ms, else / while switching", "refused as"], rows) + (
        "\n\nLoads in the gateway, by what they were told to be: "
        f"{', '.join(f'{count} {kind}' for kind, count in loads.items())}. The gateway's memory, "
        "at rest and with as many versions loaded, after a round of all kinds that is not counted: "
        f"{mib['rss_before']:.0f} MiB, after these switches: {mib['rss_after']:.0f} MiB."
    )  # fmt: skip
