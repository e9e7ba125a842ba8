"""Every damage is found and named with the versions it hurts; only garbage is freed."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import IntegrityError, StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.commit import commit, load, manifest_key
from tidegate.params.fsck import Freed, fsck, gc
from tidegate.params.tensors import tensor_key

STRUCTURE = Structure(adapter="tensors")
A, B, C = (Tensor.of(np.array([x, x])) for x in (1.0, 2.0, 3.0))


def replace(objects, key, data):
    objects.delete(key)
    objects.put(key, data)


def hurt(damages):
    return sorted((d.tensor or "", sorted(d.versions)) for d in damages)


def test_whole_versions_have_no_damage(objects):
    first, second = (commit(objects, STRUCTURE, {"a": A, "b": t}) for t in (B, C))
    told = []
    versions = [("m@1", first.id), ("m@2", second.id), ("m@3", first.id)]
    assert fsck(objects, versions, progress=lambda *now: told.append(now)) == []
    assert told[-1] == (48, 48)  # three tensors, each read once


@given(data=st.data())
def test_any_byte_changed_anywhere_is_found(data, new_objects, any_tensors):
    objects = new_objects()
    versions = [
        (f"m@{number}", commit(objects, STRUCTURE, data.draw(any_tensors)).id) for number in (1, 2)
    ]
    key = data.draw(st.sampled_from(sorted(k for k, size in objects.list("params/") if size)))
    raw = bytearray(objects.get(key))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    replace(objects, key, bytes(raw))
    # A manifest that tells another dtype or size is found at the tensor it tells it of.
    assert fsck(objects, versions)


def test_damage_names_the_tensor_and_every_version(objects):
    first = commit(objects, STRUCTURE, {"a": A, "b": B})
    second = commit(objects, STRUCTURE, {"a": A, "b": C})
    third = commit(objects, STRUCTURE, {"tied": A, "b": C})
    key = tensor_key(first.tensors[0].id)
    versions = [("m@1", first.id), ("m@2", second.id), ("m@3", third.id), ("other@1", first.id)]
    replace(objects, key, bytes(16))
    assert hurt(fsck(objects, versions)) == [("a", ["m@1", "m@2", "other@1"]), ("tied", ["m@3"])]
    objects.delete(key)
    damages = fsck(objects, versions)
    assert hurt(damages) == [("a", ["m@1", "m@2", "other@1"]), ("tied", ["m@3"])]
    assert [str(d.message).split(":")[0] for d in damages] == [
        "tensor 'a' is missing",
        "tensor 'tied' is missing",
    ]


def test_a_damaged_manifest_hurts_its_versions_and_hides_no_other(objects):
    first = commit(objects, STRUCTURE, {"a": A})
    second = commit(objects, STRUCTURE, {"b": B})
    objects.delete(manifest_key(first.id))
    objects.delete(tensor_key(second.tensors[0].id))
    damages = fsck(objects, [("m@1", first.id), ("m@2", second.id)])
    assert hurt(damages) == [("", ["m@1"]), ("b", ["m@2"])]
    assert damages[0].key == manifest_key(first.id)


def test_a_manifest_that_lies_of_a_shared_tensor_is_found(objects):
    first = commit(objects, STRUCTURE, {"a": A})
    second = commit(objects, STRUCTURE, {"a": A, "b": B})
    key = manifest_key(second.id)
    told, other = (
        b'"dtype":"%s","id":"%s' % (d, first.tensors[0].id.encode()) for d in (b"F64", b"I64")
    )
    lie = objects.get(key).replace(told, other)
    assert lie != objects.get(key)
    replace(objects, key, lie)
    assert hurt(fsck(objects, [("m@1", first.id), ("m@2", second.id)])) == [("a", ["m@2"])]


def test_an_object_that_cannot_be_read_is_a_damage(objects, monkeypatch):
    manifest = commit(objects, STRUCTURE, {"a": A})

    def broken(*given):
        raise StorageError("the disk cannot read '{key}'", do="replace the disk", key="k")

    monkeypatch.setattr(type(objects), "get_range", broken)
    (damage,) = fsck(objects, [("m@1", manifest.id)])
    assert (damage.tensor, str(damage.message)) == ("a", "the disk cannot read 'k'")


def later():
    return time.time() + 3600


def test_only_what_nothing_refers_to_is_freed(objects):
    live = commit(objects, STRUCTURE, {"a": A, "b": B})
    dead = commit(objects, STRUCTURE, {"a": A, "b": C})
    freed = gc(objects, {live.id}, grace_seconds=60, now=later)
    assert (freed.manifests, freed.tensors) == (1, 1)
    assert freed.size_bytes > 16
    assert load(objects, live) == {"a": A, "b": B}
    with pytest.raises(IntegrityError):
        load(objects, dead)
    assert gc(objects, {live.id}, grace_seconds=60, now=later) == Freed()


def test_the_grace_period_protects_a_commit_in_progress(objects):
    objects.put(tensor_key("0" * 64), b"of a commit that has no manifest yet")
    young = commit(objects, STRUCTURE, {"a": A})
    assert gc(objects, set(), grace_seconds=7200, now=later) == Freed()
    assert load(objects, young) == {"a": A}
    freed = gc(objects, set(), grace_seconds=60, now=later)
    assert (freed.manifests, freed.tensors) == (1, 2)
    assert list(objects.list("params/")) == []


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_nothing_is_freed_while_a_live_manifest_cannot_be_read(objects, harm):
    live, dead = (commit(objects, STRUCTURE, {"a": t}) for t in (A, B))
    objects.delete(manifest_key(live.id))
    if harm == "damaged":
        objects.put(manifest_key(live.id), b"{}")
    before = sorted(objects.list("params/"))
    with pytest.raises(IntegrityError, match=harm):
        gc(objects, {live.id}, grace_seconds=60, now=later)
    assert sorted(objects.list("params/")) == before
    assert (manifest_key(dead.id), len(objects.get(manifest_key(dead.id)))) in before


def test_other_rooms_objects_are_not_touched(objects):
    objects.put("snapshots/x", b"data")
    gc(objects, set(), grace_seconds=60, now=later)
    assert objects.get("snapshots/x") == b"data"
