"""The tables of ``make bench-params`` in Markdown."""

import os
import platform
from itertools import pairwise
from statistics import mean, median

MIB = 1 << 20


def page(found: dict) -> str:
    """All tables, each with a line that says what it shows."""
    parts = [
        "What was to be reached, and what was. The last column tells what would be reached here by "
        "a store that only does what no store can leave out: hash all bytes (commits; of a dense "
        "step, also decode the version before and code the new one with the fastest codec below), "
        "write all bytes (checkout), derive the ids (tiny tensors).",
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


class _Targets:
    """The rows of what was to be reached."""

    def __init__(self, found: dict):
        self._found, self.rows = found, []
        limits = found["limits"]
        self._hashing, self._writing = limits["BLAKE3, all cores"], limits["disk write"]

    def row(
        self, workload: str, what: str, measured: float, bound: float, form: str, *,
        most: bool = True, limit: float | None = None,
    ):  # fmt: skip
        met = measured <= bound if most else measured >= bound
        told = "" if limit is None else f"{limit:{form}}"
        reach = f"{'≤' if most else '≥'} {bound:{form}}"
        self.rows.append(
            [workload, what, reach, f"{measured:{form}}", "yes" if met else "no", told]
        )

    def store(self, kind: str, stores: dict) -> None:
        own, raw = stores["Tidegate"], stores["raw"]
        others = {name: arm for name, arm in stores.items() if isinstance(arm, dict)}
        if kind == "3 of 64 tensors":
            self._faster(kind, others, "DVC", 15, self._hashing)
            self._faster(kind, others, "MLflow", 1.5, self._hashing)
            grew = mean(_growth(own, raw))
            self.row(kind, "disk growth, of the changed bytes", grew * 64 / 3, 1.05, ".3f")
        elif kind == "dense step, fp32":
            self._sizes(kind, own, raw, 0.50)
            coding = _coding(self._found["codecs"][kind], raw)
            self._faster(kind, others, "DVC", 2.2, self._hashing + coding)
            self._checkouts(kind, own["checkout"], others["DVC"]["checkout"])
        elif kind == "one ULP, bf16":
            self._sizes(kind, own, raw, 0.085)
        elif kind.startswith("sd 1e-5"):
            bound = 1.85 if kind.endswith("fp32") else 8
            grew = _growth(own, raw)
            for told, share in (("one step", min(grew)), ("mean of ten", mean(grew))):
                what = f"times smaller than raw, {told}"
                self.row(kind, what, 1 / share, bound, ".2f", most=False)
        elif kind.startswith("optimiser"):
            best = min(
                mean(_growth(arm, raw))
                for name, arm in others.items()
                if name != "Tidegate" and arm["stored"][1:]
            )
            share = mean(_growth(own, raw)) / best
            self.row(kind, "stored, of the smallest peer's bytes", share, 1.0, ".2f")

    def own(self) -> None:
        tiny, hundred, one = (self._found[k] for k in ("tiny", "hundred", "one_of_200"))
        for which in ("first", "next"):
            what = f"{which} commit, of one file's write + fsync"
            limit = tiny["ids"] / tiny["write"]
            ratio = tiny[which] / tiny["write"]
            self.row("10,000 tensors of 1 KiB", what, ratio, 3, ".1f", limit=limit)
        for which, name in (
            ("released", "version 100 of 100, released"),
            ("last", "version 100 of 100, as committed"),
            ("slowest", "slowest version of 100"),
        ):
            self.row(name, "checkout, of version 1's time", hundred[which], 1.5, ".2f")
        read = one["read"] / (one["tensor"] + one["chain"])
        self.row("1 tensor of 200", "bytes read, of the tensor's and its chain's", read, 1.1, ".2f")
        for what, mib in self._found["memory"].items():
            name = "memory, 8 GiB in 64 MiB tensors"
            self.row(name, f"{what}, MiB at the most", mib, 64 + 256, ".0f")

    def _faster(self, kind: str, arms: dict, peer: str, bound: float, least: float) -> None:
        """Commits against a peer's; ``least`` are the seconds that no store can do without."""
        mine, theirs = (median(arms[name]["commit"][1:]) for name in ("Tidegate", peer))
        what = f"commit, times faster than {peer}"
        self.row(kind, what, theirs / mine, bound, ".1f", most=False, limit=theirs / least)

    def _sizes(self, kind: str, own: dict, raw: int, bound: float) -> None:
        grew = _growth(own, raw)
        for told, share in (("one step", min(grew)), ("mean of ten", mean(grew))):
            self.row(kind, f"stored, of raw, {told}", share, bound, ".4f")

    def _checkouts(self, kind: str, mine: list[float], theirs: list[float]) -> None:
        limit = self._writing / median(theirs)
        worst = max(a / b for a, b in zip(mine, theirs, strict=True))
        for told, ratio in (("medians", median(mine) / median(theirs)), ("worst of ten", worst)):
            self.row(kind, f"checkout, of DVC's time, {told}", ratio, 0.6, ".2f", limit=limit)


def _targets(found: dict) -> str:
    targets, same = _Targets(found), found["identical"]
    ratio = same["commit"] / same["blake3"]
    targets.row("identical", "commit, of BLAKE3's time", ratio, 1.3, ".2f", limit=1.0)
    for kind, stores in found["stores"].items():
        targets.store(kind, stores)
    targets.own()
    head = ["workload", "measured", "must reach", "reached", "met", "this machine's limit"]
    return _table(head, targets.rows)


def _coding(codecs: dict, size: int) -> float:
    """Seconds to decode one version and code the next, with the fastest codec as small as ours."""
    own = codecs["Tidegate, chosen by block"]["share"]
    return min(
        size / 1e9 * (1 / told["in"] + 1 / told["out"])
        for told in codecs.values()
        if told["share"] <= own * 1.01
    )


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
