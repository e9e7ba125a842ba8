"""Eight writers and a collector on one store of parameters, each killed at every step in turn.

Run as a program: ``writers.py URL OPTIONS FOLDER``. Every life of a writer commits some of a few
versions, the same for all, and is killed with SIGKILL just before or just after its ``n``-th
change of the store; every ``n`` gets its lives. What a commit promised is written to a
journal. Meanwhile collectors free what is not to be kept, and are killed as well. At the end one
JSON line tells what was done, and everything that is not as it was promised.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from tidegate.domain.errors import StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.checkout import load, load_manifest
from tidegate.params.commit import commit
from tidegate.params.fsck import fsck
from tidegate.params.gc import gc
from tidegate.params.packed import leases
from tidegate.params.packed.packs import PACKS
from tidegate.params.packed.references import newest, read_reference, references
from tidegate.store.objects import Objects, Upload

WRITERS, LIVES = 8, 120
#: Collectors that are killed before the writers end: on a busy machine one lives longer.
COLLECTORS = 2
#: Versions that writers make; those of an even number are kept, the others may be collected.
VERSIONS = 10
#: Changes of the store in a whole life, about, one before and one after each.
BOUNDARIES = 80
#: Seconds, of the store's clock: S3 tells whole ones.
GRACE, HOLDS = 1.0, 3.0
TENSORS = Structure(adapter="tensors")


def tensors(number):
    """One large tensor of which little changes, one that changes wholly, many small ones."""
    rng = np.random.default_rng(0)
    large, small = rng.normal(size=40_000), rng.normal(size=(20, 50))
    for _ in range(number):
        large[rng.integers(0, large.size, 30)] += 1
        small *= 1 + rng.normal(scale=1e-3, size=small.shape)
    other = np.random.default_rng(100 + number).normal(size=10_000).astype("f4")
    arrays = {"large": large, "other": other} | {f"s{i:02d}": row for i, row in enumerate(small)}
    return {name: Tensor.of(array) for name, array in arrays.items()}


MADE = [tensors(number) for number in range(VERSIONS)]


class Killer:
    """Dies at the ``at``-th boundary: one before and one after each change of the store."""

    def __init__(self, at):
        self.at, self.count = at, 0
        for owner, name in (
            (Objects, "put"),
            (Objects, "delete"),
            (Upload, "write"),
            (Upload, "finish"),
        ):
            setattr(owner, name, self.around(getattr(owner, name)))

    def around(self, change):
        def cut(*given, **named):
            self.step()
            result = change(*given, **named)
            self.step()
            return result

        return cut

    def step(self):
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def promised(journal):
    """The versions that commits have returned, by number."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return dict(map(json.loads, lines))


def write(store, journal, life):
    """Commit versions in some order, on what others have committed, until killed or done."""
    objects, rng = store(), random.Random(life)
    Killer(1 + life % BOUNDARIES)
    for _ in range(6):
        number, known = rng.randrange(VERSIONS), promised(journal)
        near = [known[n] for n in (number - 1, number - 2, number) if n in known]
        try:
            manifest = commit(objects, TENSORS, MADE[number], near)
        except StorageError as problem:
            if "took so long" not in str(problem):
                raise
            continue  # it was told, and nothing was promised
        with open(journal, "a") as file:
            file.write(json.dumps([number, manifest.id]) + "\n")


def collect(store, journal, life):
    """Free what is not kept, again and again."""
    objects = store()
    Killer(random.Random(life).randrange(2, 100))
    while True:
        kept = {id_ for number, id_ in promised(journal).items() if number % 2 == 0}
        freed = gc(objects, kept, GRACE)
        with open(journal.with_name("freed"), "a") as file:
            file.write(f"{freed.packs}\n")
        time.sleep(0.05)


def fork(work, *given):
    """A child process at work; what goes wrong in it ends the program's story."""
    child = os.fork()
    if child:
        return child
    try:
        leases.HOLDS_SECONDS = HOLDS
        work(*given)
    except BaseException as problem:
        sys.stderr.write(f"{work.__name__}: {type(problem).__name__}: {problem}\n")
        os._exit(1)
    os._exit(0)


def run(store, journal):
    """All lives, ``WRITERS`` at a time; gives how many were killed, ended and failed."""
    ends = {"killed": 0, "done": 0, "failed": 0, "collectors killed": 0}
    started, life, collectors = {}, 0, 0
    collector = fork(collect, store, journal, 0)

    def more():
        return life < LIVES or (collectors < COLLECTORS and life < 4 * LIVES)

    while more() or started:
        while more() and len(started) < WRITERS:
            life += 1
            started[fork(write, store, journal, life)] = life
        child, status = os.wait()
        killed = os.WIFSIGNALED(status)
        if child == collector:
            collectors += 1
            ends["collectors killed" if killed else "failed"] += 1
            collector = fork(collect, store, journal, collectors)
            continue
        del started[child]
        ends["killed" if killed else "failed" if os.WEXITSTATUS(status) else "done"] += 1
    os.kill(collector, signal.SIGKILL)
    os.waitpid(collector, 0)
    return ends


def doubts(objects, journal):
    """Everything that is not as it was promised."""
    found = []
    ids = promised(journal)
    kept = {number: id_ for number, id_ in ids.items() if number % 2 == 0}
    for number, id_ in kept.items():
        if load(objects, load_manifest(objects, id_)) != MADE[number]:
            found.append(f"version {number} is not what was committed")
    known = {id_: number for number, id_ in ids.items()}
    for version in {reference.version for reference in references(objects)}:
        there = newest(objects, version)
        if there.gone:
            continue
        content = load(objects, load_manifest(objects, version))
        if version in known and content != MADE[known[version]]:
            found.append(f"{version} is not what was committed")
    damages = fsck(objects, [(str(number), id_) for number, id_ in kept.items()])
    return found + [str(damage.message) for damage in damages]


def main(store, journal):
    ends = run(store, journal)
    objects = store()
    found = doubts(objects, journal)
    time.sleep(1.1)  # the last leases' second, as S3 tells it
    leases.HOLDS_SECONDS = 0.0
    kept = {id_ for number, id_ in promised(journal).items() if number % 2 == 0}
    freed = gc(objects, kept, 0.0)
    found += doubts(objects, journal)
    passes = journal.with_name("freed")
    during = sum(map(int, passes.read_text().split())) if passes.exists() else 0
    needed = {
        PACKS + pack
        for version in kept
        for pack in read_reference(objects, newest(objects, version)).packs
    }
    left = {key for key, _ in objects.list(PACKS)}
    found += [f"{key} is needed by nothing" for key in sorted(left - needed)]
    report = {**ends, "promised": len(journal.read_text().splitlines()), "kept": len(kept),
              "freed meanwhile": during,
              "freed at the end": freed.packs, "doubts": found}  # fmt: skip
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    url, options = sys.argv[1], json.loads(sys.argv[2])
    # The client's threads do not outlive a fork: every process opens the store for itself.
    main(lambda: Objects.open(url, **options), Path(sys.argv[3]) / "journal")
