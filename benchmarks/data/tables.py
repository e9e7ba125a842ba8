"""The tables of ``make bench-data`` in Markdown."""

import os
import platform

from benchmarks.data.sizes import DRIFTS, SIZES, Size
from benchmarks.data.watch import ARMS, HERE, MEMORY, Found, over

OWN, COMMAND = "Tidegate", "`tidegate data compare`"
PROFILED = ", reference profiled"
DECODING = ("decoding alone, pyarrow", "decoding alone, polars")
#: "In proportion" is met up to this factor: two runs of one arm differ by as much.
IN_PROPORTION = 1.10
Results = dict[Size, dict[str, Found]]


def page(results: Results, limit: float) -> str:
    """All tables, each with a line that says what it shows."""
    parts = [
        "What was to be reached, and what was: in process, as the peers are measured, and by the "
        "program, its start included. The last column tells what would be reached here by one "
        "that decodes the Parquet, with the faster library, and does nothing else.",
        _targets(results, limit),
        "Every arm: seconds on the pair that drifted (median of three where it takes less than 30 "
        "s), the same as a multiple of decoding alone, and the most memory of its process in MB; "
        "columns flagged where none drifted, and those missed of the "
        f"{len(DRIFTS)} that drifted:",
        _arms(results),
        f"One run, {os.cpu_count()} cores, {MEMORY / 1e9:.0f} GB of memory, "
        f"Python {platform.python_version()}; an arm is ended after {limit:.0f} s. "
        f"What the peers ran on: {_versions()}.",
    ]
    return "\n\n".join(parts) + "\n"


def _versions() -> str:
    """What the peers' environments were made of."""
    told = []
    for path in sorted(HERE.glob("*.txt")):
        pins = [line.split("  #")[0].replace("==", " ") for line in path.read_text().splitlines()]
        told.append(f"{path.stem} ({', '.join(pins)})")
    return "; ".join(told)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _decoding(arms: dict[str, Found]) -> Found | None:
    """The faster way to do nothing but decode."""
    done = [arms[name] for name in DECODING if name in arms and arms[name].seconds]
    return min(done, key=Found.took, default=None)


class _Targets:
    """The rows of what was to be reached."""

    def __init__(self, limit: float):
        self._limit, self.rows = limit, []

    def row(
        self, size: Size, what: str, bound: str, cells: list[tuple[float, bool] | None]
    ) -> None:
        """``bound`` as in "≥ 5.0"; of each cell the figure, and whether the truth is beyond it."""
        sign, value = bound.split()
        decimals = len(value.partition(".")[2])

        def met(cell: tuple[float, bool] | None) -> str:
            if cell is None:
                return "not measured"
            if (cell[0] >= float(value)) == (sign == "≥"):
                return "yes"
            return "not known" if cell[1] else "no"

        shown = ["" if c is None else f"{'> ' if c[1] else ''}{c[0]:,.{decimals}f}" for c in cells]
        own, program, decoding = shown
        self.rows.append([size.name, what, bound, own, met(cells[0]), program, decoding])

    def faster(
        self, size: Size, arms: dict[str, Found], peer: str, bound: str, *, profiled: bool = False
    ) -> None:
        """``profiled``: with half the files to read, in half the time."""
        theirs = arms.get(peer)
        cells = []
        end = PROFILED if profiled else ""
        for mine in (arms.get(OWN + end), arms.get(COMMAND + end), _decoding(arms)):
            if not (theirs and mine and mine.seconds):
                cells.append(None)
            elif theirs.seconds:
                cells.append((theirs.took() / mine.took(), False))
            else:  # ended at the limit, so it would have taken longer
                ended = theirs.error == over(self._limit)
                cells.append((self._limit / mine.took(), True) if ended else None)
        what = "times faster with the reference profiled than" if profiled else "times faster than"
        if profiled and cells[2]:
            cells[2] = (2 * cells[2][0], cells[2][1])
        self.row(size, f"{what} {peer}", bound, cells)

    def memory(self, size: Size, arms: dict[str, Found], bound: str) -> None:
        found = [arms.get(OWN), arms.get(COMMAND), _least(arms)]
        cells = [(one.peak_bytes / 1e6, False) if one and one.peak_bytes else None for one in found]
        self.row(size, "memory at the most, MB", bound, cells)

    def profiled(self, size: Size, arms: dict[str, Found]) -> None:
        """One file of two is read; decoding it takes half of what both take."""
        cells: list[tuple[float, bool] | None] = []
        for name in (OWN, COMMAND):
            both, one = arms.get(name), arms.get(name + PROFILED)
            done = both and one and both.seconds and one.seconds
            cells.append((one.took() / both.took(), False) if done else None)
        what = "time with the reference profiled, of the time with both read"
        self.row(size, what, "≤ 0.50", [*cells, (0.5, False)])

    def proportion(self, size: Size, arms: dict[str, Found], small: Size, before: dict) -> None:
        cells: list[tuple[float, bool] | None] = []
        for pick in (lambda a: a.get(OWN), lambda a: a.get(COMMAND), _decoding):
            now, then = pick(arms), pick(before)
            done = now and then and now.seconds and then.seconds
            times = size.cells / small.cells
            cells.append((now.took() / then.took() / times, False) if done else None)
        other = small.name.partition(",")[0] if small.columns == size.columns else small.name
        what = f"time a cell, of that with {other}"
        self.row(size, what, f"≤ {IN_PROPORTION:.2f}", cells)


def _least(arms: dict[str, Found]) -> Found | None:
    done = [arms[name] for name in DECODING if name in arms and arms[name].peak_bytes]
    return min(done, key=lambda one: one.peak_bytes, default=None)


def _targets(results: Results, limit: float) -> str:
    targets = _Targets(limit)
    million, large, wide = SIZES["1M"], SIZES["10M"], SIZES["wide"]
    before = results.get(million, {})
    if before:
        for peer, bound in (
            ("Evidently", "≥ 100"), ("NannyML", "≥ 5.0"), ("scipy, column by column", "≥ 2.0")
        ):  # fmt: skip
            targets.faster(million, before, peer, bound)
        targets.memory(million, before, "≤ 600")
        for peer, bound in (
            ("Evidently", "≥ 200"), ("NannyML", "≥ 10.0"), ("scipy, column by column", "≥ 4.0")
        ):  # fmt: skip
            targets.faster(million, before, peer, bound, profiled=True)
        targets.profiled(million, before)
    if large in results:
        targets.proportion(large, results[large], million, before)
        targets.memory(large, results[large], "≤ 1500")
    if wide in results:
        targets.proportion(wide, results[wide], SIZES["100k"], results.get(SIZES["100k"], {}))
        targets.proportion(wide, results[wide], million, before)
    head = ["workload", "measured", "must reach", "in process", "met", "program", "decoding alone"]
    return _table(head, targets.rows)


def _arms(results: Results) -> str:
    rows = []
    for size, arms in results.items():
        least = _decoding(arms)
        for name in (arm.name for arm in ARMS if arm.name in arms):
            rows.append([size.name, name, *_cells(arms[name], least)])
    head = ["tables", "arm", "seconds", "of decoding", "MB", "false flags", "missed"]
    return _table(head, rows)


def _cells(one: Found, least: Found | None) -> list[str]:
    if not one.seconds:
        return [one.error[:90], "", "", "", ""]
    counts = [
        one.error[:90] if one.same is None else str(len(one.same)),
        "" if one.drifted is None else str(one.missed()),
    ]
    ratio = f"{one.took() / least.took():.1f}" if least else ""
    return [f"{one.took():.2f}", ratio, f"{one.peak_bytes / 1e6:,.0f}", *counts]
