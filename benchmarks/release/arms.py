"""Requests per second of every server: the peers, each in its environment, and Tidegate."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.release import bodies, canary, servers

HERE = Path(__file__).parent
CONCURRENCY = (16, 64)
MOST = 1_000_000
#: Seconds of the same load before a latency is measured: a judge that was just started reads first
#: what its release has seen so far.
WARM = 10.0
PREDICT = "/predict"


@dataclass(frozen=True)
class Peer:
    """A server file, the environment it runs in, and what it takes and gives."""

    name: str
    env: str
    script: str
    path: str
    body: str
    form: str


PEERS = [
    Peer("raw ASGI echo", "bare", "echo_app.py", "/", "columns", "echo"),
    Peer("Starlette + orjson + NumPy", "bare", "starlette_app.py", canary.PATH, "columns",
         "protocol"),
    Peer("Starlette + orjson + NumPy, one tensor", "bare", "starlette_app.py", canary.PATH,
         "matrix", "protocol"),
    Peer("FastAPI, scikit-learn", "bare", "fastapi_app.py", PREDICT, "plain", "plain"),
    Peer("MLServer", "mlserver", "mlserver_app.py", canary.PATH, "matrix", "protocol"),
    Peer("LitServe", "litserve", "litserve_app.py", PREDICT, "plain", "plain"),
    Peer("BentoML", "bentoml", "bentoml_app.py", PREDICT, "plain", "plain"),
    Peer("Ray Serve", "ray", "ray_app.py", PREDICT, "plain", "plain"),
]  # fmt: skip
ECHO, BARE, BARE_TENSOR, MLSERVER = PEERS[0], PEERS[1], PEERS[2], PEERS[4]


@dataclass(frozen=True)
class Bench:
    """What every measurement needs: the load, the bodies, and how much of each is wanted."""

    load: servers.Load
    bodies: dict[str, bodies.Bodies]
    folder: Path
    peers: Path
    plain: Path
    labels: Path
    seconds: float
    rounds: int
    say: Callable[[str], None]

    def order(self, port: int, path: str, body: str, form: str, expected: Path, **more) -> dict:
        """An order to the load generator, for 16 connections unless ``more`` says otherwise."""
        return {
            "port": port, "path": path, "form": form, "expected": str(expected), "most": MOST,
            "concurrency": 16, "seconds": self.seconds, **self.bodies[body].order(), **more,
        }  # fmt: skip


@contextmanager
def serving(bench: Bench, peer: Peer, *arguments: str) -> Iterator[tuple[dict, int]]:
    """The order for a peer that has answered a request, and its process; raises Unavailable where
    it cannot."""
    python = bench.peers / peer.env / "bin" / "python"
    broken = bench.peers / peer.env / ".failed"
    if broken.exists():
        raise servers.Unavailable(f"could not be installed: {servers.last_line(broken)}")
    if not python.exists():
        raise servers.Unavailable("has no environment: make builds it")
    port = servers.free_port()
    order = bench.order(port, peer.path, peer.body, peer.form, bench.plain)
    body = first_body(order)

    def ready() -> str | None:
        status, _, said = servers.post(port, peer.path, body)
        return None if status == 200 else servers.refusal(status, said)

    program = [str(python.absolute()), str(HERE / "peers" / peer.script), str(port), *arguments]
    bin_first = {"PATH": f"{python.absolute().parent}:/usr/local/bin:/usr/bin:/bin"}
    with servers.running(program, bench.folder / f"{peer.env}.log", ready, bin_first) as process:
        yield order, process.pid


def first_body(order: dict) -> bytes:
    with open(order["bodies"], "rb") as file:
        return file.read(order["sizes"][0])


def throughput(bench: Bench, order: dict) -> dict[str, dict]:
    """The median run of each concurrency, and the failures of all, after one to warm up."""
    bench.load.run(**{**order, "seconds": min(1.0, bench.seconds)})
    found = {}
    for concurrency in CONCURRENCY:
        runs = [
            bench.load.run(**{**order, "concurrency": concurrency}) for _ in range(bench.rounds)
        ]
        failed = sum((Counter(run["failed"]) for run in runs), Counter())
        middle = sorted(runs, key=lambda run: run["good"])[len(runs) // 2]
        found[str(concurrency)] = {**middle, "failed": dict(failed)}
    return found


def peers(bench: Bench) -> dict[str, dict]:
    """Every peer in turn; one that does not run is told with its reason."""
    found = {}
    for peer in PEERS:
        try:
            with serving(bench, peer) as (order, _):
                found[peer.name] = throughput(bench, order)
        except servers.Unavailable as why:
            found[peer.name] = {"error": str(why)}
        bench.say(f"{peer.name}: {told(found[peer.name])}")
    return found


def tidegate(bench: Bench, house: canary.House) -> dict[str, dict]:
    """The gateway: without a release, then with a canary, split, log, labels and judge."""
    found = {}
    with house.gateway() as (port, _):
        order = bench.order(port, canary.PATH, "columns", "tidegate", house.expected)
        found["Tidegate, no release"] = throughput(bench, order)
        bench.say(f"no release: {told(found['Tidegate, no release'])}")
        house.on_traffic(1, port)
        with servers.labelling(port, bench.labels):
            for name, body in (
                ("", "columns"), (", one tensor", "tensor"), (", binary tensors", "binary"),
            ):  # fmt: skip
                name = f"Tidegate, canary{name}"
                order = bench.order(port, canary.PATH, body, "tidegate", house.expected)
                try:
                    status, _, said = servers.post(
                        port, canary.PATH, first_body(order), order["headers"]
                    )
                    if status != 200:
                        raise servers.Unavailable(servers.refusal(status, said))
                    found[name] = throughput(bench, order)
                except servers.Unavailable as why:
                    found[name] = {"error": str(why)}
                bench.say(f"{name}: {told(found[name])}")
    return found


def added(bench: Bench, house: canary.House, peak: float, bare: float | None) -> dict[str, dict]:
    """Latency at half of ``peak``, on time: in a canary, without a release, and bare; and bare at
    half of its own peak, ``bare``, where that is known."""
    found = {}

    def paced(name: str, rate: float, order: dict, pid: int) -> None:
        order = {**order, "concurrency": 64, "rate": rate, "seconds": 2 * bench.seconds}
        bench.load.run(**{**order, "seconds": WARM})
        runs = []
        for _ in range(bench.rounds):
            before = servers.used(pid)
            run = bench.load.run(**order)
            runs.append({**run, "rate": rate, "used": servers.used(pid) - before})
        run = found[name] = sorted(runs, key=lambda each: each["p99"])[len(runs) // 2]
        bench.say(f"{name} at {rate:.0f}/s: p50 {run['p50']:.2f} ms, p99 {run['p99']:.2f} ms")

    try:
        with serving(bench, BARE) as (order, pid):
            paced(BARE.name, peak / 2, order, pid)
            if bare is not None:
                paced(f"{BARE.name}, half of its own peak", bare / 2, order, pid)
    except servers.Unavailable as why:
        found[BARE.name] = {"error": str(why)}
    with house.gateway() as (port, process):
        order = bench.order(port, canary.PATH, "columns", "tidegate", house.expected)
        with servers.labelling(port, bench.labels):
            paced("Tidegate, canary", peak / 2, order, process.pid)
        house.ws.rollback("bench", reason="the benchmark goes on without")
        bench.load.run(**{**order, "seconds": 2.0})
        paced("Tidegate, no release", peak / 2, order, process.pid)
    return found


def told(found: dict) -> str:
    if "error" in found:
        return found["error"]
    return ", ".join(
        f"{at}: {run['good']:.0f}/s, p99 {run['p99']:.1f} ms, failed {run['failed'] or 0}"
        for at, run in found.items()
    )
