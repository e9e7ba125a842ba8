"""Codecs alone, on the same pairs of blocks: ratio, and GB/s in and out on all cores.

Runs in the peers' environment: ``python codecs.py OLD NEW WIDTH``, two files of raw elements of
WIDTH bytes. zstd and blosc2 are given what each can use best: blosc2 the integer difference in
zigzag order, as Tidegate computes it, with byte or bit planes apart; the time of that difference
is not counted for them.
"""

import json
import os
import sys
import time

import blosc2
import numpy as np
import zipnn
import zstandard

THREADS = os.cpu_count() or 1


def measured(size, compress, decompress):
    """Compressed, best of three each way."""
    seconds = {"in": [], "out": []}
    for _ in range(3):
        start = time.perf_counter()
        packed = compress()
        seconds["in"].append(time.perf_counter() - start)
        start = time.perf_counter()
        decompress(packed)
        seconds["out"].append(time.perf_counter() - start)
    return {
        "share": len(packed) / size,
        "in": size / min(seconds["in"]) / 1e9,
        "out": size / min(seconds["out"]) / 1e9,
    }


def blosc(bits, planes):
    def options():
        return blosc2.CParams(
            codec=blosc2.Codec.ZSTD, clevel=1, typesize=bits.itemsize, nthreads=THREADS,
            filters=[planes], filters_meta=[0],
        )  # fmt: skip

    return measured(
        bits.nbytes,
        lambda: blosc2.compress2(bits, cparams=options()),
        lambda packed: blosc2.decompress2(packed, dparams=blosc2.DParams(nthreads=THREADS)),
    )


def main(old, new):
    signed = np.dtype(f"<i{new.itemsize}")
    steps = (new - old).view(signed)
    zigzag = ((steps << 1) ^ (steps >> (8 * new.itemsize - 1))).view(new.dtype)
    raw, size = new.tobytes(), new.nbytes
    zstd = zstandard.ZstdCompressor(level=1, threads=THREADS)
    dtype = {4: "float32", 2: "bfloat16"}[new.itemsize]
    found = {
        "zstd-1, the new version alone": measured(
            size, lambda: zstd.compress(raw), zstandard.ZstdDecompressor().decompress
        ),
        "blosc2, integer difference, byte planes": blosc(zigzag, blosc2.Filter.SHUFFLE),
        "blosc2, integer difference, bit planes": blosc(zigzag, blosc2.Filter.BITSHUFFLE),
        "blosc2, XOR, byte planes": blosc(new ^ old, blosc2.Filter.SHUFFLE),
    }
    alone = zipnn.ZipNN(method="auto", bytearray_dtype=dtype, threads=THREADS)
    found["zipnn, the new version alone"] = measured(
        size, lambda: alone.compress(raw), alone.decompress
    )
    apart = (new ^ old).tobytes()
    found["zipnn, XOR"] = measured(size, lambda: alone.compress(apart), alone.decompress)
    return found


if __name__ == "__main__":
    old, new = (np.fromfile(path, f"<u{sys.argv[3]}") for path in sys.argv[1:3])
    print(json.dumps(main(old, new)))
