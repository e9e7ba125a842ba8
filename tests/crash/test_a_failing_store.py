"""A store that fails in the middle of a commit: a clear error, and what was there stays."""

import shutil
import subprocess
import threading
import uuid
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
import pytest

from tidegate.domain.errors import StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.checkout import load, load_manifest
from tidegate.params.commit import commit
from tidegate.params.fsck import fsck
from tidegate.params.gc import gc
from tidegate.params.packed import leases, packs
from tidegate.params.packed.references import newest, references
from tidegate.store.objects import Objects

STRUCTURE = Structure(adapter="tensors")
RNG = np.random.default_rng(0)
OLD = {f"w{i}": Tensor.of(RNG.normal(size=20_000)) for i in range(3)}
NEW = {name: Tensor.of(tensor.numpy() * 1.001) for name, tensor in OLD.items()}


@pytest.fixture(autouse=True)
def small_packs(monkeypatch):
    """So small that a commit writes several."""
    monkeypatch.setattr(packs, "PACK_BYTES", 50_000)


class Between:
    """A server between the client and S3 that fails from its ``at``-th change on."""

    def __init__(self, endpoint):
        self.to, self.how, self.at, self.changes = urlsplit(endpoint).netloc, "", None, 0
        self.times = self.slept = 0
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                between.handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, *_given):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def fail(self, how, at, times=10_000):
        """From the ``at``-th change on: "500", "lost" (done, but told 500), or "hang"."""
        self.how, self.at, self.times, self.changes = how, at, times, 0

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        failing = False
        if request.command in ("PUT", "POST", "DELETE"):
            failing = self.at is not None and self.changes >= self.at and self.times > 0
            self.changes += 1
            self.times -= failing
        if failing and self.how == "hang":
            threading.Event().wait(0.8)
        if failing and self.how != "lost":
            return self.tell(request, 500, {}, b"")
        there = HTTPConnection(self.to)
        headers = dict(request.headers.items())
        there.request(request.command, request.path, body, headers)
        got = there.getresponse()
        data = got.read()
        there.close()
        if failing:
            return self.tell(request, 500, {}, b"")
        return self.tell(request, got.status, dict(got.getheaders()), data)

    def tell(self, request, status, headers, data):
        try:
            request.send_response_only(status)
            skipped = {"transfer-encoding", "connection", "server", "date"}
            length = headers.get("Content-Length") if request.command == "HEAD" else None
            for name, value in headers.items():
                if name.lower() not in skipped | {"content-length"}:
                    request.send_header(name, value)
            request.send_header("Content-Length", length or str(len(data)))
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(data)
        except OSError:
            pass  # the client has gone


@pytest.fixture
def between(s3):
    server = Between(s3[1]["endpoint"])
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def remote(s3, between):
    """Opens the same place on S3, with so many retries."""
    url, options = s3
    place = f"{url}/{uuid.uuid4().hex}"

    def opened(retries):
        client = {"allow_http": True, "timeout": "500ms"}
        given = options | {"endpoint": between.endpoint, "client_options": client}
        return Objects.open(place, **given, retry_config={"max_retries": retries})

    return opened


def keys(objects):
    return {key for key, _ in objects.list("params/")}


def whole(objects, *expected):
    """These versions are there to the last bit, and nothing else that is visible."""
    visible = {r.version for r in references(objects) if not newest(objects, r.version).gone}
    assert visible <= {manifest.id for manifest, _ in expected}
    for manifest, tensors in expected:
        if manifest.id in visible:
            assert load(objects, load_manifest(objects, manifest.id)) == tensors
    assert fsck(objects, [(m.id[:8], m.id) for m, _ in expected if m.id in visible]) == []
    return visible


@pytest.mark.parametrize("how", ["500", "lost", "hang"])
def test_s3_fails_in_the_middle(remote, between, how, monkeypatch):
    objects = remote(0)
    old = commit(objects, STRUCTURE, OLD)
    before, at, promised = keys(objects), 0, None
    while True:
        between.fail(how, at)
        try:
            promised = commit(objects, STRUCTURE, NEW, [old.id])
        except StorageError as problem:
            assert "object store failed" in str(problem)
            assert "reachable" in str(problem)
        between.fail(how, None)
        expected = [(old, OLD)] + ([(promised, NEW)] if promised else [])
        if promised:
            assert promised.id in whole(objects, *expected)
            break
        visible = {r.version for r in references(objects)}
        for version in visible - {old.id}:  # the store put it in force, and failed to tell
            assert load(objects, load_manifest(objects, version)) == NEW
        monkeypatch.setattr(leases, "HOLDS_SECONDS", -2.0)
        gc(objects, {old.id}, -2.0)
        monkeypatch.undo()
        monkeypatch.setattr(packs, "PACK_BYTES", 50_000)
        assert {key for key in keys(objects) if "/leases/" not in key} == before
        at += 1
    assert at >= 4


def test_an_answer_that_was_lost_is_not_taken_for_another_writers_version(remote, between):
    for at in range(6):
        objects = remote(2)
        between.fail("lost", at, times=1)
        made = commit(objects, STRUCTURE, NEW)
        between.fail("lost", None)
        assert whole(objects, (made, NEW)) == {made.id}
        for key in keys(objects):
            objects.delete(key)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_disk_that_fills_up_anywhere(small_disk):
    folder, fill = small_disk / "objects", small_disk / "other people's"
    objects = Objects.open(str(folder))
    old = commit(objects, STRUCTURE, {"w0": OLD["w0"]})
    before, refused, room = files(folder), 0, 0
    while True:
        free = shutil.disk_usage(small_disk).free
        fill.write_bytes(bytes(max(0, free - room)))
        try:
            new = commit(objects, STRUCTURE, NEW, [old.id])
            break
        except StorageError as problem:
            assert "no space left" in str(problem)
            refused += 1
        assert files(folder) == before
        whole(objects, (old, {"w0": OLD["w0"]}))
        fill.unlink()
        room += 4096
    assert refused > 30
    fill.unlink()
    assert whole(objects, (old, {"w0": OLD["w0"]}), (new, NEW)) == {old.id, new.id}


def test_a_folder_that_may_not_be_written(small_disk):
    folder = small_disk / "objects"
    objects = Objects.open(str(folder))
    old = commit(objects, STRUCTURE, OLD)
    before = files(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StorageError, match="may read and write it"):
        commit(objects, STRUCTURE, NEW, [old.id])
    with pytest.raises(StorageError, match="may read and write it"):
        gc(objects, set(), 0.0)
    assert files(folder) == before
    assert whole(objects, (old, OLD)) == {old.id}
