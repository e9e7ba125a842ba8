"""What changes from one version to the next: the workloads, as bits in numpy arrays."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Tensors = dict[str, np.ndarray]

SHAPE = (1024, 2048)
COUNT = 64


def names(count: int = COUNT) -> list[str]:
    return [f"layers.{index:02d}.weight" for index in range(count)]


def bf16(values: np.ndarray) -> np.ndarray:
    """Float32 values as the bits of BF16, rounded to nearest, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def gaussian(rng: np.random.Generator, sd: float = 0.02) -> np.ndarray:
    return rng.standard_normal(SHAPE, dtype=np.float32) * np.float32(sd)


def identical(rng: np.random.Generator) -> Iterator[Tensors]:
    weights = {name: gaussian(rng) for name in names()}
    while True:
        yield weights


def three_of_64(rng: np.random.Generator) -> Iterator[Tensors]:
    weights = {name: gaussian(rng) for name in names()}
    while True:
        yield weights
        for index in rng.choice(COUNT, 3, replace=False):
            weights[names()[index]] = gaussian(rng)


def dense(rng: np.random.Generator) -> Iterator[Tensors]:
    weights = {name: gaussian(rng) for name in names()}
    while True:
        yield weights
        for name in weights:
            weights[name] *= 1 + gaussian(rng, 1e-3)


def bf16_one_ulp(rng: np.random.Generator) -> Iterator[Tensors]:
    """30% of the weights one representable value up or down."""
    weights = {name: bf16(gaussian(rng)) for name in names()}
    while True:
        yield weights
        for name in weights:
            step = np.array([1, -1] * 3 + [0] * 14, np.int16)[rng.integers(0, 20, SHAPE)]
            step[weights[name] & 0x7FFF == 0] = 1  # below zero's magnitude there is nothing
            weights[name] = weights[name] + step.view(np.uint16)


def small_step(rng: np.random.Generator) -> Iterator[Tensors]:
    weights = {name: gaussian(rng) for name in names()}
    while True:
        yield weights
        for name in weights:
            weights[name] += gaussian(rng, 1e-5)


def small_step_bf16(rng: np.random.Generator) -> Iterator[Tensors]:
    """Mixed precision: steps are taken in float32, and stored is what they round to."""
    for weights in small_step(rng):
        yield {name: bf16(value) for name, value in weights.items()}


KINDS: dict[str, Callable[[np.random.Generator], Iterator[Tensors]]] = {
    "identical": identical,
    "3 of 64 tensors": three_of_64,
    "dense step, fp32": dense,
    "one ULP, bf16": bf16_one_ulp,
    "sd 1e-5, fp32": small_step,
    "sd 1e-5, bf16": small_step_bf16,
}

_DTYPES = {"float32": "F32", "uint16": "BF16", "float64": "F64"}


def save(path: Path, tensors: Tensors) -> int:
    """Write a safetensors file (16-bit integers are the bits of BF16); gives its bytes of data."""
    header, start = {}, 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": _DTYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(memoryview(array).cast("B"))
    return start


def save_streaming(path: Path, count: int, elements: int, rng: np.random.Generator) -> None:
    """Write ``count`` float32 tensors to a safetensors file, one in memory at a time."""
    size = 4 * elements
    header = {
        name: {
            "dtype": "F32",
            "shape": [elements],
            "data_offsets": [index * size, (index + 1) * size],
        }
        for index, name in enumerate(names(count))
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(count):
            file.write(memoryview(rng.standard_normal(elements, dtype=np.float32)).cast("B"))


def nudge(path: Path, rng: np.random.Generator, step: int = 1 << 22) -> None:
    """Move every float32 in a file's data by a factor of 1 + N(0, 1e-3), in place."""
    noise = 1 + rng.standard_normal(step, dtype=np.float32) * np.float32(1e-3)
    with open(path, "r+b") as file:
        start = 8 + struct.unpack("<Q", file.read(8))[0]
        data = np.memmap(file, np.float32, "r+", offset=start)
        for at in range(0, data.size, step):
            data[at : at + step] *= np.roll(noise, at % 1009)[: data.size - at]
        data.flush()
