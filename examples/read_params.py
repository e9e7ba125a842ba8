"""Read a version's parameters from a Tidegate store without Tidegate (docs/format.md tells how).

    .venv/bin/python examples/read_params.py STORE ID              lists its tensors, all verified
    .venv/bin/python examples/read_params.py STORE ID NAME FILE    writes the raw bytes of one

STORE is the folder that holds ``params``: .tidegate/objects. ID has 64 hex digits, as the first
line of ``tidegate params show MODEL@V`` tells it. Needs numpy, blake3 and numcodecs.
"""

import json
import sys
from pathlib import Path

import numpy as np
from blake3 import blake3
from numcodecs import blosc

KINDS = {8: "F64 I64 U64 C64", 4: "F32 I32 U32", 2: "F16 BF16 I16 U16"}  # all others: one byte
SIZES = {dtype: size for size, dtypes in KINDS.items() for dtype in dtypes.split()}


def check(content, digest, what):
    """Stop where the bytes are not those that the digest tells of."""
    if blake3(content).hexdigest() != digest:
        sys.exit(f"{what} is damaged")


def step(steps, old):
    """Undo the zigzag (0, -1, 1, -2, ...) and add, modulo the integer's range."""
    one = steps.dtype.type(1)
    return (steps >> one ^ (~(steps & one) + one)) + old


def decode(kind, data, old, bits):
    """The block's elements, as unsigned integers."""
    if kind == "raw":
        return np.frombuffer(data, bits)
    if kind == "sparse":
        length, new = int.from_bytes(data[4:8], "little"), old.copy()
        where = np.cumsum(np.frombuffer(blosc.decompress(data[8 : 8 + length]), "<u4"))
        new[where] = step(np.frombuffer(blosc.decompress(data[8 + length :]), bits), old[where])
        return new
    content = np.frombuffer(blosc.decompress(data), bits)
    return content if kind == "planes" else content ^ old if kind == "xor" else step(content, old)


def read(store, version):
    """The version's sheet, and the bytes of its tensors by name."""
    newest = max((store / "params" / "versions" / version).iterdir()).read_bytes()
    check(newest[65:], newest[:64].decode(), version)
    sheet = json.loads(newest[65:])
    held = {name: b"" for name, *_ in sheet["tensors"]}
    for members, _start, size, chain in sorted(sheet["blocks"], key=lambda block: block[:2]):
        infos, block, at = [sheet["tensors"][member] for member in members], None, 0
        width = 4 if infos[0][1] == "C64" else SIZES.get(infos[0][1], 1)
        for pack, offset, length, kind, digest in chain:
            path = store / "params" / "packs" / sheet["packs"][pack]
            check(data := np.fromfile(path, "u1", length, offset=offset).tobytes(), digest, path)
            block = decode(kind, data, block, f"<u{width}")
        for name, dtype, shape, _ in infos:
            take = size if len(infos) == 1 else int(np.prod(shape)) * SIZES.get(dtype, 1)
            held[name] += block.tobytes()[at : at + take]
            at += take
    for name, dtype, shape, id_ in sheet["tensors"]:
        head = f"tidegate/tensor/1\n{dtype}\n{','.join(map(str, shape))}\n".encode()
        check(head + held[name], id_, name)
    return sheet, held


if __name__ == "__main__":
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    if not (Path(sys.argv[1]) / "params" / "versions" / sys.argv[2]).is_dir():
        sys.exit(f"no version {sys.argv[2]} in {sys.argv[1]}\n{__doc__}")
    told, tensors = read(Path(sys.argv[1]), sys.argv[2])
    for name, dtype, shape, id_ in told["tensors"]:
        print(f"{id_[:16]}  {dtype:7} {shape}  {name}")
    if len(sys.argv) > 3:
        if sys.argv[3] not in tensors:
            sys.exit(f"no tensor {sys.argv[3]} in this version: the names are above")
        Path(sys.argv[4]).write_bytes(tensors[sys.argv[3]])
