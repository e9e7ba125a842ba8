"""A version is there whole or not at all, costs what changed, and comes back to the last bit."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import IntegrityError, Missing, NotFound, ParamsError
from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.domain.version import Structure
from tidegate.params.checkout import load, load_manifest
from tidegate.params.commit import commit
from tidegate.params.fsck import fsck
from tidegate.params.packed.packs import PackWriter
from tidegate.params.packed.references import newest, read_sheet, reference_key
from tidegate.params.packed.sheet import to_bytes
from tidegate.params.source import Held
from tidegate.store.objects import Objects

STRUCTURE = Structure(adapter="tensors", architecture={"note": "é", "sizes": [1, 2.5]})
TENSORS = {
    "a": Tensor("F32", (2,), b"12345678"),
    "b": Tensor("U8", (), b"x"),
    "empty": Tensor("F64", (0, 2), b""),
    "same as a": Tensor("F32", (2,), b"12345678"),
}


class Counting:
    """The store, counting objects put, and failing at the ``fails_at``-th."""

    def __init__(self, objects, fails_at=None):
        self.objects, self.fails_at, self.puts = objects, fails_at, 0

    def __getattr__(self, name):
        return getattr(self.objects, name)

    def put(self, key, data, *, durable=True):
        return self.counted(lambda: self.objects.put(key, data, durable=durable))

    def upload(self, key):
        upload = self.objects.upload(key)
        finish = upload.finish
        upload.finish = lambda: self.counted(finish)
        return upload

    def counted(self, put):
        if self.puts == self.fails_at:
            raise KeyboardInterrupt
        self.puts += 1
        return put()


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
    before = everything(objects)
    assert commit(objects, STRUCTURE, shuffled) == first
    assert everything(objects) == before


def test_committing_twice_writes_nothing_new(objects):
    commit(objects, STRUCTURE, TENSORS)
    before = everything(objects)
    assert len(before) == 2  # a pack and a sheet; the lease was given back
    commit(objects, STRUCTURE, TENSORS)
    assert everything(objects) == before


def grown(objects, structure, tensors, near):
    """Bytes by which the packs grow, and the manifest."""
    before = sum(size for _, size in objects.list("params/packs/"))
    manifest = commit(objects, structure, tensors, near)
    assert load(objects, manifest) == tensors
    return sum(size for _, size in objects.list("params/packs/")) - before, manifest


def test_a_version_costs_what_changed_from_those_near(objects):
    rng = np.random.default_rng(0)
    large = {str(i): Tensor.of(rng.normal(size=40_000)) for i in range(3)}
    small = {f"s{i}": Tensor.of(rng.normal(size=8)) for i in range(3)}
    first = commit(objects, STRUCTURE, large | small)
    near = [first.id]
    one_more = large | small | {"0": Tensor.of(rng.normal(size=40_000))}
    cost, second = grown(objects, STRUCTURE, one_more, near)
    assert 0.8 * 320_000 < cost <= 320_000
    moved = large["1"].numpy().copy()
    moved[[7, 39_999]] += 1e-9
    cost, _ = grown(objects, STRUCTURE, one_more | {"1": Tensor.of(moved)}, [second.id])
    assert cost < 200
    # Back to what an older near version had, under other names and with rows appended.
    assert grown(objects, STRUCTURE, large | small, [second.id, first.id])[0] == 0
    renamed = {"new " + name: tensor for name, tensor in large.items()}
    assert grown(objects, STRUCTURE, renamed | small, near)[0] == 0
    changed_structure = Structure(adapter="tensors", architecture={"other": 1})
    assert grown(objects, changed_structure, large | small, near)[0] == 0


def test_appended_rows_leave_the_blocks_before_them_alone(objects):
    rows = np.random.default_rng(0).normal(size=(1100, 1000))
    first = commit(objects, STRUCTURE, {"w": Tensor.of(rows[:1060])})
    cost, _ = grown(objects, STRUCTURE, {"w": Tensor.of(rows)}, [first.id])
    assert cost < rows.nbytes - 2 * (4 << 20) + 1


def test_one_small_tensor_more_moves_few_others(objects):
    rng = np.random.default_rng(0)
    tensors = {f"layer.{i:04d}": Tensor.of(rng.normal(size=128)) for i in range(1000)}
    first = commit(objects, STRUCTURE, tensors)
    assert len(everything(objects)) == 2
    more = {"layer.0500b": Tensor.of(rng.normal(size=128))}
    cost, _ = grown(objects, STRUCTURE, tensors | more, [first.id])
    assert cost < 150_000  # of a million


@pytest.mark.parametrize("fails_at", range(3))
def test_killed_between_two_writes_no_version_is_there_and_repeating_works(objects, fails_at):
    with pytest.raises(KeyboardInterrupt):
        commit(Counting(objects, fails_at), STRUCTURE, TENSORS)
    # At a distance, a sheet that was sent may yet arrive: its packs are left to gc.
    left = {key.split("/")[1] for key in everything(objects)}
    assert left == ({"packs"} if objects.remote and fails_at == 2 else set())
    assert load(objects, commit(objects, STRUCTURE, TENSORS)) == TENSORS


@st.composite
def histories(draw):
    """Versions in a row, each a change of the one before, of one or another kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tensors = {}
    versions = []
    for _ in range(draw(st.integers(2, 9))):
        for name in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4)):
            dtype = (
                tensors[name].dtype
                if name in tensors
                else draw(st.sampled_from(sorted(DTYPE_BYTES)))
            )
            kind = draw(st.sampled_from(["new", "few", "near", "flip", "remove"]))
            tensors = _changed(tensors, name, dtype, kind, rng)
        versions.append(dict(tensors))
    return versions


def _changed(tensors, name, dtype, kind, rng):
    width = DTYPE_BYTES[dtype]
    if kind == "remove":
        return {other: tensor for other, tensor in tensors.items() if other != name}
    if kind == "new" or name not in tensors:
        size = int(rng.integers(0, 30_000))
        return tensors | {name: Tensor(dtype, (size,), rng.bytes(size * width))}
    old = tensors[name]
    bits = np.frombuffer(old.data, f"<u{width}").copy()
    if kind == "few":
        bits[rng.random(bits.size) < 0.001] += 1
    elif kind == "near":
        bits += rng.integers(0, 3, bits.size).astype(bits.dtype)
    else:
        bits ^= bits.dtype.type(1 << (8 * width - 1))
    return tensors | {name: Tensor(dtype, old.shape, bits.tobytes())}


@given(versions=histories())
def test_every_version_of_a_history_comes_back_to_the_last_bit(versions, new_objects):
    objects, made = new_objects(), []
    for tensors in versions:
        made.append(commit(objects, STRUCTURE, tensors, [m.id for m in reversed(made)][:2]))
    for manifest, tensors in zip(made, versions, strict=True):
        assert load(objects, manifest) == tensors
        assert manifest == commit(new_objects(), STRUCTURE, tensors)  # ids know no encoding


@given(data=st.data())
def test_any_byte_changed_in_any_object_is_found(data, new_objects, any_tensors):
    objects, tensors = new_objects(), data.draw(any_tensors)
    manifest = commit(objects, STRUCTURE, tensors)
    keys = sorted(k for k, size in objects.list("params/") if size)
    key = keys[data.draw(st.integers(0, 1 << 32)) % len(keys)]
    raw = bytearray(objects.get(key))
    raw[data.draw(st.integers(0, 1 << 32)) % len(raw)] ^= data.draw(st.integers(1, 255))
    replace(objects, key, bytes(raw))
    with pytest.raises(IntegrityError):
        load(objects, load_manifest(objects, manifest.id))


def test_a_sheet_under_another_id_is_damaged(objects):
    one, other = (commit(objects, STRUCTURE, {"w": TENSORS[name]}) for name in ("a", "b"))
    replace(objects, reference_key(one.id, 0), objects.get(reference_key(other.id, 0)))
    with pytest.raises(IntegrityError, match=one.id):
        load_manifest(objects, one.id)


def only_pack(objects):
    (key,) = (key for key, _ in objects.list("params/packs/"))
    return key


def test_what_is_missing_is_named_and_committing_again_is_the_remedy(objects):
    manifest = commit(objects, STRUCTURE, TENSORS)
    objects.delete(only_pack(objects))
    with pytest.raises(Missing, match="'b' is missing"):
        load(objects, manifest, ["b"])
    assert load(objects, commit(objects, STRUCTURE, TENSORS, [manifest.id])) == TENSORS
    objects.delete(newest(objects, manifest.id).key)
    objects.delete(reference_key(manifest.id, 0))
    with pytest.raises(IntegrityError, match=f"parameters {manifest.id} are missing"):
        load_manifest(objects, manifest.id)
    assert load(objects, commit(objects, STRUCTURE, TENSORS, [manifest.id])) == TENSORS


def test_a_damaged_sheet_is_replaced_by_committing_again(objects):
    manifest = commit(objects, STRUCTURE, TENSORS)
    replace(objects, reference_key(manifest.id, 0), b"")
    with pytest.raises(IntegrityError, match="damaged"):
        load_manifest(objects, manifest.id)
    assert load(objects, commit(objects, STRUCTURE, TENSORS, [manifest.id])) == TENSORS


def test_a_damaged_parent_is_not_built_on(objects):
    rng = np.random.default_rng(0)
    values = rng.normal(size=40_000)
    first = commit(objects, STRUCTURE, {"w": Tensor.of(values)})
    key = only_pack(objects)
    raw = bytearray(objects.get(key))
    raw[1000] ^= 1
    replace(objects, key, bytes(raw))
    moved = {"w": Tensor.of(values * (1 + 1e-9))}
    assert load(objects, commit(objects, STRUCTURE, moved, [first.id])) == moved


def test_a_pack_of_another_length_is_damaged(objects):
    manifest = commit(objects, STRUCTURE, {"w": TENSORS["a"]})
    key = only_pack(objects)
    raw = objects.get(key)
    for data in (raw[:-1], b""):
        replace(objects, key, data)
        with pytest.raises(IntegrityError, match="'w' is damaged"):
            load(objects, manifest)


def test_named_tensors_alone_are_loaded(objects):
    manifest = commit(objects, STRUCTURE, TENSORS)
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


class Changing:
    """A source whose tensor is not the same when it is read again."""

    names = ("w",)
    watched = False

    def __init__(self):
        self.reads = 0

    def check(self):
        pass

    def info(self, name):
        return Tensor("U8", (100_000,), bytes(100_000))

    def read_part(self, name, start, room):
        self.reads += 1
        room[:] = bytes([self.reads]) * len(room)
        return room


def test_a_tensor_changed_meanwhile_is_refused_and_nothing_stays(objects):
    with pytest.raises(ParamsError, match="'w' was changed while it was read"):
        commit(objects, STRUCTURE, Changing())
    assert everything(objects) == {}


def test_what_is_stored_is_what_was_hashed_whoever_writes_to_it_meanwhile(objects, monkeypatch):
    memory = bytearray(np.random.default_rng(0).bytes(100_000))
    before = bytes(memory)
    add = PackWriter.add

    def late(writer, encoded):
        memory[:] = bytes(len(memory))
        return add(writer, encoded)

    monkeypatch.setattr(PackWriter, "add", late)
    manifest = commit(objects, STRUCTURE, {"w": Tensor("U8", (len(memory),), memoryview(memory))})
    assert bytes(load(objects, manifest)["w"].data) == before


HARMS = {
    "cut": lambda raw: raw[: len(raw) // 2],
    "changed": lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
}
RNG = np.random.default_rng(0)
LARGE, SMALL = Tensor.of(RNG.normal(size=20_000)), Tensor.of(RNG.normal(size=300))


def harmed(objects, harm, aged):
    """A store with a version whose only pack was harmed, some time after it was committed."""
    manifest = commit(objects, STRUCTURE, {"a": LARGE, "b": SMALL})
    ((pack, _),) = objects.list("params/packs")
    replace(objects, pack, HARMS[harm](objects.get(pack)))
    if aged:
        for path in (p for p in aged.rglob("*") if p.is_file()):
            os.utime(path, (0, 0))
    return manifest


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("age", ["young", "old"])
@pytest.mark.parametrize("watched", [True, False])
def test_committing_again_repairs(tmp_path, harm, age, watched):
    """What was cut is seen at once; what was changed, when asked to look."""
    objects = Objects.open(str(tmp_path / "o"))
    tensors = {"a": LARGE, "b": SMALL}
    manifest = harmed(objects, harm, tmp_path / "o" if age == "old" else None)
    with pytest.raises(IntegrityError):
        load(objects, manifest)
    source = Held(tensors)
    source.watched = watched
    again = commit(objects, STRUCTURE, source, [manifest.id], repair=harm == "changed")
    assert again == manifest
    assert load(objects, manifest) == tensors
    assert fsck(objects, [("m@1", manifest.id)]) == []


@pytest.mark.parametrize("harm", HARMS)
def test_a_new_version_is_not_damaged_at_birth(objects, harm):
    manifest = harmed(objects, harm, None)
    changed = {"a": LARGE, "b": Tensor.of(RNG.normal(size=300))}
    made = commit(objects, STRUCTURE, changed, [manifest.id], repair=harm == "changed")
    assert load(objects, made) == changed


def test_a_repair_stores_nothing_again_that_is_whole(objects):
    tensors = {"a": LARGE, "b": SMALL, "c": Tensor.of(np.array([np.nan]))}
    manifest = commit(objects, STRUCTURE, tensors)
    packs = sorted(objects.list("params/packs"))
    assert commit(objects, STRUCTURE, tensors, [manifest.id], repair=True) == manifest
    assert sorted(objects.list("params/packs")) == packs
    assert load(objects, manifest) == tensors


@pytest.mark.parametrize("size", [3, 20_000])
def test_nan_is_refused_whatever_a_sheet_says_of_it(objects, size):
    broken = Tensor.of(np.full(size, np.nan))
    manifest = commit(objects, STRUCTURE, {"a": broken, "b": SMALL})
    sheet = read_sheet(objects, manifest.id)
    replace(objects, reference_key(manifest.id, 0), to_bytes(sheet._replace(nonfinite={})))
    for source in (Held({"a": broken, "b": SMALL}), Held({"a": broken, "b": SMALL, "c": LARGE})):
        for source.watched in (True, False):
            with pytest.raises(ParamsError, match=f"'a' holds {size:,} values that are NaN"):
                commit(objects, STRUCTURE, source, [manifest.id], allow_nonfinite=False)
