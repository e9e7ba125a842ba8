"""The machine's own limits, and work of Tidegate's that no peer has a match for."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import numpy as np
from benchmarks.params import kinds

from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Manifest, Structure, TensorInfo
from tidegate.params.checkout import checkout, load, load_manifest
from tidegate.params.commit import commit
from tidegate.params.files.import_file import import_file
from tidegate.params.identity import tensor_id, version_id
from tidegate.params.packed.codec import (
    MAX_BLOCK_BYTES,
    Encoded,
    decode,
    difference,
    encode,
)
from tidegate.params.packed.references import read_sheet
from tidegate.params.parallel import on_threads
from tidegate.params.repack import shorten
from tidegate.store.objects import Objects

TENSORS = Structure(adapter="tensors")
MIB = 1 << 20


def warm(size: int = 1 << 30) -> None:
    """Touch memory that a virtual machine may have handed back, so that no run pays for it."""
    np.ones(size, np.uint8)


def median(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of ``work``, what was written before flushed first."""
    seconds = []
    for _ in range(times):
        warm()
        os.sync()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def held(arrays: kinds.Tensors) -> dict[str, Tensor]:
    """Arrays as tensors, without a copy; 16-bit integers are the bits of BF16."""
    dtypes = {"float32": "F32", "uint16": "BF16", "uint8": "U8"}
    return {
        name: Tensor(dtypes[str(array.dtype)], array.shape, memoryview(array).cast("B"))
        for name, array in arrays.items()
    }


def write(path: Path, size: int, *, flush: bool) -> Callable[[], None]:
    part = memoryview(np.random.default_rng(0).bytes(4 * MIB))

    def work() -> None:
        with open(path, "wb", buffering=0) as file:
            for start in range(0, size, len(part)):
                file.write(part[: min(len(part), size - start)])
            if flush:
                os.fsync(file.fileno())
        path.unlink()

    return work


def limits(folder: Path) -> dict[str, float]:
    """Seconds for 512 MiB, by what is done to them."""
    size = 512 * MIB
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    parts = [source[start : start + 8 * MIB].data for start in range(0, size, 8 * MIB)]
    return {
        "memcpy": median(lambda: np.copyto(target, source)),
        "BLAKE3, one core": median(lambda: [blake3.blake3(part).digest() for part in parts]),
        "BLAKE3, all cores": median(
            lambda: on_threads(lambda part: blake3.blake3(part).digest(), parts)
        ),
        "disk write": median(write(folder / "limit", size, flush=False)),
        "disk write + fsync": median(write(folder / "limit", size, flush=True)),
        "10 MiB write + fsync": median(write(folder / "limit", 10 * MIB, flush=True), 9),
    }


def identical(folder: Path) -> dict[str, float]:
    """A commit of what is there already, against BLAKE3 over the same bytes in the same memory."""
    objects = Objects.open(str(folder / "identical"))
    arrays = next(kinds.identical(np.random.default_rng(0)))
    parent = commit(objects, TENSORS, held(arrays)).id
    again, hashed = [], []
    for _ in range(9):
        again.append(median(lambda: commit(objects, TENSORS, held(arrays), [parent]), 1))
        hashed.append(
            median(
                lambda: on_threads(
                    lambda array: blake3.blake3(memoryview(array).cast("B")).digest(),
                    list(arrays.values()),
                ),
                1,
            )
        )
    return {"commit": statistics.median(again), "blake3": statistics.median(hashed)}


def tiny(folder: Path) -> dict[str, float]:
    """10,000 tensors of 1 KiB: first version, and one in which all have changed.

    ``ids`` is what the ids alone take: a hash for each tensor, the tree over them, and a list.
    """
    objects = Objects.open(str(folder / "tiny"))
    rng = np.random.default_rng(0)
    write_one = write(folder / "ten", 10_000 * 1024, flush=True)
    found: dict[str, list[float]] = {"first": [], "next": [], "same": [], "write": [], "ids": []}
    for _ in range(9):
        arrays = {f"t{index:05d}": rng.standard_normal(256, np.float32) for index in range(10_000)}
        tensors = held(arrays)
        near: list[str] = []
        found["ids"].append(median(lambda: ids(tensors), 1))  # noqa: B023
        found["write"].append(median(write_one, 1))
        found["first"].append(
            median(lambda: near.append(commit(objects, TENSORS, tensors).id), 1)  # noqa: B023
        )
        changed = held({name: array * np.float32(1.001) for name, array in arrays.items()})
        found["same"].append(median(lambda: commit(objects, TENSORS, tensors, near), 1))  # noqa: B023
        found["next"].append(median(lambda: commit(objects, TENSORS, changed, near), 1))  # noqa: B023
    return {name: statistics.median(seconds) for name, seconds in found.items()} | {
        "packs": len(list(objects.list("params/packs/"))) / 18
    }


def ids(tensors: dict[str, Tensor]) -> str:
    """Derive a version's id, and list what it consists of as JSON."""
    infos = [
        TensorInfo(name, tensor_id(tensor), tensor.dtype, list(tensor.shape), tensor.size_bytes)
        for name, tensor in tensors.items()
    ]
    return version_id(TENSORS, infos) + json.dumps(infos)


def hundred(folder: Path) -> dict[str, float]:
    """100 dense versions of 32 MiB: what checking out the first and the last takes.

    ``released`` is the last as a release leaves it: at most one difference from an anchor.
    """
    objects = Objects.open(str(folder / "hundred"))
    rng = np.random.default_rng(0)
    arrays = {f"w{index}": rng.standard_normal(1 << 20, np.float32) for index in range(8)}
    manifests = []
    for _ in range(100):
        near = [manifest.id for manifest in manifests[-1:-6:-1]]
        manifests.append(commit(objects, TENSORS, held(arrays), near))
        for array in arrays.values():
            array *= 1 + rng.standard_normal(array.size, np.float32) * np.float32(1e-3)
    out = folder / "out"
    every = [median(lambda: checkout(objects, m, out), 3) for m in manifests]  # noqa: B023
    slowest = manifests[every.index(max(every))]

    def seconds(*among: Manifest) -> list[float]:
        """Medians, measured in turn."""
        found = [[median(lambda: checkout(objects, m, out), 1) for m in among] for _ in range(9)]  # noqa: B023
        return [statistics.median(column) for column in zip(*found, strict=True)]

    first, last, slow = seconds(manifests[0], manifests[-1], slowest)
    shorten(objects, manifests[-1].id)
    again, released = seconds(manifests[0], manifests[-1])
    return {"last": last / first, "slowest": slow / first, "released": released / again}


def one_of_200(folder: Path) -> dict[str, float]:
    """Bytes read from files to check out one tensor of 200, eleven dense versions on."""
    objects = Objects.open(str(folder / "two hundred"))
    rng = np.random.default_rng(0)
    arrays = {f"w{index:03d}": rng.standard_normal(1 << 19, np.float32) for index in range(200)}
    manifests = []
    for _ in range(11):
        near = [manifest.id for manifest in manifests[-1:-6:-1]]
        manifests.append(commit(objects, TENSORS, held(arrays), near))
        for array in arrays.values():
            array *= 1 + rng.standard_normal(array.size, np.float32) * np.float32(1e-3)
    read, chain = [], []
    for manifest in manifests:
        before = _bytes_read()
        load(objects, manifest, ["w100"])
        read.append(_bytes_read() - before)
        sheet = read_sheet(objects, manifest.id)
        place = next(i for i, info in enumerate(manifest.tensors) if info.name == "w100")
        chain.append(
            sum(
                frame.size
                for block in sheet.blocks
                if place in block.span.members
                for frame in block.chain
            )
        )
    worst = max(range(len(read)), key=lambda i: read[i] / chain[i])
    return {"read": read[worst], "chain": chain[worst], "tensor": 4 << 19}


def _bytes_read() -> int:
    """Bytes this process has read from files, cached or not."""
    told = Path("/proc/self/io").read_text()
    return int(told.split("rchar:")[1].split()[0])


def memory(folder: Path, size: int) -> Iterator[tuple[str, float]]:
    """MiB of memory at the most, for a model of ``size``: above what the modules take.

    Each step is a process of its own, so that nothing is used again that was freed before.
    """
    rng = np.random.default_rng(0)
    path = folder / "large.safetensors"
    kinds.save_streaming(path, size // (64 * MIB), 1 << 24, rng)
    for step in ("first commit", "next commit", "checkout"):
        program = [sys.executable, "-m", "benchmarks.params.machine", str(folder), step]
        done = subprocess.run(program, stdout=subprocess.PIPE, check=True, text=True)
        yield step, float(done.stdout)
        if step == "first commit":
            kinds.nudge(path, rng)
    path.unlink()
    shutil.rmtree(folder / "large")


def _memory_step(folder: Path, step: str) -> float:
    objects, path, noted = Objects.open(str(folder / "large")), folder / "large.safetensors", ""
    ids = folder / "large" / "ids"
    if step != "first commit":
        noted = ids.read_text()
    before = _kib("VmRSS")
    if step == "checkout":
        checkout(objects, load_manifest(objects, noted.split()[-1]), path)
    else:
        ids.write_text(f"{noted} {import_file(objects, path, near=noted.split()).id}")
    return (_kib("VmHWM") - before) / 1024


def _kib(name: str) -> int:
    told = Path("/proc/self/status").read_text()
    return int(told.split(f"{name}:")[1].split()[0])


def own_codec(old_file: str, new_file: str, width: int) -> dict[str, dict[str, float]]:
    """Tidegate's own blocks over the same elements, as ``codecs.py`` measures the others."""
    old, new = (np.fromfile(path, f"<u{width}") for path in (old_file, new_file))
    step = MAX_BLOCK_BYTES // width
    parts = [slice(start, start + step) for start in range(0, new.size, step)]
    into = np.empty_like(new)

    def pack(part: slice) -> Encoded:
        steps = difference(new[part], old[part], np.empty_like(new[part]))
        return encode(new[part], old[part], steps, new[part].nbytes)

    seconds: dict[str, list[float]] = {"in": [], "out": []}
    for _ in range(3):
        start = time.perf_counter()
        packed = on_threads(pack, parts)
        seconds["in"].append(time.perf_counter() - start)
        start = time.perf_counter()
        on_threads(
            lambda both: decode(both[1].kind, both[1].data, old[both[0]], into[both[0]]),
            list(zip(parts, packed, strict=True)),
        )
        seconds["out"].append(time.perf_counter() - start)
    return {
        "Tidegate, chosen by block": {
            "share": sum(len(block.data) for block in packed) / new.nbytes,
            "in": new.nbytes / min(seconds["in"]) / 1e9,
            "out": new.nbytes / min(seconds["out"]) / 1e9,
        }
    }


if __name__ == "__main__":
    print(_memory_step(Path(sys.argv[1]), sys.argv[2]))
