"""What docs/format.md says is enough: a short program reads every version without Tidegate."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.domain.version import Structure
from tidegate.params.checkout import load
from tidegate.params.commit import commit
from tidegate.params.packed.codec import Kind
from tidegate.params.packed.references import read_sheet
from tidegate.params.repack import shorten
from tidegate.store.objects import Objects

PROGRAM = Path(__file__).parents[2] / "examples" / "read_params.py"
STRUCTURE = Structure(adapter="tensors", architecture={"note": "é"})
RNG = np.random.default_rng(0)


def program(*words):
    return subprocess.run(
        [sys.executable, "-I", PROGRAM, *words], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A folder with versions in which every dtype and every encoding occurs."""
    folder = tmp_path_factory.mktemp("store")
    objects, made, used = Objects.open(str(folder)), [], set()
    values = {d: np.frombuffer(RNG.bytes(30_000 * w), f"<u{w}") for d, w in DTYPE_BYTES.items()}
    values["large"] = RNG.normal(size=600_000).astype("<f4").view("<u4")
    values["narrow"] = RNG.integers(0, 1 << 9, 30_000, "<u4")
    small = {f"s{i}": Tensor.of(RNG.normal(size=i)) for i in range(5)}
    small |= {"scalar": Tensor.of(np.array(-0.0)), "empty": Tensor.of(np.zeros((0, 3)))}
    for turn in range(7):
        tensors = dict(small)
        for name, bits in values.items():
            dtype = {"large": "F32", "narrow": "U32"}.get(name, name)
            tensors[name] = Tensor(dtype, (bits.size,), bits.tobytes())
        made.append(commit(objects, STRUCTURE, tensors, [m.id for m in made[-1:]]))
        sheet = read_sheet(objects, made[-1].id)
        used |= {frame.kind for block in sheet.blocks for frame in block.chain}
        for name, bits in values.items():
            step = [0, 1, bits.dtype.type(1 << (8 * bits.itemsize - 2))]
            chance = ([0.9, 0.1, 0.0], [0.999, 0.001, 0.0], [0.5, 0.0, 0.5])[turn % 3]
            change = RNG.choice(3, bits.size, p=chance)
            values[name] = (
                bits ^ np.array(step, bits.dtype)[change]
                if turn % 2
                else bits + (np.array(step, bits.dtype)[change])
            )
    assert used == set(Kind)
    shorten(objects, made[-1].id)
    return folder, objects, made


def test_every_version_is_read_and_verified(store):
    folder, _, made = store
    for manifest in made:
        done = program(folder, manifest.id)
        assert done.returncode == 0, done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines()] == [
            info.id[:16] for info in manifest.tensors
        ]


@pytest.mark.parametrize("name", ["large", "narrow", "BF16", "C64", "s3", "scalar", "empty"])
def test_a_tensor_comes_out_with_every_bit(store, tmp_path, name):
    folder, objects, made = store
    assert program(folder, made[-1].id, name, tmp_path / "out").returncode == 0
    assert (tmp_path / "out").read_bytes() == load(objects, made[-1], [name])[name].data


def test_a_damaged_store_is_told(store):
    folder, objects, made = store
    frame = read_sheet(objects, made[0].id).blocks[0].chain[0]
    path, at = folder / "params" / "packs" / frame.pack, frame.offset
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    done = program(folder, made[0].id)
    path.write_bytes(whole)
    assert done.returncode == 1
    assert "is damaged" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{store}", "llm@2"], "no version llm@2 in"),
        (["nowhere", "{id}"], "no version"),
        (["{store}"], "STORE is the folder that holds"),
        (["{store}", "{id}", "no.such.tensor", "out"], "no tensor no.such.tensor"),
    ],
)
def test_a_mistake_is_told_in_words(store, tmp_path, words, says):
    folder, _, made = store
    done = program(*[word.format(store=folder, id=made[0].id) for word in words])
    assert (done.returncode, says in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_the_program_is_as_short_as_the_format_is_simple():
    # What reads the format; what a person at a terminal is told comes after it.
    reading = PROGRAM.read_text().partition('"""\n\n')[2].partition("if __name__")[0]
    lines = reading.splitlines()
    assert len([line for line in lines if line.strip() and '"""' not in line]) <= 50
