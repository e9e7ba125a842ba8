"""A sheet says what it was made to say, or is nothing; blocks hold every byte exactly once."""

import json

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.domain.version import Structure, TensorInfo
from tidegate.params.checkout import load
from tidegate.params.commit import commit
from tidegate.params.packed.blocks import SMALL_BYTES, cut
from tidegate.params.packed.codec import MAX_BLOCK_BYTES
from tidegate.params.packed.references import read_sheet
from tidegate.params.packed.sheet import MAX_DELTAS, from_bytes, to_bytes
from tidegate.params.repack import shorten

STRUCTURE = Structure(adapter="tensors", architecture={"note": "é", "sizes": [1, 2.5]})


def sheet_of(objects, tensors):
    return read_sheet(objects, commit(objects, STRUCTURE, tensors).id)


@given(data=st.data())
def test_a_sheet_comes_back(data, new_objects, any_tensors):
    sheet = sheet_of(new_objects(), data.draw(any_tensors))
    assert from_bytes(to_bytes(sheet)) == sheet


def lying(sheet, change):
    """The sheet's bytes with a change of what they say and a true hash."""
    body = json.loads(to_bytes(sheet).partition(b"\n")[2])
    change(body)
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return blake3(raw).hexdigest().encode() + b"\n" + raw


def block(body, part, value):
    body["blocks"][0][part] = value


def frame(body, part, value):
    body["blocks"][0][3][0][part] = value


LIES = {
    "another format": lambda b: b.update(format="tidegate/params/2"),
    "another id": lambda b: b.update(id="0" * 64),
    "another name": lambda b: b["tensors"][0].__setitem__(0, "z"),
    "another tensor id": lambda b: b["tensors"][0].__setitem__(3, "0" * 64),
    "an id that is no hash": lambda b: b["tensors"][0].__setitem__(3, "../../x"),
    "an unknown dtype": lambda b: b["tensors"][0].__setitem__(1, "F3"),
    "a negative shape": lambda b: b["tensors"][0].__setitem__(2, [-1, -2]),
    "a larger shape": lambda b: b["tensors"][0].__setitem__(2, [3]),
    "tensors out of order": lambda b: b["tensors"].reverse(),
    "no tensors": lambda b: b.pop("tensors"),
    "no blocks": lambda b: b.update(blocks=[]),
    "a block twice": lambda b: b["blocks"].append(b["blocks"][0]),
    "no members": lambda b: block(b, 0, []),
    "a member that is none": lambda b: block(b, 0, [99]),
    "a negative member": lambda b: block(b, 0, [-1]),
    "a block that starts later": lambda b: block(b, 1, 8),
    "a block that is longer": lambda b: block(b, 2, 1 << 40),
    "a block that is shorter": lambda b: block(b, 2, 8),
    "no frames": lambda b: block(b, 3, []),
    "too many frames": lambda b: block(b, 3, b["blocks"][0][3] * (MAX_DELTAS + 2)),
    "two anchors": lambda b: block(b, 3, b["blocks"][0][3] * 2),
    "a pack that is none": lambda b: frame(b, 0, 99),
    "a pack outside the store": lambda b: b.update(packs=["../x"]),
    "a negative offset": lambda b: frame(b, 1, -1),
    "an endless frame": lambda b: frame(b, 2, 1 << 60),
    "an unknown kind": lambda b: frame(b, 3, "pickle"),
    "a delta as the anchor": lambda b: frame(b, 3, "ulp"),
    "no hash": lambda b: frame(b, 4, None),
    "text for a number": lambda b: frame(b, 1, "x"),
    "an offset beyond any file": lambda b: frame(b, 1, (1 << 63) - 1),
    "an offset beyond any number": lambda b: frame(b, 1, float("inf")),
    "an offset that is no number": lambda b: frame(b, 1, float("nan")),
    "a pack that is half a number": lambda b: frame(b, 0, 0.0),
    "a pack that is yes or no": lambda b: frame(b, 0, False),
    "a start that is beyond any number": lambda b: block(b, 1, float("inf")),
    "a member that is text": lambda b: block(b, 0, "0"),
    "a shape of halves": lambda b: b["tensors"][0].__setitem__(2, [9000.0]),
    "a shape of yes and no": lambda b: b["tensors"][1].__setitem__(2, [2, True]),
    "a name that is none": lambda b: b["tensors"][0].__setitem__(0, None),
    "an id that is a number": lambda b: b["tensors"][0].__setitem__(3, 5),
    "a list of what is not finite": lambda b: b.update(nonfinite=[]),
    "no tensor that is not finite": lambda b: b.update(nonfinite={"z": [1, 0]}),
    "nothing that is not finite": lambda b: b.update(nonfinite={"a": [0, 0]}),
    "not finite beyond any place": lambda b: b.update(nonfinite={"a": [1, 1 << 63]}),
    "nesting without end": lambda b: b.update(structure=None),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_sheet_that_lies_is_nothing(lie, new_objects):
    rng = np.random.default_rng(0)
    tensors = {"a": Tensor.of(rng.normal(size=9000)), "b": Tensor.of(rng.normal(size=2))}
    sheet = sheet_of(new_objects(), tensors)
    assert from_bytes(lying(sheet, lambda body: None)) == sheet
    assert from_bytes(lying(sheet, LIES[lie])) is None


@given(raw=st.binary(max_size=100))
def test_any_bytes_with_a_true_hash_are_nothing(raw):
    assert from_bytes(blake3(raw).hexdigest().encode() + b"\n" + raw) is None
    assert from_bytes(raw) is None


@given(
    told=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.tuples(
            st.sampled_from(sorted(DTYPE_BYTES)),
            st.sampled_from([0, 1, 7, 1000, SMALL_BYTES // 8, SMALL_BYTES, 3 * MAX_BLOCK_BYTES]),
        ),
        max_size=30,
    )
)
def test_every_byte_is_in_exactly_one_block(told):
    infos = [
        TensorInfo(name=n, id="", dtype=d, shape=[size], size_bytes=size * DTYPE_BYTES[d])
        for n, (d, size) in sorted(told.items(), key=lambda item: item[0].encode())
    ]
    covered = {}
    for span in cut(infos):
        assert 0 < span.size <= MAX_BLOCK_BYTES
        assert len({infos[member].dtype for member in span.members}) == 1
        start = span.start
        for member in span.members:
            take = span.size if len(span.members) == 1 else infos[member].size_bytes
            covered.setdefault(member, []).append((start, start + take))
            assert start % DTYPE_BYTES[infos[member].dtype] == 0
            start = 0
    for position, info in enumerate(infos):
        parts = sorted(covered.get(position, []))
        assert sum(stop - start for start, stop in parts) == info.size_bytes
        assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]


def test_many_tiny_tensors_are_a_handful_of_objects(objects):
    rng = np.random.default_rng(0)
    tensors = {f"layer.{i}.bias": Tensor.of(rng.normal(size=4)) for i in range(3000)}
    sheet = sheet_of(objects, tensors)
    assert len(sheet.blocks) < 20
    assert len(list(objects.list("params/"))) == 2


def test_chains_are_bounded_and_shortened_without_changing_the_id(objects):
    rng = np.random.default_rng(0)
    values, near, kept = rng.normal(size=9000), [], {}
    depths = []
    for _ in range(40):
        tensors = {"w": Tensor.of(values)}
        id_ = commit(objects, STRUCTURE, tensors, near[:1]).id
        near, kept[id_] = [id_, *near], tensors
        depths.append(len(read_sheet(objects, id_).blocks[0].chain) - 1)
        moved = rng.random(values.size) < 0.001
        values = np.where(moved, rng.normal(size=values.size), values)
    assert max(depths) == MAX_DELTAS
    assert 0 in depths
    deepest = near[len(depths) - 1 - depths.index(MAX_DELTAS)]
    assert shorten(objects, deepest)
    assert not shorten(objects, deepest)
    sheet = read_sheet(objects, deepest)
    assert [len(block.chain) for block in sheet.blocks] == [2]
    for id_, tensors in kept.items():
        assert load(objects, read_sheet(objects, id_).manifest) == tensors


def depths_of(objects, step, versions):
    """How many deltas each of some versions has, each made of the one before by ``step``."""
    values, near, depths = np.random.default_rng(0).normal(size=300_000).astype("f4"), [], []
    for _ in range(versions):
        near = [commit(objects, STRUCTURE, {"w": Tensor.of(values)}, near).id]
        depths.append(len(read_sheet(objects, near[0]).blocks[0].chain) - 1)
        values = step(values)
    return depths


def test_chains_grow_only_where_that_saves_much(objects):
    rng = np.random.default_rng(1)

    def all_moved(values):  # the second step from the anchor is 3% larger than the first
        return values * (1 + rng.normal(scale=1e-3, size=values.size)).astype("f4")

    def some_moved(values):  # the second step from the anchor is twice as large
        return np.where(rng.random(values.size) < 0.01, all_moved(values), values)

    assert depths_of(objects, all_moved, 5) == [0, 1, 1, 1, 1]
    assert depths_of(objects, some_moved, 9) == [0, 1, 2, 3, 4, 5, 1, 2, 3]
