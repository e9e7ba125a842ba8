"""Every damage is found and named with the versions it hurts."""

import json

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.commit import commit
from tidegate.params.fsck import fsck
from tidegate.params.packed.references import reference_key
from tidegate.params.packed.sheet import from_bytes, to_bytes

STRUCTURE = Structure(adapter="tensors")
RNG = np.random.default_rng(0)
A, B, C = (Tensor.of(RNG.normal(size=9000)) for _ in range(3))


def replace(objects, key, data):
    objects.delete(key)
    objects.put(key, data)


def flip(objects, key, at, bit):
    raw = bytearray(objects.get(key))
    raw[at] ^= bit
    replace(objects, key, bytes(raw))


def hurt(damages):
    return sorted((d.tensor or "", sorted(d.versions)) for d in damages)


def test_whole_versions_have_no_damage(objects):
    first = commit(objects, STRUCTURE, {"a": A, "b": B})
    second = commit(objects, STRUCTURE, {"a": A, "b": C}, [first.id])
    told = []
    versions = [("m@1", first.id), ("m@2", second.id), ("m@3", first.id)]
    assert fsck(objects, versions, progress=lambda *now: told.append(now)) == []
    assert told[-1] == (3 * 72_000, 3 * 72_000)  # three contents, each read once


@given(data=st.data())
def test_any_bit_changed_anywhere_is_found(data, new_objects, any_tensors):
    objects, versions, near = new_objects(), [], []
    for number in (1, 2, 3):
        manifest = commit(objects, STRUCTURE, data.draw(any_tensors), near)
        near = [manifest.id]
        versions.append((f"m@{number}", manifest.id))
    keys = sorted(k for k, _ in objects.list("params/") if not k.startswith("params/diffs"))
    key = keys[data.draw(st.integers(0, 1 << 32)) % len(keys)]
    at = data.draw(st.integers(0, 1 << 32)) % len(objects.get(key))  # names and sizes vary
    flip(objects, key, at, 1 << data.draw(st.integers(0, 7)))
    assert fsck(objects, versions)


def test_any_bit_of_a_delta_is_found(new_objects):
    objects, values, near, versions = new_objects(), RNG.normal(size=(2, 20_000)), [], []
    for number in range(6):
        tensors = {str(i): Tensor.of(values[i]) for i in range(2)}
        near = [commit(objects, STRUCTURE, tensors, near).id, *near]
        versions.append((f"m@{number}", near[0]))
        values = values * (1 + RNG.normal(scale=1e-6, size=values.shape))
    for key, size in list(objects.list("params/")):
        if key.startswith("params/diffs"):
            continue  # worth nothing: a damaged one is worked out anew
        for _ in range(40):
            at, bit = int(RNG.integers(size)), 1 << int(RNG.integers(8))
            flip(objects, key, at, bit)
            assert fsck(objects, versions), (key, at, bit)
            flip(objects, key, at, bit)
    assert fsck(objects, versions) == []


def test_damage_names_the_tensor_and_every_version(objects):
    first = commit(objects, STRUCTURE, {"a": A, "b": B})
    second = commit(objects, STRUCTURE, {"a": A, "b": C}, [first.id])
    third = commit(objects, STRUCTURE, {"tied": A, "b": C}, [second.id])
    versions = [("m@1", first.id), ("m@2", second.id), ("m@3", third.id), ("other@1", first.id)]
    sheet = from_bytes(objects.get(reference_key(first.id, 0)))
    frame = sheet.blocks[0].chain[0]
    key = f"params/packs/{frame.pack}"
    flip(objects, key, frame.offset, 1)
    damages = fsck(objects, versions)
    assert hurt(damages) == [("a", ["m@1", "m@2", "other@1"]), ("tied", ["m@3"])]
    assert {damage.key for damage in damages} == {key}
    objects.delete(key)
    damages = fsck(objects, versions)
    assert hurt(damages) == [
        ("a", ["m@1", "m@2", "other@1"]),
        ("b", ["m@1", "other@1"]),
        ("tied", ["m@3"]),
    ]
    assert {str(d.message).split(":")[0] for d in damages} == {
        "tensor 'a' is missing",
        "tensor 'b' is missing",
        "tensor 'tied' is missing",
    }


def test_a_damaged_sheet_hurts_its_versions_and_hides_no_other(objects):
    first = commit(objects, STRUCTURE, {"a": A})
    second = commit(objects, STRUCTURE, {"b": B})
    objects.delete(reference_key(first.id, 0))
    sheet = from_bytes(objects.get(reference_key(second.id, 0)))
    objects.delete(f"params/packs/{sheet.blocks[0].chain[0].pack}")
    damages = fsck(objects, [("m@1", first.id), ("m@2", second.id)])
    assert hurt(damages) == [("", ["m@1"]), ("b", ["m@2"])]
    assert damages[0].key == reference_key(first.id, 0)


def test_bytes_replaced_with_their_hashes_are_still_found(objects):
    """Who can write the store can make every hash of the encoding true, but not the id."""
    first, other = (commit(objects, STRUCTURE, {"a": t}) for t in (A, B))
    sheets = [from_bytes(objects.get(reference_key(m.id, 0))) for m in (first, other)]
    lie = sheets[0]._replace(blocks=sheets[1].blocks)
    replace(objects, reference_key(first.id, 0), to_bytes(lie))
    assert hurt(fsck(objects, [("m@1", first.id), ("m@2", other.id)])) == [("a", ["m@1"])]


def test_an_object_that_cannot_be_read_is_a_damage(objects, monkeypatch):
    manifest = commit(objects, STRUCTURE, {"a": A})

    def broken(*given):
        raise StorageError("the disk cannot read '{key}'", do="replace the disk", key="k")

    monkeypatch.setattr(type(objects), "read_into", broken)
    (damage,) = fsck(objects, [("m@1", manifest.id)])
    assert (damage.tensor, str(damage.message)) == ("a", "the disk cannot read 'k'")


def lied(objects, id_, change):
    """A sheet with a change of what it says, and a true hash: whoever may write can do that."""
    key = reference_key(id_, 0)
    body = json.loads(objects.get(key).partition(b"\n")[2])
    change(body)
    raw = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    replace(objects, key, blake3(raw).hexdigest().encode() + b"\n" + raw)


@pytest.mark.parametrize("told", [{}, {"a": [1, 0]}, {"b": [1, 0]}])
def test_a_sheet_that_hides_or_invents_nan_is_damaged(objects, told):
    broken = Tensor.of(np.full(9000, np.nan))
    manifest = commit(objects, STRUCTURE, {"a": broken, "b": Tensor.of(np.zeros(3))})
    other = commit(objects, STRUCTURE, {"a": broken, "b": Tensor.of(np.ones(3))}, [manifest.id])
    lied(objects, manifest.id, lambda body: body.update(nonfinite=told))
    versions = [("m@1", manifest.id), ("m@2", other.id)]
    found = fsck(objects, versions)
    assert {(d.tensor, tuple(d.versions)) for d in found} == {
        (name, ("m@1",)) for name in {"a", *told}
    }
    assert all(d.key == reference_key(manifest.id, 0) for d in found)
    assert "does not say so" in found[0].message.text()


def test_what_else_is_damaged_is_found_beside_a_sheet_of_nonsense(objects):
    first, second = (commit(objects, STRUCTURE, {"a": tensor}) for tensor in (A, B))
    lied(objects, first.id, lambda body: body["blocks"][0][3][0].__setitem__(1, 1 << 70))
    for key, _ in objects.list("params/packs"):
        flip(objects, key, 0, 1)
    found = fsck(objects, [("m@1", first.id), ("m@2", second.id)])
    assert hurt(found) == [("", ["m@1"]), ("a", ["m@2"])]
