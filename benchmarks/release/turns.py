"""Servers that a bound compares, measured by turns: what slows the machine down for some minutes
then slows all of them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from benchmarks.release import arms, canary, servers

CANARY, ALONE = "Tidegate, canary", "Tidegate, no release"
#: What is asked of the canary, by what it is called in the tables.
FORMS = {
    CANARY: "columns",
    f"{CANARY}, one tensor": "tensor",
    f"{CANARY}, binary tensors": "binary",
}
OWN_HALF = f"{arms.BARE.name}, half of its own peak"
#: Turns for each round of the others: what slows a machine down comes and goes within a minute.
TURNS = 3
#: Seconds of the same load before a latency is measured.
WARM = 2.0
#: Seconds of load that a judge which was just started takes to read what its release has seen.
JUDGE_STARTS = 10.0


@dataclass(frozen=True)
class Turn:
    """A server's process, stopped while it is others' turn; ``labels``: where its requests come
    true beside the load, the port."""

    name: str
    order: dict
    pid: int
    labels: int | None = None

    @contextmanager
    def at_work(self, bench: arms.Bench) -> Iterator[None]:
        servers.go_on(self.pid)
        truth = servers.labelling(self.labels, bench.labels) if self.labels else nullcontext()
        with truth:
            yield
        servers.stop(self.pid)


def measured(bench: arms.Bench, house: canary.House, alone: canary.House) -> dict:
    """``peers`` and ``tidegate``: requests a second of those that a bound names; ``added``: latency
    at half of what a canary answers. ``house`` has a release for it, ``alone`` has none."""
    broken = {}
    with ExitStack() as stack:
        turns = []
        for peer in arms.BOUND:
            try:
                order, pid = stack.enter_context(arms.serving(bench, peer))
                servers.stop(pid)
                turns.append(Turn(peer.name, order, pid))
            except servers.Unavailable as why:
                broken[peer.name] = {"error": str(why)}
        port, process = stack.enter_context(alone.gateway())
        order = bench.order(port, canary.PATH, "columns", "tidegate", alone.expected)
        servers.stop(process.pid)
        turns.append(Turn(ALONE, order, process.pid))
        port, process = stack.enter_context(house.gateway())
        house.on_traffic(1, port)
        with servers.labelling(port, bench.labels):
            order = bench.order(port, canary.PATH, "columns", "tidegate", house.expected)
            bench.load.run(**{**order, "seconds": min(JUDGE_STARTS, 2 * bench.seconds)})
        for name, body in FORMS.items():
            order = bench.order(port, canary.PATH, body, "tidegate", house.expected)
            turns.append(Turn(name, order, process.pid, port))
        servers.stop(process.pid)
        found = throughput(bench, turns, broken)
        added = latency(bench, turns, found)
    house.ws.rollback("bench", reason="the benchmark goes on without")
    ours = {ALONE, *FORMS}
    return {
        "peers": {name: told for name, told in found.items() if name not in ours},
        "tidegate": {name: told for name, told in found.items() if name in ours},
        "added": added,
    }


def throughput(bench: arms.Bench, turns: list[Turn], broken: dict[str, dict]) -> dict[str, dict]:
    """The median run of each; as long together as others' are, in shorter turns. One that is found
    ``broken`` has no more turns, and is told with its reason."""
    rounds: dict[str, list] = {turn.name: [] for turn in turns}
    for number in range(_turns(bench)):
        for turn in turns:
            if turn.name in broken:
                continue
            order = {**turn.order, "seconds": bench.seconds * bench.rounds / _turns(bench)}
            try:
                with turn.at_work(bench):
                    rounds[turn.name].append(arms.once(bench, order))
            except servers.Unavailable as why:
                broken[turn.name] = {"error": str(why)}
                continue
            bench.say(f"round {number + 1}, {turn.name}: {arms.told(rounds[turn.name][-1])}")
    return {name: arms.middle(each) for name, each in rounds.items() if name not in broken} | broken


def latency(bench: arms.Bench, turns: list[Turn], reached: dict[str, dict]) -> dict[str, dict]:
    """The median run by p99, and the least and most of it: sent on time, half of what the canary
    has ``reached`` a second; the bare server at half of what itself has, as well."""
    of = {turn.name: turn for turn in turns if "error" not in reached[turn.name]}
    half = reached[CANARY]["64"]["good"] / 2
    wanted = [(name, of[name], half) for name in (arms.BARE.name, ALONE, CANARY) if name in of]
    if arms.BARE.name in of:
        own = reached[arms.BARE.name]["64"]["good"] / 2
        wanted.insert(1, (OWN_HALF, of[arms.BARE.name], own))
    rounds: dict[str, list] = {name: [] for name, _, _ in wanted}
    for _ in range(_turns(bench)):
        for name, turn, rate in wanted:
            order = {**turn.order, "concurrency": 64, "rate": rate, "seconds": bench.seconds}
            with turn.at_work(bench):
                bench.load.run(**{**order, "seconds": WARM})
                before = servers.used(turn.pid)
                run = bench.load.run(**order)
                run |= {"rate": rate, "used": servers.used(turn.pid) - before}
            rounds[name].append(run)
            bench.say(f"{name} at {rate:.0f}/s: p50 {run['p50']:.2f} ms, p99 {run['p99']:.2f} ms")
    found = {}
    for name, runs in rounds.items():
        runs.sort(key=lambda run: run["p99"])
        found[name] = {**runs[len(runs) // 2], "least": runs[0]["p99"], "most": runs[-1]["p99"]}
    return found


def _turns(bench: arms.Bench) -> int:
    return bench.rounds if bench.rounds == 1 else TURNS * bench.rounds
