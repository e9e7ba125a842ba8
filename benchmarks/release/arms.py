"""Servers under load: the peers, each in its environment, and what is measured of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.release import bodies, canary, servers

HERE = Path(__file__).parent
CONCURRENCY = (16, 64)
MOST = 1_000_000
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
ECHO, BARE, BARE_TENSOR, MLSERVER, BENTOML = PEERS[0], PEERS[1], PEERS[2], PEERS[4], PEERS[6]
#: Those that a bound names.
BOUND = (BARE, BARE_TENSOR, MLSERVER, BENTOML)


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
    return middle([once(bench, order) for _ in range(bench.rounds)])


def once(bench: Bench, order: dict) -> dict[str, dict]:
    """A run of each concurrency, after a second to warm up."""
    bench.load.run(**{**order, "seconds": min(1.0, bench.seconds)})
    return {str(at): bench.load.run(**{**order, "concurrency": at}) for at in CONCURRENCY}


def middle(rounds: list[dict[str, dict]]) -> dict[str, dict]:
    """The median run of each concurrency, and the failures of all."""
    found = {}
    for at in map(str, CONCURRENCY):
        runs = [each[at] for each in rounds]
        failed = sum((Counter(run["failed"]) for run in runs), Counter())
        run = sorted(runs, key=lambda run: run["good"])[len(runs) // 2]
        found[at] = {**run, "failed": dict(failed)}
    return found


def peers(bench: Bench) -> dict[str, dict]:
    """Every peer that no bound names, one after the other; one that does not run is told with its
    reason."""
    found = {}
    for peer in PEERS:
        if peer in BOUND:
            continue
        try:
            with serving(bench, peer) as (order, _):
                found[peer.name] = throughput(bench, order)
        except servers.Unavailable as why:
            found[peer.name] = {"error": str(why)}
        bench.say(f"{peer.name}: {told(found[peer.name])}")
    return found


def told(found: dict) -> str:
    if "error" in found:
        return found["error"]
    return ", ".join(
        f"{at}: {run['good']:.0f}/s, p99 {run['p99']:.1f} ms, failed {run['failed'] or 0}"
        for at, run in found.items()
    )
