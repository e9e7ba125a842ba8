"""Traffic, second by second: 200 requests a second, of which the candidate answers a share."""

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from tidegate.release.signals import LATENCY_QUANTILES

RATE, SHARE, SECONDS = 200, 0.05, 3600
#: Latencies of the champion are lognormal with a 99% quantile of 400 ms and a median of 100 ms.
MEDIAN, SPREAD = 100.0, np.log(4) / norm.ppf(0.99)
#: Entities of the sticky rows, the tail of how much each asks, the shape of how often each errs.

ENTITIES, TAIL, UNEVEN = 4000, 1.1, 0.5


@dataclass(frozen=True)
class Arm:
    """Counts of one side, (runs, seconds): requests, and those that were bad."""

    requests: np.ndarray
    bad: np.ndarray

    def plus(self, other: "Arm") -> "Arm":
        return Arm(self.requests + other.requests, self.bad + other.bad)


@dataclass(frozen=True)
class Seen:
    """One signal on both sides. ``baseline`` is a part of the champion as large as the candidate,
    which Kayenta compares with; ``first`` counts the first bad answer of each entity."""

    candidate: Arm
    champion: Arm
    baseline: Arm
    first: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Rates:
    """A row: how often each side errs, and how slow it is. ``incident`` multiplies both sides'
    errors by 4 for five minutes; ``stretch`` lengthens the candidate's slowest tenth so that its
    99% quantile is so many times the champion's; ``late`` is the labels' delay in requests."""

    errors: tuple[float, float] = (0.005, 0.005)
    wrong: tuple[float, float] = (0.15, 0.15)
    stretch: float = 1.0
    incident: bool = False
    sticky: bool = False
    late: int = 0


@dataclass(frozen=True)
class P99:
    """The 99% quantile of latencies in each window, (runs, windows), in milliseconds."""

    candidate: np.ndarray
    champion: np.ndarray
    baseline: np.ndarray


@dataclass
class Traffic:
    """What one row saw: a signal by its name; ``slow`` are (runs, seconds, quantiles) counts, the
    candidate's and the champion's; ``p99`` by the length of its windows."""

    signals: dict[str, Seen]
    slow: tuple[np.ndarray, np.ndarray]
    p99: dict[int, P99] = field(default_factory=dict)


def drawn(rates: Rates, runs: int, rng: np.random.Generator) -> Traffic:
    """The traffic of so many runs of an hour each."""
    asked = _requests(runs, rng)
    if rates.sticky:
        errors = sticky(rates.errors, runs, rng)
    else:
        errors = _signal(asked, *rates.errors, rng, _incident() if rates.incident else 1.0)
    wrong = _late(_signal(asked, *rates.wrong, rng), rates.late)
    candidate, champion = asked[0], asked[1] + asked[2]
    slow = _slow(candidate, rates.stretch, rng), _slow(champion, 1.0, rng)
    traffic = Traffic({"errors": errors, "labels": wrong}, slow)
    for window in (10, 60):
        small, large = round(RATE * SHARE * window), round(RATE * (1 - SHARE) * window)
        looks = (runs, SECONDS // window)
        traffic.p99[window] = P99(
            _p99(looks, small, rates.stretch, rng), _p99(looks, large, 1.0, rng),
            _p99(looks, small, 1.0, rng),
        )  # fmt: skip
    return traffic


def _requests(runs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests of the candidate, of the baseline and of the champion's rest."""
    candidate = rng.binomial(RATE, SHARE, (runs, SECONDS))
    baseline = rng.binomial(RATE - candidate, SHARE / (1 - SHARE))
    return candidate, baseline, RATE - candidate - baseline


def _incident() -> np.ndarray:
    factor = np.ones(SECONDS)
    factor[900:1200] = 4.0
    return factor


def _signal(asked, champion: float, candidate: float, rng, factor=1.0) -> Seen:
    ours = Arm(asked[0], rng.binomial(asked[0], candidate * factor))
    baseline = Arm(asked[1], rng.binomial(asked[1], champion * factor))
    rest = Arm(asked[2], rng.binomial(asked[2], champion * factor))
    return Seen(ours, baseline.plus(rest), baseline)


def _late(seen: Seen, requests: int) -> Seen:
    """The same labels, each told so many requests after its answer."""
    if not requests:
        return seen
    by = requests // RATE

    def later(arm: Arm) -> Arm:
        return Arm(*(np.pad(c, ((0, 0), (by, 0)))[:, :SECONDS] for c in (arm.requests, arm.bad)))

    return Seen(later(seen.candidate), later(seen.champion), later(seen.baseline))


_NINETY = MEDIAN * np.exp(SPREAD * norm.ppf(0.9))


def _power(stretch: float) -> float:
    """Latencies beyond the 90% quantile grow by this power, so that the 99% one is stretched."""
    return float(np.log(400.0 * stretch / _NINETY) / np.log(400.0 / _NINETY))


def _slower(ms: float, stretch: float) -> float:
    """The chance that the candidate's answer takes longer than ``ms``."""
    alike = ms if ms <= _NINETY else _NINETY * (ms / _NINETY) ** (1 / _power(stretch))
    return float(norm.sf(np.log(alike / MEDIAN) / SPREAD))


def _slow(requests: np.ndarray, stretch: float, rng) -> np.ndarray:
    """Counts of answers beyond each of the champion's quantiles, (runs, seconds, quantiles)."""
    counts, left, before = [], requests, 1.0
    for quantile in LATENCY_QUANTILES:
        chance = _slower(MEDIAN * np.exp(SPREAD * norm.ppf(quantile)), stretch)
        left, before = rng.binomial(left, min(1.0, chance / before)), chance
        counts.append(left)
    return np.stack(counts, axis=-1)


def _p99(looks: tuple[int, int], requests: int, stretch: float, rng) -> np.ndarray:
    """The 99% quantile of so many latencies, drawn as the order statistic that it is."""
    at = int(np.ceil(0.99 * requests))
    places = rng.beta(at, requests + 1 - at, looks)
    ms = MEDIAN * np.exp(SPREAD * norm.ppf(places))
    return np.where(ms > _NINETY, _NINETY * (ms / _NINETY) ** _power(stretch), ms)


def sticky(errors: tuple[float, float], runs: int, rng: np.random.Generator) -> Seen:
    """Errors of heavy-tailed entities that stay on one side.

    How much an entity asks is Pareto with a tail of 1.1, how often it errs a gamma draw of shape
    0.5 around the mean: a few entities make most of the errors.
    """
    sides = [np.zeros((2, runs, SECONDS), dtype=np.int32) for _ in range(3)]
    first = np.zeros((2, runs, SECONDS), dtype=np.int32)
    for run in range(runs):
        asks = rng.pareto(TAIL, ENTITIES) + 1
        asks /= asks.sum()
        place = rng.random(ENTITIES)
        side = np.where(place < SHARE, 0, np.where(place < 2 * SHARE, 1, 2))
        rate = np.where(side == 0, errors[1], errors[0]) * rng.gamma(UNEVEN, 1 / UNEVEN, ENTITIES)
        errs = RATE * asks * np.minimum(rate, 0.5)  # a second
        number = rng.poisson(errs.sum() * SECONDS)
        second = np.sort(rng.integers(0, SECONDS, number))
        who = np.searchsorted(np.cumsum(errs) / errs.sum(), rng.random(number))
        who = np.minimum(who, ENTITIES - 1)
        new = np.zeros(number, dtype=bool)
        new[np.unique(who, return_index=True)[1]] = True
        for at in range(3):
            mine = side[who] == at
            sides[at][1, run] = np.bincount(second[mine], minlength=SECONDS)
            asked = rng.poisson(RATE * asks[side == at].sum(), SECONDS)
            sides[at][0, run] = np.maximum(asked, sides[at][1, run])
        for at, mine in ((0, side[who] == 0), (1, side[who] > 0)):
            first[at, run] = np.bincount(second[mine & new], minlength=SECONDS)
    candidate, baseline, rest = (Arm(*counts) for counts in sides)
    return Seen(candidate, baseline.plus(rest), baseline, (first[0], first[1]))
