"""Files agree with the safetensors library both ways; a header that lies is always refused."""

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.domain.errors import NotFound, ParamsError, StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import TensorInfo
from tidegate.params.files import safetensors_file
from tidegate.params.files.safetensors_file import open_safetensors
from tidegate.params.files.safetensors_writer import SafetensorsWriter, write_safetensors

U8 = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


def file_of(path, header, data=b"ab"):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def read_all(path):
    with open_safetensors(path) as file:
        return {name: file.read(name) for name in file.names}, file.metadata


def by_library(path):
    raw = path.read_bytes()
    tensors = {
        name: Tensor(t["dtype"], tuple(t["shape"]), bytes(t["data"]))
        for name, t in safetensors.deserialize(raw)
    }
    head = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    return tensors, head.get("__metadata__")


#: How the library's writer calls each dtype.
LIBRARY_NAME = {
    "BOOL": "bool", "F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip


def written_by_library(path, tensors, metadata):
    kept = {name: np.frombuffer(t.data, np.uint8) for name, t in tensors.items()}
    specs = {
        name: safetensors.TensorSpec(
            dtype=LIBRARY_NAME[tensor.dtype],
            shape=list(tensor.shape),
            data_ptr=kept[name].ctypes.data,
            data_len=kept[name].size,
        )
        for name, tensor in tensors.items()
    }
    path.write_bytes(safetensors.serialize(specs, metadata))


@given(data=st.data())
def test_what_we_write_the_library_reads(data, any_tensors, any_metadata, tmp_path_factory):
    path = tmp_path_factory.mktemp("w") / "a.safetensors"
    tensors, metadata = data.draw(any_tensors), data.draw(any_metadata)
    size = write_safetensors(path, tensors, metadata)
    assert size == path.stat().st_size
    assert by_library(path) == (tensors, metadata)
    assert read_all(path) == (tensors, metadata)


@given(data=st.data())
def test_what_the_library_writes_we_read_and_write_alike(
    data, any_tensors, any_metadata, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("r")
    tensors, metadata = data.draw(any_tensors), data.draw(any_metadata)
    metadata = metadata or None  # the library's writer breaks the header of an empty map
    written_by_library(folder / "theirs", tensors, metadata)
    assert read_all(folder / "theirs") == (tensors, metadata)
    if len(metadata or {}) < 2:  # the library writes more of them in any order
        write_safetensors(folder / "ours", tensors, metadata)
        assert (folder / "ours").read_bytes() == (folder / "theirs").read_bytes()


@given(data=st.data())
def test_any_part_is_that_of_the_tensor(data, any_tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "a.safetensors"
    tensors = data.draw(any_tensors)
    write_safetensors(path, tensors)
    with open_safetensors(path) as file:
        for name, tensor in tensors.items():
            start = data.draw(st.integers(0, len(tensor.data)))
            stop = data.draw(st.integers(start, len(tensor.data)))
            room = memoryview(bytearray(stop - start))
            assert file.read_part(name, start, room) == tensor.data[start:stop]


LIES = {
    "shorter than eight bytes": (b"1234567", "at least 8"),
    "header beyond the file": (struct.pack("<Q", 99) + b"{}", "claims a header of 99 bytes, but"),
    "header above the limit": (struct.pack("<Q", 2**63) + b"{}", "the format allows 100,000,000"),
    "not UTF-8": ({b"\xff{}": b""}, "not UTF-8 JSON"),
    "UTF-16": ({'{"a":1}'.encode("utf-16"): b""}, "not UTF-8 JSON"),
    "not JSON": ({b"{a}": b""}, "not UTF-8 JSON"),
    "empty header": ({b"": b""}, "not UTF-8 JSON"),
    "nested without end": ({b'{"a":' + b"[" * 200_000: b""}, "not UTF-8 JSON"),
    "a number without end": ({b'{"a":' + b"9" * 5000 + b"}": b""}, "not UTF-8 JSON"),
    "not an object": ({b"[1]": b""}, "not a JSON object"),
    "blanks first": ({b" {}": b""}, "not a JSON object"),
    "one name twice": ({b'{"w":1,"w":1}': b""}, "names 'w' twice"),
    "one key twice": ({b'{"w":{"dtype":"U8","dtype":"U8"}}': b""}, "names 'dtype' twice"),
    "a name that is no text": ({b'{"\\ud800":1}': b""}, "not valid Unicode"),
    "a tensor that is no object": ({b'{"w":1}': b""}, "'w' must have exactly"),
    "a tensor with less": ({b'{"w":{"dtype":"U8","shape":[]}}': b""}, "'w' must have exactly"),
    "a tensor with more": ({**U8, "strides": [1]}, "'w' must have exactly"),
    "unknown dtype": ({**U8, "dtype": "F7"}, "'w' has unknown dtype 'F7'.*BF16"),
    "dtype that is no text": ({**U8, "dtype": ["U8"]}, "'w' has unknown dtype"),
    "sub-byte dtype": ({**U8, "dtype": "F4"}, "'w' has unknown dtype 'F4'"),
    "shape that is no list": ({**U8, "shape": 2}, "the shape of tensor 'w'"),
    "negative shape": ({**U8, "shape": [-1, -2]}, "the shape of tensor 'w'"),
    "shape of floats": ({**U8, "shape": [2.0]}, "the shape of tensor 'w'"),
    "shape of booleans": ({**U8, "shape": [True, 2]}, "the shape of tensor 'w'"),
    "huge size": ({**U8, "shape": [2**70]}, "the shape of tensor 'w'"),
    "huge product": ({**U8, "shape": [2**62] * 9}, "does not take the 2 bytes"),
    "shape that wraps around": ({**U8, "shape": [2**32, 2**32, 2]}, "does not take the 2 bytes"),
    "shape and offsets disagree": ({**U8, "shape": [3]}, "does not take the 2 bytes"),
    "dtype and offsets disagree": ({**U8, "dtype": "F32"}, "does not take the 2 bytes"),
    "three offsets": ({**U8, "data_offsets": [0, 1, 2]}, "two places"),
    "negative offset": ({**U8, "data_offsets": [-2, 0]}, "two places"),
    "boolean offset": ({**U8, "data_offsets": [False, 2]}, "two places"),
    "offset beyond the file": ({**U8, "data_offsets": [0, 3]}, "data ends at 2"),
    "offsets backwards": ({**U8, "data_offsets": [2, 0]}, "data ends at 2"),
    "metadata that is no object": ({b'{"__metadata__":null}': b""}, "__metadata__"),
    "metadata of numbers": ({b'{"__metadata__":{"a":1}}': b""}, "__metadata__"),
    "metadata that is no text": ({b'{"__metadata__":{"a":"\\udc00"}}': b""}, "__metadata__"),
}


@pytest.mark.parametrize("case", sorted(LIES))
def test_a_lying_header_is_refused_with_its_own_words(case, tmp_path):
    content, words = LIES[case]
    path = tmp_path / "model.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif "dtype" in content:
        file_of(path, {"w": content})
    else:
        file_of(path, *next(iter(content.items())))
    with pytest.raises(ParamsError, match=words) as refused:
        open_safetensors(path)
    assert "model.safetensors" in str(refused.value)


def second(start, stop):
    size = stop - start
    return {"w": U8, "x": {"dtype": "U8", "shape": [size], "data_offsets": [start, stop]}}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (second(1, 3), "'x' starts at byte 1, inside another tensor that ends at 2"),
        (second(3, 4), "bytes 2 to 3, before tensor 'x', belong to no tensor"),
        (second(2, 3), "1 bytes follow the last tensor"),
        ({}, "4 bytes follow the last tensor"),
        ({"x": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]}}, "bytes 0 to 1"),
    ],
)
def test_tensors_must_tile_the_file(header, words, tmp_path):
    with pytest.raises(ParamsError, match=words):
        open_safetensors(file_of(tmp_path / "f", header, b"abcd"))


GOOD = {
    "__metadata__": {"k": "v"},
    "w": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
    "empty": {"dtype": "I64", "shape": [0, 7], "data_offsets": [8, 8]},
    "x": {"dtype": "BOOL", "shape": [], "data_offsets": [8, 9]},
}


def agrees_with_library(path):
    """Refused by ParamsError alone; and what we accept, the library reads the same."""
    try:
        ours = read_all(path)
    except ParamsError:
        return
    assert ours == by_library(path)


@given(data=st.data())
def test_a_file_with_bytes_changed_raises_nothing_else(data, tmp_path_factory):
    path = file_of(tmp_path_factory.mktemp("f") / "f", GOOD, bytes(9))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)) | st.just(len(raw)))
    path.write_bytes(raw[:cut])
    agrees_with_library(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.floats()
    | st.sampled_from(["U8", "F32", "é"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)
FIELD = {
    "dtype": st.sampled_from(["U8", "F16", "BOOL", "C64"]) | JSON,
    "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
    "data_offsets": st.lists(st.integers(0, 8), min_size=2, max_size=2) | JSON,
}
HEADER = st.dictionaries(
    st.sampled_from(["__metadata__", "a", "b", ""]), st.fixed_dictionaries(FIELD) | JSON, max_size=3
)


@given(header=HEADER | JSON, size=st.integers(0, 8))
@example(header={"a": {"dtype": "U8", "shape": [2**63], "data_offsets": [0, 0]}}, size=0)
def test_an_invented_header_raises_nothing_else(header, size, tmp_path_factory):
    agrees_with_library(file_of(tmp_path_factory.mktemp("f") / "f", header, bytes(size)))


def test_deep_nesting_in_a_field_is_refused_at_any_depth(tmp_path):
    for depth in range(800, 1100, 7):
        shape = "[" * depth + "]" * depth
        header = b'{"w":{"dtype":"U8","data_offsets":[0,2],"shape":%s}}' % shape.encode()
        with pytest.raises(ParamsError):
            open_safetensors(file_of(tmp_path / "f", header))


def test_a_header_of_millions_of_values_is_refused_before_it_is_read(tmp_path, monkeypatch):
    header = b'{"w":[' + b"[]," * 2_000_000 + b"[]]}"
    monkeypatch.setattr("json.loads", None)  # which would make a Python object of each
    with pytest.raises(ParamsError, match="more than 2,500,000 values"):
        open_safetensors(file_of(tmp_path / "f", header))


@pytest.mark.parametrize("age_seconds", [0, 60])
def test_another_header_on_other_data_is_seen(tmp_path, monkeypatch, age_seconds):
    """Written anew between the header and the data; where times tell nothing, by its bytes."""
    old, new = {"a": Tensor("U8", (2,), b"ab")}, {"b": Tensor("U8", (2,), b"cd")}
    write_safetensors(tmp_path / "f", old)
    later = time.time_ns() + age_seconds * 10**9
    real = safetensors_file.parse_header

    def slowly(raw, data_bytes, file):
        told = os.stat(tmp_path / "f")
        write_safetensors(tmp_path / "g", new)
        (tmp_path / "f").write_bytes((tmp_path / "g").read_bytes())
        if not age_seconds:  # within one tick of the clock that stamps files
            monkeypatch.setattr(safetensors_file, "_stamp", lambda told: told.st_size)
            os.utime(tmp_path / "f", ns=(told.st_atime_ns, told.st_mtime_ns))
        return real(raw, data_bytes, file)

    monkeypatch.setattr(safetensors_file, "parse_header", slowly)
    monkeypatch.setattr(safetensors_file.time, "time_ns", lambda: later)
    if not age_seconds:
        monkeypatch.setattr(safetensors_file, "_stamp", lambda told: told.st_size)
    with open_safetensors(tmp_path / "f") as file, pytest.raises(ParamsError, match="was changed"):
        file.check()


def test_no_file_no_regular_file_no_tensor(tmp_path):
    with pytest.raises(NotFound, match="there is no file"):
        open_safetensors(tmp_path / "none")
    with pytest.raises(ParamsError, match="not a regular file"):
        open_safetensors(tmp_path)
    with pytest.raises(ParamsError, match="cannot be read"):
        open_safetensors("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParamsError, match="not a regular file"):
        open_safetensors(tmp_path / "pipe")
    write_safetensors(tmp_path / "f", {})
    with open_safetensors(tmp_path / "f") as file, pytest.raises(NotFound, match="'w'"):
        file.read("w")


def test_a_file_cut_while_open_is_told(tmp_path):
    write_safetensors(tmp_path / "f", {"w": Tensor("U8", (9,), bytes(9))})
    with open_safetensors(tmp_path / "f") as file:
        os.truncate(tmp_path / "f", (tmp_path / "f").stat().st_size - 1)
        with pytest.raises(ParamsError, match="became shorter"):
            file.read("w")


INFO = TensorInfo(name="w", id="", dtype="U8", shape=[4], size_bytes=4)


def test_parts_are_written_in_any_order(tmp_path):
    with SafetensorsWriter(tmp_path / "f", [INFO]) as writer:
        assert writer.in_order is None
        writer.write(INFO, 2, memoryview(b"cd"))
        writer.write(INFO, 0, memoryview(b"ab"))
    assert read_all(tmp_path / "f")[0] == {"w": Tensor("U8", (4,), b"abcd")}


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "f"
    write_safetensors(path, {"old": Tensor("U8", (1,), b"o")})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), SafetensorsWriter(path, [INFO]) as writer:
        writer.write(INFO, 0, memoryview(b"ab"))
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["f"]


def test_a_written_file_has_ordinary_rights_and_links_are_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "link").symlink_to("real")
    write_safetensors(tmp_path / "link", {"w": Tensor("U8", (1,), b"o")})
    assert (tmp_path / "link").is_symlink()
    assert read_all(tmp_path / "real")[0] == {"w": Tensor("U8", (1,), b"o")}
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o666 & ~umask


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_told_in_place():
    with pytest.raises(StorageError, match="no room left to write '/dev/full'"):
        write_safetensors("/dev/full", {"w": Tensor("U8", (1,), b"o")})


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, data, place):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="no room left"):
        write_safetensors(tmp_path / "f", {"w": Tensor("U8", (1,), b"o")})
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    for place in (tmp_path / "none" / "f", tmp_path, "a\0b", tmp_path / ("n" * 300)):
        with pytest.raises(StorageError, match="cannot be written"):
            write_safetensors(place, {})
    assert os.listdir(tmp_path) == []


def test_standard_output_can_be_a_pipe(tmp_path):
    program = (
        "from tidegate.domain.tensor import Tensor\n"
        "from tidegate.params.files.safetensors_writer import write_safetensors\n"
        "write_safetensors('/dev/stdout', {'w': Tensor('U8', (2,), b'ab')}, {'k': 'v'})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    (tmp_path / "f").write_bytes(done.stdout)
    assert read_all(tmp_path / "f") == ({"w": Tensor("U8", (2,), b"ab")}, {"k": "v"})


STREAMING = (
    "from tidegate.domain.tensor import Tensor\n"
    "from tidegate.params.files.safetensors_writer import write_safetensors\n"
    "import sys\n"
    "write_safetensors(sys.argv[1], {'w': Tensor('U8', (2,), b'ab')})\n"
)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_can_be_a_file_that_others_write_to_as_well(tmp_path, name):
    with (tmp_path / "f").open("wb") as out:
        out.write(b"before")
        out.flush()
        subprocess.run([sys.executable, "-c", STREAMING, name], stdout=out, check=True)
        os.write(out.fileno(), b"after")
    raw = (tmp_path / "f").read_bytes()
    assert raw.startswith(b"before")
    assert raw.endswith(b"after")
    (tmp_path / "f").write_bytes(raw[len("before") : -len("after")])
    assert read_all(tmp_path / "f")[0] == {"w": Tensor("U8", (2,), b"ab")}


def test_a_file_in_a_folder_of_devices_is_a_file(tmp_path, monkeypatch):
    """As in /dev/shm, or under /proc/self/cwd: a longer one was there, and a reader has it open."""
    monkeypatch.chdir(tmp_path)
    for path in (Path("/proc/self/cwd/f"), Path(f"/dev/shm/{tmp_path.name}.{os.getpid()}")):
        path.write_bytes(b"longer" * 100)
        try:
            with path.open("rb") as reader:
                write_safetensors(path, {"w": Tensor("U8", (2,), b"ab")})
                assert reader.read() == b"longer" * 100
            assert read_all(path)[0] == {"w": Tensor("U8", (2,), b"ab")}
        finally:
            path.unlink()


def test_a_descriptor_of_our_own_is_not_written_to(tmp_path):
    ours = (tmp_path / "rows.sqlite").open("wb")
    with ours, pytest.raises(StorageError, match="cannot be written"):
        write_safetensors(f"/dev/fd/{ours.fileno()}", {})
    assert (tmp_path / "rows.sqlite").read_bytes() == b""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="no files without a name on this system")
def test_a_killed_writer_leaves_nothing(tmp_path):
    program = (
        "import os\n"
        "from tidegate.domain.version import TensorInfo\n"
        "from tidegate.params.files.safetensors_writer import SafetensorsWriter\n"
        "with SafetensorsWriter('f', [TensorInfo('w', '', 'U8', [4], 4)]) as writer:\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path)
    assert done.returncode == -9
    assert os.listdir(tmp_path) == []


def test_where_every_file_has_a_name_it_is_put_aside_under_one(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path = tmp_path / "f"
    with SafetensorsWriter(path, [INFO]) as writer:
        assert len(os.listdir(tmp_path)) == 1
        assert not path.exists()
        writer.write(INFO, 0, memoryview(b"abcd"))
    assert os.listdir(tmp_path) == ["f"]
    assert read_all(path)[0] == {"w": Tensor("U8", (4,), b"abcd")}


def test_names_and_metadata_that_no_file_can_hold(tmp_path):
    one = Tensor("U8", (1,), b"o")
    for tensors, metadata in [
        ({"__metadata__": one}, None),
        ({"\ud800": one}, None),
        ({}, {"a": 1}),
    ]:
        with pytest.raises(ParamsError):
            write_safetensors(tmp_path / "f", tensors, metadata)
    with pytest.raises(ParamsError, match="twice"):
        SafetensorsWriter(tmp_path / "f", [INFO, INFO])
    assert os.listdir(tmp_path) == []
