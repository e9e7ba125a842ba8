"""The rows of the table, and what every rule did on each of them."""

import zlib
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.canary.rules import rules
from benchmarks.canary.world import RATE, SECONDS, SHARE, Rates, Traffic, drawn

#: Runs drawn and judged together: what fits into half a gigabyte.
TOGETHER = 100

#: Rows in which candidate and champion are alike.
NULL = {
    "0.5% errors": Rates(),
    "0.9% errors, target 99%": Rates((0.009, 0.009)),
    "incident, errors x4 for 5 minutes": Rates(incident=True),
    "4,000 heavy-tailed sticky entities": Rates(sticky=True),
    "labels 10,000 requests late": Rates(late=10_000),
}
#: Rows in which the candidate does harm, and the signal that shows it.
HARM = {
    "errors 0.5% to 1.5%": (Rates((0.005, 0.015)), "errors"),
    "errors 0.5% to 5%": (Rates((0.005, 0.05)), "errors"),
    "errors 0.1% to 0.8%": (Rates((0.001, 0.008)), "errors"),
    "accuracy 5 points worse": (Rates(wrong=(0.15, 0.20)), "labels"),
    "p99 latency 1.5x": (Rates(stretch=1.5), "latency"),
    "accuracy 5 points worse, labels 10,000 requests late": (
        Rates(wrong=(0.15, 0.20), late=10_000), "labels"),
    "sticky entities, errors 0.5% to 5%": (Rates((0.005, 0.05), sticky=True), "errors"),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a rule did in a row: the second each run was stopped at, and bad answers until then."""

    stops: np.ndarray
    harmed: np.ndarray

    @property
    def stopped(self) -> float:
        """Runs stopped within the hour, of a hundred."""
        return 100 * float(np.isfinite(self.stops).mean())

    @property
    def delay(self) -> float:
        """Seconds until the stop at the median, over all runs; infinite where most never stop."""
        return float(np.median(self.stops))

    @property
    def suffered(self) -> float:
        """The candidate's bad answers until the stop, or in the hour, at the median."""
        return float(np.median(self.harmed))


def measured(rates: Rates, signal: str, runs: int) -> dict[str, Outcome]:
    """Every rule on the same runs of a row.

    The seed is what the row is, but for the delay of labels: late ones are those of the same runs.
    """
    on_time = replace(rates, late=0)
    rng = np.random.default_rng(zlib.crc32(repr(on_time).encode()))
    stops: dict[str, list[np.ndarray]] = {}
    harmed: dict[str, list[np.ndarray]] = {}
    for _ in range(0, runs, TOGETHER):
        traffic = drawn(rates, TOGETHER, rng)
        suffering = _bad(traffic, signal, rates).cumsum(axis=1)
        for rule, stop in rules(rates.sticky).items():
            at = stop(traffic, signal)
            until = np.minimum(at, SECONDS).astype(int) - 1
            stops.setdefault(rule, []).append(at)
            harmed.setdefault(rule, []).append(np.take_along_axis(suffering, until[:, None], 1))
    return {
        rule: Outcome(np.concatenate(stops[rule]), np.concatenate(harmed[rule]).ravel())
        for rule in stops
    }


def _bad(traffic: Traffic, signal: str, rates: Rates) -> np.ndarray:
    """The candidate's bad answers in the second they were given, whenever their labels came.

    Late labels do not tell of the newest answers, so there the mean stands for them.
    """
    if signal == "latency":
        return traffic.slow[0][..., -1]
    bad = traffic.signals[signal].candidate.bad
    return bad if not rates.late else np.full(bad.shape, RATE * SHARE * rates.wrong[1])
