"""An arm at work in a process of its own, watched: for how long, and with how much memory."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.data.sizes import DRIFTED, Size

HERE = Path(__file__).parent
PAGE = os.sysconf("SC_PAGE_SIZE")
MEMORY = os.sysconf("SC_PHYS_PAGES") * PAGE
#: Past this share of the machine's memory an arm is ended, before the system ends something else.
MOST = 0.75
#: Memory to touch before each run: what all but the largest arms use.
TOUCHED = 1 << 31


@dataclass(frozen=True)
class Arm:
    """Who is measured: a function in ``arms.py``, and the environment it runs in."""

    name: str
    work: str
    environment: str = ""  # a peer's; Tidegate's own where it is empty
    profiled: bool = False  # given the reference's profile in place of its rows


ARMS = [
    Arm("Tidegate", "tidegate"),
    Arm("Tidegate, reference profiled", "tidegate", profiled=True),
    Arm("`tidegate data compare`", "command"),
    Arm("`tidegate data compare`, reference profiled", "command", profiled=True),
    Arm("decoding alone, pyarrow", "pyarrow"),
    Arm("decoding alone, polars", "polars"),
    Arm("scipy, column by column", "scipy", "scipy"),
    Arm("alibi-detect", "alibi_detect", "alibi-detect"),
    Arm("NannyML", "nannyml", "nannyml"),
    Arm("whylogs", "whylogs", "whylogs"),
    Arm("Evidently", "evidently", "evidently"),
]


@dataclass
class Found:
    """What one arm did at one size; ``error`` says why there is no more.

    ``drifted`` and ``same``: what it flagged in either pair; None where it judges nothing.
    """

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    drifted: list[str] | None = None
    same: list[str] | None = None
    error: str = ""

    def took(self) -> float:
        return median(self.seconds)

    def missed(self) -> int | None:
        return None if self.drifted is None else len(DRIFTED - set(self.drifted))

    def take(self, answer: dict, pair: str) -> None:
        """Keep one answer, or why there is none."""
        self.error = answer.get("error", "")
        if self.error:
            return
        self.peak_bytes = max(self.peak_bytes, answer["peak_bytes"])
        setattr(self, pair, answer["flagged"])
        if pair == "drifted":
            self.seconds.append(answer["seconds"])


def beyond(size: Size, before: dict[Size, Found], limit: float) -> str:
    """Why a peer that did smaller tables is not even started on this one; empty where it is.

    All hold both tables in memory, so that what they take grows in proportion at least.
    """
    for smaller, found in before.items():
        if not size.holds(smaller):
            continue
        times = f"not run: {size.cells / smaller.cells:.0f} times {smaller.name}"
        if found.error:
            return f"not run: see {smaller.name}"
        if found.took() * size.cells / smaller.cells > limit:
            return f"{times} takes more than {limit:.0f} s"
        if found.peak_bytes * size.cells / smaller.cells > MOST * MEMORY:
            return f"{times} needs more than {MOST * MEMORY / 1e9:.0f} GB of memory"
    return ""


def run(arm: Arm, peers: Path, files: tuple[Path, Path], limit: float) -> dict:
    """The arm's answer, or why there is none."""
    warm(files)
    program = peers / arm.environment / "bin/python" if arm.environment else sys.executable
    order = [program, "-P", HERE / "arms.py", arm.work, *files]
    process = subprocess.Popen(
        order, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    ended = watch(process, limit)
    said = process.communicate()[0]
    if ended:
        return {"error": ended}
    return json.loads(said) if said else {"error": f"it ended with code {process.returncode}"}


def warm(files: tuple[Path, Path]) -> None:
    """Read the files into the page cache; touch memory that a virtual machine may have handed back.

    In a process of its own: what this one has used, Linux counts as used by those that it starts.
    """
    work = (
        "import sys\n"
        "for path in sys.argv[1:]:\n"
        "    with open(path, 'rb') as file:\n"
        "        while file.read(1 << 24): pass\n"
        f"b'1' * {TOUCHED}\n"
    )
    subprocess.run([sys.executable, "-c", work, *files], check=True)


def watch(process: subprocess.Popen, limit: float) -> str:
    """Wait for its end, or end it for the time or the memory it takes and say so."""
    began = time.monotonic()
    while True:
        try:
            process.wait(0.2)
            return ""
        except subprocess.TimeoutExpired:
            if time.monotonic() - began > limit:
                ended = over(limit)
            elif _held(process.pid) > MOST * MEMORY:
                ended = f"> {MOST * MEMORY / 1e9:.0f} GB of memory"
            else:
                continue
        os.killpg(process.pid, signal.SIGKILL)
        return ended


def over(limit: float) -> str:
    """What is said of an arm that was ended for the time it took."""
    return f"> {limit:.0f} s"


def _held(pid: int) -> int:
    """Bytes of memory that a process holds; 0 once it has ended."""
    told = Path(f"/proc/{pid}/statm").read_text().split()
    return int(told[1]) * PAGE
