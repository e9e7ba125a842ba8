"""Bytes in and out, exactly; nothing is stored of a file that is refused."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import IntegrityError, NotFound, ParamsError, StorageError
from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.domain.version import Structure
from tidegate.params.checkout import checkout, load
from tidegate.params.commit import commit
from tidegate.params.files.import_file import import_file
from tidegate.params.files.safetensors_file import SafetensorsFile, open_safetensors
from tidegate.params.files.safetensors_writer import write_safetensors
from tidegate.params.finite import NonfiniteCount
from tidegate.params.packed.blocks import element_width
from tidegate.params.packed.codec import MAX_BLOCK_BYTES, bits_of

TENSORS = {
    "w": Tensor.of(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "b": Tensor.of(np.array(-0.0)),
    "n": Tensor("I16", (2,), b"abcd"),
}


def contents(path):
    with open_safetensors(path) as file:
        return {name: file.read(name) for name in file.names}, file.metadata


@pytest.fixture
def file(tmp_path):
    write_safetensors(tmp_path / "in.safetensors", TENSORS, {"source": "test"})
    return tmp_path / "in.safetensors"


@given(data=st.data())
def test_a_file_comes_back_with_every_bit_and_its_metadata(
    data, new_objects, any_tensors, any_metadata, tmp_path_factory
):
    objects, folder = new_objects(), tmp_path_factory.mktemp("f")
    tensors, metadata = data.draw(any_tensors), data.draw(any_metadata)
    write_safetensors(folder / "in", tensors, metadata)
    manifest = import_file(objects, folder / "in", allow_nonfinite=True)
    assert checkout(objects, manifest, folder / "out") == (folder / "out").stat().st_size
    assert contents(folder / "out") == (tensors, metadata)
    assert (folder / "out").read_bytes() == (folder / "in").read_bytes()
    assert import_file(objects, folder / "out", allow_nonfinite=True) == manifest


def test_import_and_commit_agree_on_ids(objects, file):
    structure = Structure(adapter="tensors", architecture={"metadata": {"source": "test"}})
    assert import_file(objects, file) == commit(objects, structure, TENSORS)


def test_metadata_is_part_of_the_version(objects, file, tmp_path):
    ids = {import_file(objects, file).id}
    for metadata in (None, {}, {"source": "other"}):
        write_safetensors(tmp_path / "f", TENSORS, metadata)
        ids.add(import_file(objects, tmp_path / "f").id)
    assert len(ids) == 4


def test_groups_and_libraries_are_kept(objects, file):
    manifest = import_file(objects, file, groups={"head": ["w", "b"]}, libraries={"torch": ">=2"})
    assert manifest.structure.groups == {"head": ["w", "b"]}
    assert manifest.structure.libraries == {"torch": ">=2"}
    with pytest.raises(ParamsError, match="'head' names tensor 'x'"):
        import_file(objects, file, groups={"head": ["x"]})


NOT_FINITE = {
    "F64": [0x7FF0_0000_0000_0000, 0xFFF8_0000_0000_0001],
    "F32": [0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F80_0001],
    "F16": [0x7C00, 0xFC00, 0x7E00, 0x7C01],
    "BF16": [0x7F80, 0xFF80, 0x7FC0, 0x7F81],
    "F8_E5M2": [0x7C, 0xFC, 0x7D, 0xFF],
    "F8_E4M3": [0x7F, 0xFF],
    "F8_E8M0": [0xFF],
    "F8_E4M3FNUZ": [0x80],
    "F8_E5M2FNUZ": [0x80],
    "C64": [0x7F80_0000, 0x7F80_0000_0000_0000, 0x7FC0_0000_7FC0_0000],
}


def largest_finite(dtype):
    largest = {
        "F64": 0x7FEF_FFFF_FFFF_FFFF, "F32": 0x7F7F_FFFF, "F16": 0x7BFF, "BF16": 0x7F7F,
        "F8_E5M2": 0x7B, "F8_E4M3": 0x7E, "F8_E8M0": 0xFE, "F8_E4M3FNUZ": 0xFF,
        "F8_E5M2FNUZ": 0x7F, "C64": 0xFF7F_FFFF_7F7F_FFFF,
    }  # fmt: skip
    return largest.get(dtype, 256 ** DTYPE_BYTES[dtype] - 1)  # integers: all bits set


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_nan_and_infinity_are_told_by_bits_in_every_dtype(dtype, objects, tmp_path):
    size, bad = DTYPE_BYTES[dtype], NOT_FINITE.get(dtype, [])
    fine = [0, 1, largest_finite(dtype)]
    raw = b"".join(bits.to_bytes(size, "little") for bits in fine + bad)
    write_safetensors(tmp_path / "f", {"w": Tensor(dtype, (len(fine + bad),), raw)})
    if not bad:
        import_file(objects, tmp_path / "f")
        return
    told = f"'w' holds {len(bad)} values that are NaN or infinite, the first at flat position 3"
    with pytest.raises(ParamsError, match=told):
        import_file(objects, tmp_path / "f")
    assert list(objects.list("")) == []
    manifest = import_file(objects, tmp_path / "f", allow_nonfinite=True)
    assert load(objects, manifest)["w"].data == raw


@given(raw=st.binary(max_size=64).map(lambda raw: raw[: len(raw) // 8 * 8]))
def test_patterns_agree_with_numpy(raw):
    for dtype, numpy in [("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("C64", "<c8")]:
        expected = ~np.isfinite(np.frombuffer(raw, numpy))
        count = NonfiniteCount(dtype)
        count.add(bits_of(raw, element_width(dtype)))
        assert count.count == expected.sum()
        assert count.first == (int(expected.argmax()) if count.count else 0)


def test_the_first_position_counts_across_parts():
    count = NonfiniteCount("F32")
    for part in ([1.0] * 3, [1.0, np.nan], [np.nan]):
        count.add(np.array(part, np.float32).view(np.uint32))
    assert (count.count, count.first) == (2, 4)


def test_one_bad_tensor_and_nothing_of_the_file_is_stored(objects, tmp_path):
    bad = TENSORS | {"z": Tensor.of(np.array([0.0, np.nan, np.inf]))}
    write_safetensors(tmp_path / "f", bad)
    with pytest.raises(ParamsError, match=r"'z' holds 2 .* position 1"):
        import_file(objects, tmp_path / "f")
    assert list(objects.list("")) == []


@pytest.mark.parametrize("age_seconds", [0, 60])
def test_a_file_changed_meanwhile_is_refused(objects, tmp_path, monkeypatch, age_seconds):
    write_safetensors(tmp_path / "f", {"w": Tensor("U8", (100_000,), bytes(100_000))})
    later = time.time_ns() + age_seconds * 10**9
    monkeypatch.setattr("tidegate.params.files.safetensors_file.time.time_ns", lambda: later)
    real = SafetensorsFile.read_part

    def then_changed(self, name, start, room):
        part = bytes(real(self, name, start, room))
        with open(tmp_path / "f", "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"X")
        return memoryview(part)

    monkeypatch.setattr(SafetensorsFile, "read_part", then_changed)
    with pytest.raises(ParamsError, match="was changed while it was read"):
        import_file(objects, tmp_path / "f")
    assert list(objects.list("")) == []


def test_tensors_larger_than_a_block(objects, tmp_path):
    rng = np.random.default_rng(0)
    large = Tensor("U8", (MAX_BLOCK_BYTES + 3,), rng.bytes(MAX_BLOCK_BYTES + 3))
    write_safetensors(tmp_path / "in", {"large": large})
    manifest = import_file(objects, tmp_path / "in")
    checkout(objects, manifest, tmp_path / "out")
    assert (tmp_path / "in").read_bytes() == (tmp_path / "out").read_bytes()


def test_what_was_refused_is_refused_again_beside_a_version_that_took_it(objects, tmp_path):
    write_safetensors(tmp_path / "f", {"w": Tensor.of(np.array([1.0, np.nan]))})
    taken = import_file(objects, tmp_path / "f", allow_nonfinite=True)
    with pytest.raises(ParamsError, match=r"'w' holds 1 .* position 1"):
        import_file(objects, tmp_path / "f", near=[taken.id])


def test_named_tensors_alone_are_written(objects, file, tmp_path):
    manifest = import_file(objects, file)
    checkout(objects, manifest, tmp_path / "out", ["n", "b"])
    assert contents(tmp_path / "out") == (
        {"b": TENSORS["b"], "n": TENSORS["n"]},
        {"source": "test"},
    )
    with pytest.raises(NotFound, match=r"no tensor 'v'.*nearest are:"):
        checkout(objects, manifest, tmp_path / "none", ["v"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_damaged_tensor_is_not_checked_out(objects, tmp_path, harm):
    rng = np.random.default_rng(0)
    write_safetensors(tmp_path / "in", {"n": Tensor.of(rng.normal(size=40_000))} | TENSORS)
    manifest = import_file(objects, tmp_path / "in")
    ((key, size),) = objects.list("params/packs/")
    raw = objects.get(key)
    objects.delete(key)
    if harm == "damaged":
        objects.put(key, raw[: size // 2] + bytes([raw[size // 2] ^ 1]) + raw[size // 2 + 1 :])
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(IntegrityError, match=f"is {harm}"):
        checkout(objects, manifest, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_told(objects, file):
    with pytest.raises(StorageError, match="no room left"):
        checkout(objects, import_file(objects, file), "/dev/full")


def test_another_adapters_architecture_is_not_taken_for_metadata(objects, tmp_path):
    structure = Structure(adapter="sklearn.x", architecture={"metadata": {"a": "b"}})
    checkout(objects, commit(objects, structure, TENSORS), tmp_path / "out")
    assert contents(tmp_path / "out") == (TENSORS, None)


def test_progress_ends_at_the_total(objects, file, tmp_path):
    told = []
    manifest = import_file(objects, file, progress=lambda *now: told.append(now))
    assert told[-1] == (36, 36)
    checkout(objects, manifest, tmp_path / "out", progress=lambda *now: told.append(now))
    assert told[-1] == (36, 36)
