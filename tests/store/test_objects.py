"""Objects: written once, whole, under honest keys; the same on a folder and on S3."""

import os
import subprocess
import sys

import pytest

from tidegate.domain.errors import IntegrityError, Missing, StorageError
from tidegate.store.objects import Objects


def test_what_is_put_is_got_whole_and_in_part(objects):
    assert objects.put("a/b.bin", bytes(range(256)))
    assert objects.get("a/b.bin") == bytes(range(256))
    room = memoryview(bytearray(3))
    assert objects.read_into("a/b.bin", 250, room) == 3
    assert bytes(room) == bytes([250, 251, 252])
    assert objects.read_into("a/b.bin", 250, room[:0]) == 0
    assert objects.exists("a/b.bin")
    assert objects.size("a/b.bin") == 256
    assert objects.modified("a/b.bin") > 1_600_000_000


def test_the_first_to_put_wins(objects):
    assert objects.put("k", b"first")
    assert not objects.put("k", b"second")
    assert objects.get("k") == b"first"


def test_an_object_written_in_parts_is_there_when_it_is_finished(objects):
    upload, changing = objects.upload("a/b"), bytearray(b"456")
    upload.write(4, changing)
    changing[:] = b"xyz"
    upload.write(0, b"0123")
    assert not objects.exists("a/b")
    assert upload.finish()
    upload.abandon()
    assert objects.get("a/b") == b"0123456"
    second = objects.upload("a/b")
    second.write(0, b"other")
    assert not second.finish()
    second.abandon()
    assert objects.get("a/b") == b"0123456"


def test_an_upload_that_is_abandoned_leaves_nothing(objects):
    upload = objects.upload("a")
    upload.write(0, b"data")
    upload.abandon()
    assert list(objects.list("")) == []


def test_what_killed_writers_left_aside_is_forgotten(tmp_path):
    objects = Objects.open(str(tmp_path))
    objects.forget_uploads(0)
    left = objects.upload("killed")
    left.write(0, b"data")
    (staged,) = (tmp_path / ".staging").iterdir()
    written = staged.stat().st_mtime
    objects.forget_uploads(written - 1)
    assert staged.exists()
    objects.forget_uploads(written)
    assert not staged.exists()
    with pytest.raises(StorageError):
        left.finish()
    left.abandon()
    assert list(objects.list("")) == []


def test_an_empty_object_is_an_object(objects):
    assert objects.put("empty", b"")
    assert objects.get("empty") == b""
    assert objects.exists("empty")


def test_a_listing_names_what_is_in_the_folder_and_nothing_else(objects):
    for key in ("t/1", "t/2", "tt/3", "m/4"):
        objects.put(key, key.encode())
    assert sorted(objects.list("t/")) == [("t/1", 3), ("t/2", 3)]
    assert list(objects.list("none")) == []


def test_deleting_twice_is_deleting(objects):
    objects.put("gone", b"x")
    objects.delete("gone")
    objects.delete("gone")
    assert not objects.exists("gone")


@pytest.mark.parametrize("ask", ["get", "size", "modified"])
def test_a_missing_object_is_a_doubt_about_the_record(objects, ask):
    with pytest.raises(IntegrityError, match=r"'never'.*missing"):
        getattr(objects, ask)("never")
    with pytest.raises(IntegrityError):
        objects.read_into("never", 0, memoryview(bytearray(1)))
    assert not objects.exists("never")


@pytest.mark.parametrize("key", ["../x", "/x", "a/../b", "", "a//b", ".hidden", "a\\b", "a b", "é"])
def test_keys_that_could_lead_elsewhere_are_refused(objects, key):
    for act in (objects.get, objects.exists, objects.delete, lambda k: objects.put(k, b"")):
        with pytest.raises(StorageError, match="no key"):
            act(key)


def test_a_folder_keeps_nothing_half_written(tmp_path):
    objects = Objects.open(str(tmp_path / "o"))
    objects.put("a/b", b"data")
    objects.put("a/b", b"data")
    assert [str(p.relative_to(tmp_path / "o")) for p in tmp_path.rglob("*") if p.is_file()] == [
        "a/b"
    ]


def test_an_unreachable_store_says_so():
    options = {"region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}
    slow = {"allow_http": True, "timeout": "1s", "connect_timeout": "1s"}
    objects = Objects.open(
        "s3://bucket/x", endpoint="http://127.0.0.1:9", client_options=slow,
        retry_config={"max_retries": 0}, **options,
    )  # fmt: skip
    with pytest.raises(StorageError, match="check that it is there"):
        objects.put("k", b"v")


FILL = """
import sys
from tidegate.domain.errors import StorageError
from tidegate.store.objects import Objects
objects = Objects.open(sys.argv[1])
objects.put("small", b"x" * 1000)
try:
    objects.put("big", b"x" * 4_000_000)
except StorageError as error:
    print("TOLD", error)
print("SMALL", objects.get("small") == b"x" * 1000, "BIG", objects.exists("big"))
print("LEFT", sorted(key for key, _ in objects.list("")))
"""


def test_a_full_disk_is_told_and_leaves_nothing(small_disk):
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(small_disk / "o")], capture_output=True, text=True
    )
    assert "TOLD there is no space left to store 'big'" in done.stdout, done.stderr
    assert "SMALL True BIG False" in done.stdout
    assert "LEFT ['small']" in done.stdout
    assert not list(os.listdir(small_disk / "o" / ".staging"))


def test_a_pipe_is_no_object_and_nobody_waits_for_its_writer(tmp_path):
    objects = Objects.open(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Missing):
        objects.get("pipe")
    with pytest.raises(Missing):
        objects.read_into("pipe", 0, memoryview(bytearray(3)))
    assert list(objects.list("")) == []


def test_names_that_no_key_has_are_not_listed(tmp_path):
    objects = Objects.open(str(tmp_path))
    objects.put("a/b", b"c")
    for name in ("a/.nfs01", "a/b~", "a/c d", ".DS_Store"):
        (tmp_path / name).write_bytes(b"stray")
    assert list(objects.list("")) == [("a/b", 1)]


def test_a_stream_is_an_object_once_it_is_named(objects):
    stream = objects.stream()
    stream.write(b"01")
    stream.write(memoryview(b"23"))
    assert stream.size == 4
    assert not objects.exists("a/b")
    assert stream.finish("a/b")
    stream.abandon()
    with objects.opened("a/b") as file:
        assert file.read() == b"0123"
    second = objects.stream()
    second.write(b"other")
    assert not second.finish("a/b")
    second.abandon()
    assert objects.get("a/b") == b"0123"
    with pytest.raises(IntegrityError):
        objects.opened("gone")


def test_a_stream_that_is_abandoned_leaves_nothing(objects):
    stream = objects.stream()
    stream.write(b"data")
    stream.abandon()
    assert list(objects.list("")) == []


def test_a_large_file_goes_in_parts_and_only_once(objects, monkeypatch, tmp_path):
    monkeypatch.setattr("tidegate.store.objects._ONE_REQUEST_BYTES", 1 << 20)
    (tmp_path / "file").write_bytes(bytes(range(256)) * 50_000)
    with (tmp_path / "file").open("rb") as file:
        assert objects.put_file("large", file)
        assert not objects.put_file("large", file)
    with objects.opened("large") as file:
        assert file.read() == bytes(range(256)) * 50_000
