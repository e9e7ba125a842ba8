"""The section of docs/benchmarks.md."""

import os
import platform
from collections.abc import Mapping

import numpy as np
from benchmarks.canary import plans
from benchmarks.canary.rows import HARM, NULL, Outcome
from benchmarks.canary.rules import ALPHA
from benchmarks.canary.world import RATE, SHARE
from benchmarks.page import markdown

OURS = "Tidegate"
Results = Mapping[str, Mapping[str, Outcome]]

#: False stops of a hundred up to which a rule is one to compare with.
KEEPS = 5.0
#: How much longer than the plan's minimum a better candidate may wait.
HELD = 0.2


def _cell(number: float, digits: int = 1) -> str:
    return "never" if not np.isfinite(number) else f"{number:,.{digits}f}"


def kept(results: Results, *, sticky: bool) -> list[str]:
    """Rules of others that stop falsely at most 5 times of 100 in every row without harm.

    Where not ``sticky``, the row of sticky entities is left out.
    """
    peers = [rule for rule in results["0.5% errors"] if not rule.startswith(OURS)]
    rows = [row for row, rates in NULL.items() if not rates.late and sticky >= rates.sticky]
    return [rule for rule in peers if all(results[row][rule].stopped <= KEEPS for row in rows)]


def reached(results: Results, held: Mapping[str, plans.Held], shadow: Mapping[str, float]) -> str:
    """What was to be reached, and what was."""
    rows: list[list[str]] = []

    def row(on: str, what: str, bound: str, value: str, met: bool) -> None:
        rows.append([on, what, bound, value, "yes" if met else "no"])

    for name in NULL:
        false = results[name][OURS].stopped
        row(name, "stopped falsely, of 100", f"≤ {100 * ALPHA:g}", _cell(false, 2),
            false <= 100 * ALPHA)  # fmt: skip
    fair = kept(results, sticky=True) or kept(results, sticky=False)
    for name in HARM:
        ours = results[name][OURS]
        row(name, "found, of 100", "≥ 99", _cell(ours.stopped, 2), ours.stopped >= 99)
        least = min(results[name][rule].suffered for rule in fair)
        row(name, "requests harmed at the median, against the best of the quiet rules below",
            f"< {least:,.0f}", _cell(ours.suffered, 0), ours.suffered < least)  # fmt: skip
    more = results[_LATE][OURS].stops - results["accuracy 5 points worse"][OURS].stops
    delay, late = 10_000 / RATE, float(np.median(more[np.isfinite(more)]))
    row("labels 10,000 requests late", "seconds more until found, at the median of the same runs",
        f"{delay:g} ± 10%", _cell(late, 0), abs(late - delay) <= 0.1 * delay)  # fmt: skip
    better = held["a fifth fewer wrong answers"]
    within = 100 * float(np.mean(better.late <= HELD))
    row("a candidate that is better", "promoted within the plan's minimum plus 20%, of 100",
        "100", _cell(within, 2), within == 100)  # fmt: skip
    worse = 100 * held["wrong as often as the margin allows"].promoted
    row("a candidate at the margin", "promoted all the same, of 100", f"≤ {100 * ALPHA:g}",
        _cell(worse, 2), worse <= 100 * ALPHA)  # fmt: skip
    row("shadow, 0.88 to 0.85", "labels at the median, against a 5% split",
        f"< {shadow['split']:,.0f}", _cell(shadow["paired"], 0),
        shadow["paired"] < shadow["split"])  # fmt: skip
    return markdown(["on", "measured", "must reach", "reached", "met"], rows)


_LATE = "accuracy 5 points worse, labels 10,000 requests late"


def every_rule(results: Results) -> str:
    """Every rule on every row: false stops first, then what was found and at what price."""
    names = list(dict.fromkeys(rule for row in results.values() for rule in row))
    alike = [
        [rule, *[_of(results[row], rule, lambda o: _cell(o.stopped)) for row in NULL]]
        for rule in names
    ]
    harm = [[rule, *[_of(results[row], rule, _found) for row in HARM]] for rule in names]
    return "\n\n".join([
        "Stopped within the hour though nothing was wrong, of 100 runs:",
        markdown(["rule", *NULL], alike),
        "Found within the hour, of 100 runs; seconds until then at the median; bad answers that "
        "the candidate gave until then at the median:",
        markdown(["rule", *HARM], harm),
    ])  # fmt: skip


def _of(row: Mapping[str, Outcome], rule: str, told) -> str:
    return told(row[rule]) if rule in row else ""


def _found(one: Outcome) -> str:
    return f"{_cell(one.stopped)}; {_cell(one.delay, 0)} s; {_cell(one.suffered, 0)}"


def releases(held: Mapping[str, plans.Held]) -> str:
    """How releases by a plan went."""
    rows = []
    for name, one in held.items():
        late = one.late[np.isfinite(one.late)]
        most = f"{100 * late.max():.0f}%" if late.size else ""
        rows.append([name, _cell(100 * one.promoted, 2), _cell(100 * one.stopped, 2),
                     _cell(100 * float(np.mean(one.late <= HELD)), 2), most])  # fmt: skip
    return markdown(
        ["candidate", "promoted, of 100", "stopped, of 100", "promoted within +20%, of 100",
         "longest beyond the minimum, of those promoted"], rows,
    )  # fmt: skip


def page(
    results: Results, held: Mapping[str, plans.Held], shadow: Mapping[str, float], runs: int
) -> str:
    """The whole section."""
    quiet = ", ".join(kept(results, sticky=True)) or "none"
    nearly = "; ".join(kept(results, sticky=False)) or "none"
    least = ", ".join(f"{labels:,}" for labels in plans.minimum())
    return "\n\n".join([
        reached(results, held, shadow),
        f"Rules of others that stop falsely in at most {KEEPS:g} of 100 runs in every row without "
        f"harm: {quiet}. In every such row but that of sticky entities: {nearly}. Against the best "
        "of the former, or of the latter where there is none, harm is compared above.",
        every_rule(results),
        f"Releases by a plan of three steps ({', '.join(f'{s:.0%}' for s in plans.SHARES)}), which "
        f"ask for {least} labels; the champion is wrong on {plans.WRONG:.0%}, and the candidate "
        f"must be shown to be wrong less than {1 + plans.MARGIN:g} times as often:",
        releases(held),
        f"Labels until an accuracy of 0.85 is told from 0.88, at the median: "
        f"{shadow['paired']:,.0f} where both answer (found in {shadow['paired found']:.1f} of 100 "
        f"runs), {shadow['split']:,.0f} with a split of 5% ({shadow['split found']:.1f}).",
        f"One run, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy "
        f"{np.__version__}; {runs:,} runs a cell of one hour, {RATE} requests a second, a share of "
        f"{SHARE:.0%}, alpha {ALPHA:g}; seeds fixed.",
    ]) + "\n"  # fmt: skip
