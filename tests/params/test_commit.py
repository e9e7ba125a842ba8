"""A version is there whole or not at all, and never comes back other than it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import IntegrityError, NotFound, ParamsError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.commit import commit, load, load_manifest, manifest_key, read_tensor
from tidegate.params.tensors import tensor_key

STRUCTURE = Structure(adapter="tensors", architecture={"note": "é", "sizes": [1, 2.5]})
TENSORS = {
    "a": Tensor("F32", (2,), b"12345678"),
    "b": Tensor("U8", (), b"x"),
    "empty": Tensor("F64", (0, 2), b""),
    "same as a": Tensor("F32", (2,), b"12345678"),
}


class Counting:
    """The store, counting puts, and failing at the ``fails_at``-th."""

    def __init__(self, objects, fails_at=None):
        self.objects, self.fails_at, self.puts = objects, fails_at, 0

    def __getattr__(self, name):
        return getattr(self.objects, name)

    def put(self, key, data):
        if self.puts == self.fails_at:
            raise KeyboardInterrupt
        self.puts += 1
        return self.objects.put(key, data)


def everything(objects):
    return {key: objects.get(key) for key, _ in objects.list("params/")}


def replace(objects, key, data):
    objects.delete(key)
    objects.put(key, data)


@given(data=st.data())
def test_what_is_committed_comes_back_to_the_last_bit(data, new_objects, any_tensors):
    objects, tensors = new_objects(), data.draw(any_tensors)
    manifest = commit(objects, STRUCTURE, tensors)
    assert load_manifest(objects, manifest.id) == manifest
    assert load(objects, manifest) == tensors
    assert [info.name for info in manifest.tensors] == sorted(tensors)


@given(data=st.data())
def test_the_same_tensors_in_any_order_are_the_same_version(data, new_objects, any_tensors):
    tensors = data.draw(any_tensors)
    shuffled = dict(data.draw(st.permutations(list(tensors.items()))))
    objects = new_objects()
    first = commit(objects, STRUCTURE, tensors)
    counting = Counting(objects)
    assert commit(counting, STRUCTURE, shuffled) == first
    assert counting.puts <= 1  # the manifest, which stood there already


def test_committing_twice_writes_nothing_new(objects):
    commit(objects, STRUCTURE, TENSORS)
    before = everything(objects)
    commit(objects, STRUCTURE, TENSORS)
    assert everything(objects) == before
    assert len(before) == 4  # three different tensors and a manifest


def test_a_changed_tensor_costs_that_tensor_and_a_manifest(objects):
    commit(objects, STRUCTURE, TENSORS)
    counting = Counting(objects)
    commit(counting, STRUCTURE, TENSORS | {"b": Tensor("U8", (), b"y")})
    assert counting.puts == 2


@pytest.mark.parametrize("fails_at", range(4))
def test_killed_between_two_writes_no_version_is_there_and_repeating_works(objects, fails_at):
    with pytest.raises(KeyboardInterrupt):
        commit(Counting(objects, fails_at), STRUCTURE, TENSORS)
    assert list(objects.list("params/manifests/")) == []
    assert load(objects, commit(objects, STRUCTURE, TENSORS)) == TENSORS


@given(data=st.data())
def test_any_byte_changed_in_any_object_is_found(data, new_objects, any_tensors):
    objects, tensors = new_objects(), data.draw(any_tensors)
    manifest = commit(objects, STRUCTURE, tensors)
    key = data.draw(st.sampled_from(sorted(k for k, size in objects.list("params/") if size)))
    raw = bytearray(objects.get(key))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    replace(objects, key, bytes(raw))
    with pytest.raises(IntegrityError):
        load(objects, load_manifest(objects, manifest.id))


def test_a_manifest_in_other_words_is_damaged(objects):
    manifest = commit(objects, STRUCTURE, TENSORS)
    key = manifest_key(manifest.id)
    raw = objects.get(key)
    for other in (
        raw + b" ",
        raw[:-1],
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        raw.replace("é".encode(), b"\\u00e9"),
        raw.replace(b'"size_bytes":8', b'"size_bytes":9'),
        raw.replace(b"manifest/1", b"manifest/2"),
        raw.replace(b"2.5", b"NaN"),
    ):
        assert other != raw
        replace(objects, key, other)
        with pytest.raises(IntegrityError, match="damaged"):
            load_manifest(objects, manifest.id)
        with pytest.raises(IntegrityError, match="damaged"):
            commit(objects, STRUCTURE, TENSORS)


def test_a_manifest_under_another_id_is_damaged(objects):
    one, other = (commit(objects, STRUCTURE, {"w": TENSORS[name]}) for name in ("a", "b"))
    replace(objects, manifest_key(one.id), objects.get(manifest_key(other.id)))
    with pytest.raises(IntegrityError, match=one.id):
        load_manifest(objects, one.id)


def test_a_missing_object_is_named(objects):
    manifest = commit(objects, STRUCTURE, TENSORS)
    objects.delete(tensor_key(manifest.tensors[1].id))
    with pytest.raises(IntegrityError, match="'b' is missing"):
        read_tensor(objects, manifest.tensors[1])
    assert load(objects, commit(objects, STRUCTURE, TENSORS)) == TENSORS  # the remedy it names
    objects.delete(manifest_key(manifest.id))
    with pytest.raises(IntegrityError, match=f"manifest of parameters {manifest.id} is missing"):
        load_manifest(objects, manifest.id)


def test_a_tensor_of_another_length_is_damaged(objects):
    manifest = commit(objects, STRUCTURE, {"w": TENSORS["a"]})
    for data in (b"1234567", b"123456789", b""):
        replace(objects, tensor_key(manifest.tensors[0].id), data)
        with pytest.raises(IntegrityError, match="'w' is damaged"):
            load(objects, manifest)


def test_named_tensors_alone_are_loaded(objects):
    manifest = commit(objects, STRUCTURE, TENSORS)
    objects.delete(tensor_key(manifest.tensors[0].id))
    assert load(objects, manifest, ["empty", "b", "b"]) == {n: TENSORS[n] for n in ("b", "empty")}
    assert load(objects, manifest, []) == {}
    with pytest.raises(NotFound, match=r"no tensor 'emty'.*nearest are: empty"):
        load(objects, manifest, ["b", "emty"])
    with pytest.raises(NotFound, match="nor any other"):
        load(objects, commit(objects, STRUCTURE, {}), ["w"])


def test_a_name_that_is_no_text_is_refused_before_anything_is_written(objects):
    with pytest.raises(ParamsError, match="not valid Unicode"):
        commit(objects, STRUCTURE, TENSORS | {"\ud800": TENSORS["b"]})
    assert everything(objects) == {}


def test_what_was_given_as_a_tuple_is_the_list_it_is_stored_as(objects):
    given = Structure(adapter="tensors", architecture={"sizes": (1, 2)})
    manifest = commit(objects, given, {})
    assert manifest.structure.architecture == {"sizes": [1, 2]}
    assert load_manifest(objects, manifest.id) == manifest


def test_progress_counts_every_byte_once(objects):
    told = []
    commit(objects, STRUCTURE, TENSORS, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (17, 17)
    assert told == sorted(told)
