"""The tables of ``make bench-params`` in Markdown."""

import os
import platform
from itertools import pairwise
from statistics import mean, median

MIB = 1 << 20


def page(found: dict) -> str:
    """All tables, each with a line that says what it shows."""
    parts = [
        "What was to be reached, and what was:",
        _targets(found),
        "Every store on every workload: seconds to commit one version and to check one out "
        "(medians; in parentheses the slowest), and what a version after the first adds to the "
        "disk, as a share of its plain bytes:",
        _stores(found["stores"]),
        "Codecs alone, on the second version of 128 MiB fp32 and 64 MiB bf16, share of the plain "
        "bytes and GB/s in / out:",
        _codecs(found["codecs"]),
        "The machine's own limits:",
        _limits(found["limits"]),
        f"One run, {os.cpu_count()} cores, Python {platform.python_version()}.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _growth(arm: dict, raw: int) -> list[float]:
    """What each version after the first adds, as a share of the plain bytes."""
    sizes = arm["stored"]
    return [(new - old) / raw for old, new in pairwise(sizes)]


def _targets(found: dict) -> str:
    rows: list[list[str]] = []

    def row(workload: str, what: str, measured: float, bound: float, form: str, most: bool = True):
        met = measured <= bound if most else measured >= bound
        sign = "≤" if most else "≥"
        rows.append(
            [workload, what, f"{sign} {bound:{form}}", f"{measured:{form}}", "yes" if met else "no"]
        )

    same, tiny, hundred, one = (found[k] for k in ("identical", "tiny", "hundred", "one_of_200"))
    row("identical", "commit, of BLAKE3's time", same["commit"] / same["blake3"], 1.3, ".2f")
    for kind, stores in found["stores"].items():
        own, raw = stores["Tidegate"], stores["raw"]
        steps = own["commit"][1:]
        others = {name: arm for name, arm in stores.items() if isinstance(arm, dict)}
        faster = {
            name: median(arm["commit"][1:]) / median(steps)
            for name, arm in others.items()
            if arm["commit"][1:]
        }
        grew = mean(_growth(own, raw))
        if kind == "3 of 64 tensors":
            row(kind, "commit, times faster than DVC", faster["DVC"], 15, ".1f", most=False)
            row(kind, "commit, times faster than MLflow", faster["MLflow"], 1.5, ".1f", most=False)
            row(kind, "disk growth, of the changed bytes", grew * 64 / 3, 1.05, ".3f")
        if kind == "dense step, fp32":
            sizes = _growth(own, raw)
            row(kind, "stored, of raw (mean of ten)", grew, 0.50, ".4f")
            row(kind, "stored, of raw (one step from an anchor)", min(sizes), 0.50, ".4f")
            row(kind, "commit, times faster than DVC", faster["DVC"], 2.2, ".1f", most=False)
            both = zip(own["checkout"], others["DVC"]["checkout"], strict=True)
            slow = max(mine / theirs for mine, theirs in both)
            middle = median(own["checkout"]) / median(others["DVC"]["checkout"])
            row(kind, "checkout, of DVC's time (medians)", middle, 0.6, ".2f")
            row(kind, "checkout, of DVC's time (worst of ten)", slow, 0.6, ".2f")
        if kind == "one ULP, bf16":
            row(kind, "stored, of raw", grew, 0.085, ".4f")
        if kind.startswith("sd 1e-5"):
            bound = 1.85 if kind.endswith("fp32") else 8
            row(kind, "times smaller than raw", 1 / grew, bound, ".2f", most=False)
        if kind.startswith("optimiser"):
            best = min(
                mean(_growth(arm, raw))
                for name, arm in others.items()
                if name != "Tidegate" and arm["stored"][1:]
            )
            row(kind, "stored, of the smallest peer's bytes", grew / best, 1.0, ".2f")
    row("10,000 tensors of 1 KiB", "first commit, of one file's write + fsync",
        tiny["first"] / tiny["write"], 3, ".1f")  # fmt: skip
    row("10,000 tensors of 1 KiB", "next commit, of one file's write + fsync",
        tiny["next"] / tiny["write"], 3, ".1f")  # fmt: skip
    row("version 100 of 100", "checkout, of version 1's time",
        hundred["last"] / hundred["first"], 1.5, ".2f")  # fmt: skip
    row("slowest version of 100", "checkout, of version 1's time",
        hundred["slowest"] / hundred["first"], 1.5, ".2f")  # fmt: skip
    row("1 tensor of 200", "bytes read, of the tensor's and its chain's",
        one["read"] / (one["tensor"] + one["chain"]), 1.1, ".2f")  # fmt: skip
    for what, mib in found["memory"].items():
        row("memory, 8 GiB in 64 MiB tensors", f"{what}, MiB at the most", mib, 64 + 256, ".0f")
    return _table(["workload", "measured", "must reach", "reached", "met"], rows)


def _stores(found: dict) -> str:
    names = list(dict.fromkeys(n for kind in found.values() for n in kind if n != "raw"))
    rows = []
    for kind, stores in found.items():
        raw = stores["raw"]
        for name in names:
            arm = stores.get(name)
            if arm is None:
                continue
            if arm["error"]:
                rows.append([f"{kind} ({raw / MIB:.0f} MiB)", name, arm["error"][:60], "", "", ""])
                continue
            rows.append(
                [
                    f"{kind} ({raw / MIB:.0f} MiB)",
                    name,
                    f"{arm['commit'][0]:.2f}",
                    f"{median(arm['commit'][1:]):.2f} ({max(arm['commit'][1:]):.2f})",
                    f"{median(arm['checkout']):.2f} ({max(arm['checkout']):.2f})",
                    f"{mean(_growth(arm, raw)):.4f}",
                ]
            )
    return _table(["workload", "store", "first commit", "commit", "checkout", "adds"], rows)


def _codecs(found: dict) -> str:
    rows = []
    for kind, codecs in found.items():
        for name, told in codecs.items():
            speed = f"{told['in']:.2f} / {told['out']:.2f}"
            rows.append([kind, name, f"{told['share']:.4f}", speed])
    return _table(["workload", "codec", "share", "GB/s"], rows)


def _limits(found: dict) -> str:
    rows = []
    for name, seconds in found.items():
        size = 10 * MIB if name.startswith("10 MiB") else 512 * MIB
        told = name if name.startswith("10 MiB") else f"{name}, 512 MiB"
        rows.append([told, f"{seconds:.3f}", f"{size / seconds / 1e9:.2f}"])
    return _table(["what", "seconds", "GB/s"], rows)
