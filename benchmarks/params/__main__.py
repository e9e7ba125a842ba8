"""Versions of parameters, here and at peers: ``make bench-params``.

One run on one machine: every version of every workload is written to a file once, and each store
commits and checks out that same file in turn. Memory is touched and written data flushed before
each measurement. Writes the tables in docs/benchmarks.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.page import write
from benchmarks.params import kinds, machine, tables
from benchmarks.params.arms import ARMS, NAME

HERE = Path(__file__).parent
#: git-theta takes tens of seconds for each version, and no BF16 in safetensors files.
THETA_KINDS = ("3 of 64 tensors", "dense step, fp32")
THETA_VERSIONS = 3


@dataclass
class Found:
    """What one store did with one workload; lists go by version, the first version first."""

    commit: list[float] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    checkout: list[float] = field(default_factory=list)
    error: str = ""


class Arm:
    """A store in its own process."""

    def __init__(self, name: str, python: str, folder: Path):
        self.found = Found()
        folder.mkdir(parents=True)
        program = [python, str(HERE / "arms.py"), name, str(folder)]
        self._process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=HERE.parents[1],
        )  # fmt: skip

    def do(self, **order: object) -> dict:
        """Its answer; empty once it has failed."""
        if self.found.error:
            return {}
        machine.warm()
        with suppress(BrokenPipeError):  # it could not even start
            print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline() or '{"error": "it stopped"}')
        self.found.error = answer.get("error", "")
        return {} if self.found.error else answer

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def run(kind: str, files, arms: dict[str, str], folder: Path, versions: int) -> dict:
    """Every arm over the first version and ``versions`` more; ``files`` writes them in turn."""
    file, out = folder / NAME, folder / "out"
    working = {name: Arm(name, python, folder / "arms" / name) for name, python in arms.items()}
    raw = 0
    for number in range(versions + 1):
        raw = files(file)
        for name, arm in working.items():
            if name == "git-theta" and number > THETA_VERSIONS:
                continue
            answer = arm.do(do="commit", file=str(file))
            if answer:
                arm.found.commit.append(answer["seconds"])
                arm.found.stored.append(answer["stored"])
        say(f"{kind}: version {number}")
    for number in range(1, versions + 1):
        for name, arm in working.items():
            if name == "git-theta" and number > THETA_VERSIONS:
                continue
            for _warmed in range(2):
                answer = arm.do(do="checkout", number=number, out=str(out))
            if answer:
                arm.found.checkout.append(answer["seconds"])
            out.unlink(missing_ok=True)
    say(f"{kind}: checked out")
    for arm in working.values():
        arm.close()
    shutil.rmtree(folder / "arms")
    return {"raw": raw, **{name: vars(arm.found) for name, arm in working.items()}}


def stores(options: argparse.Namespace, folder: Path) -> dict[str, dict]:
    """All workloads, all stores."""
    python = dict.fromkeys(ARMS, options.peers) | {"Tidegate": sys.executable}
    del python["git-theta"]
    found = {}
    for kind, make in kinds.KINDS.items():
        if options.only and options.only not in kind:
            continue
        versions = make(np.random.default_rng(0))
        arms = python | ({"git-theta": options.theta} if kind in THETA_KINDS else {})
        found[kind] = run(
            kind, lambda file, v=versions: kinds.save(file, next(v)), arms, folder, options.versions
        )
    if not options.only or "optimiser" in options.only:
        subprocess.run([options.theta, str(HERE / "optimiser.py"), str(folder / "opt")], check=True)
        for dtype in ("fp32", "bf16"):
            steps = iter(sorted((folder / "opt" / dtype).iterdir()))

            def copy(file: Path, steps=steps) -> int:
                shutil.copyfile(next(steps), file)
                return file.stat().st_size

            found[f"optimiser, {dtype}"] = run(f"optimiser, {dtype}", copy, python, folder, 20)
    return found


def codecs(options: argparse.Namespace, folder: Path) -> dict[str, dict]:
    """Codecs alone in the peers' environment, and Tidegate's own on the same bytes."""
    found = {}
    for kind, width in (("dense step, fp32", 4), ("one ULP, bf16", 2)):
        files = []
        versions = kinds.KINDS[kind](np.random.default_rng(0))
        for _ in range(2):
            tensors = next(versions)
            file = folder / f"codec-{len(files)}"
            np.concatenate([tensors[name].reshape(-1) for name in kinds.names(16)]).tofile(file)
            files.append(str(file))
        program = [options.peers, str(HERE / "codecs.py"), *files, str(width)]
        done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found[kind] = machine.own_codec(*files, width) | json.loads(done.stdout)
    return found


def main(options: argparse.Namespace) -> dict:
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = Path(scratch)
        results: dict = {"limits": machine.limits(folder)}
        say("limits measured")
        for work in (machine.identical, machine.tiny, machine.hundred, machine.one_of_200):
            results[work.__name__] = work(folder)
            say(f"{work.__name__}: {results[work.__name__]}")
        results["memory"] = dict(machine.memory(folder, options.memory_gib << 30))
        say(f"memory: {results['memory']}")
        results["codecs"] = codecs(options, folder)
        results["stores"] = stores(options, folder)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="the Python that has the peers")
    parser.add_argument("--theta", required=True, help="the Python that has git-theta and torch")
    parser.add_argument("--versions", type=int, default=10, help="versions after the first")
    parser.add_argument("--memory-gib", type=int, default=8, help="size of the large model")
    parser.add_argument("--only", default="", help="only workloads with this in their name")
    parser.add_argument(
        "--scratch", type=Path, default=Path(".venv/bench"), help="a folder with 60 GB free"
    )
    options = parser.parse_args()
    options.peers, options.theta = (
        os.path.abspath(path) for path in (options.peers, options.theta)
    )
    options.scratch = options.scratch.resolve()
    found = main(options)
    (options.scratch / "results.json").write_text(json.dumps(found))
    text = tables.page(found)
    if not options.only:
        write("params", text)
    print(text)
