"""Only garbage is freed, whoever else is at work."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tidegate.domain.errors import IntegrityError, StorageError
from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params import commit as commit_module
from tidegate.params import gc as gc_module
from tidegate.params.checkout import load
from tidegate.params.commit import commit
from tidegate.params.fsck import fsck
from tidegate.params.gc import Freed, gc
from tidegate.params.packed import leases
from tidegate.params.packed.leases import Lease
from tidegate.params.packed.references import reference_key, references
from tidegate.params.repack import shorten
from tidegate.store.objects import Objects

STRUCTURE = Structure(adapter="tensors")
RNG = np.random.default_rng(0)
A, B, C = (Tensor.of(RNG.normal(size=9000)) for _ in range(3))


def keys(objects):
    return sorted(key for key, _ in objects.list(""))


def test_only_what_nothing_refers_to_is_freed(objects):
    live = commit(objects, STRUCTURE, {"a": A, "b": B})
    dead = commit(objects, STRUCTURE, {"a": A, "b": C}, [live.id])
    freed = gc(objects, {live.id}, 0)
    assert (freed.versions, freed.packs) == (1, 1)
    assert freed.size_bytes == 72_000
    assert load(objects, live) == {"a": A, "b": B}
    with pytest.raises(IntegrityError):
        load(objects, dead)
    assert gc(objects, {live.id}, 0) == Freed()
    assert len(keys(objects)) == 2


def test_what_a_live_version_was_built_on_stays(objects):
    values = RNG.normal(size=9000)
    first = commit(objects, STRUCTURE, {"w": Tensor.of(values)})
    moved = {"w": Tensor.of(values * (1 + RNG.normal(scale=1e-9, size=9000)))}
    second = commit(objects, STRUCTURE, moved, [first.id])
    freed = gc(objects, {second.id}, 0)
    assert (freed.versions, freed.packs) == (1, 0)
    assert load(objects, second) == moved


def test_the_grace_period_protects_what_is_young(objects):
    objects.put("params/packs/abandoned/000000", b"of a commit that was killed")
    young = commit(objects, STRUCTURE, {"a": A})
    assert gc(objects, set(), 60) == Freed()
    assert load(objects, young) == {"a": A}
    freed = gc(objects, set(), 0)
    assert (freed.versions, freed.packs) == (1, 2)
    assert keys(objects) == []


def test_a_version_committed_again_is_young_again(objects, monkeypatch):
    """It may be on its way into the record, though its first commit was abandoned."""
    manifest = commit(objects, STRUCTURE, {"a": A})
    hour_ago = time.time() - 3600
    real = type(objects).entries

    def old(self, prefix):
        for entry in real(self, prefix):
            first = entry.key == reference_key(manifest.id, 0) or "packs" in entry.key
            yield entry._replace(modified=hour_ago) if first else entry

    monkeypatch.setattr(type(objects), "entries", old)
    assert commit(objects, STRUCTURE, {"a": A}) == manifest
    assert gc(objects, set(), 60).versions == 0
    assert load(objects, manifest) == {"a": A}


def test_versions_and_packs_under_a_lease_stay_until_it_is_given_back(objects):
    base = commit(objects, STRUCTURE, {"a": A})
    with Lease(objects, [base.id]) as lease:
        objects.put(f"params/packs/{lease.writer}/000000", b"written, not yet told of")
        assert gc(objects, set(), 0) == Freed()
        assert load(objects, base) == {"a": A}
    freed = gc(objects, set(), 0)
    assert (freed.versions, freed.packs) == (1, 2)


def test_an_abandoned_lease_holds_for_a_while(objects, monkeypatch):
    base = commit(objects, STRUCTURE, {"a": A})
    Lease(objects, [base.id])  # and killed
    assert gc(objects, set(), 0) == Freed()
    real, later = type(objects).entries, leases.HOLDS_SECONDS + 1
    monkeypatch.setattr(
        type(objects),
        "entries",
        lambda self, prefix: (e._replace(modified=e.modified - later) for e in real(self, prefix)),
    )
    assert gc(objects, set(), 0).versions == 1
    assert keys(objects) == []


def test_a_version_that_was_taken_away_can_come_back(objects):
    manifest = commit(objects, STRUCTURE, {"a": A})
    with Lease(objects, [manifest.id]):
        pass
    objects.put(reference_key(manifest.id, 1), b"gone\n")  # a collector was killed here
    with pytest.raises(IntegrityError, match="missing"):
        load(objects, manifest)
    assert commit(objects, STRUCTURE, {"a": A}, [manifest.id]) == manifest
    assert load(objects, manifest) == {"a": A}
    assert gc(objects, {manifest.id}, 0).packs == 1
    assert load(objects, manifest) == {"a": A}


def test_replaced_sheets_go_and_so_do_their_bytes(objects):
    values, near = RNG.normal(size=9000), []
    for _ in range(5):
        near = [commit(objects, STRUCTURE, {"w": Tensor.of(values)}, near).id, *near]
        last = {"w": Tensor.of(values)}
        values = np.where(RNG.random(9000) < 0.01, 2 * values, values)
    assert shorten(objects, near[1]) or shorten(objects, near[0])
    before = len(keys(objects))
    gc(objects, set(near), 0)
    assert len(keys(objects)) < before
    assert load(objects, commit(objects, STRUCTURE, last, near)) == last


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_no_pack_is_freed_while_a_sheet_that_stays_cannot_be_read(objects, harm):
    live, dead = (commit(objects, STRUCTURE, {"a": t}) for t in (A, B))
    objects.delete(reference_key(live.id, 0))
    if harm == "damaged":
        objects.put(reference_key(live.id, 0), b"{}")
    packs = sorted(objects.list("params/packs"))
    with pytest.raises(IntegrityError, match=harm):
        gc(objects, {live.id}, 0)
    assert sorted(objects.list("params/packs")) == packs
    assert dead.id in "".join(keys(objects))


def test_other_rooms_objects_are_not_touched(objects):
    objects.put("snapshots/x", b"data")
    gc(objects, set(), 0)
    assert objects.get("snapshots/x") == b"data"


def test_no_pack_is_freed_while_a_sheet_in_force_names_one_that_is_missing(tmp_path):
    """As when a folder came back from a backup: the bytes may be in packs nobody names now."""
    objects, values, near = Objects.open(str(tmp_path)), RNG.normal(size=9000), []
    for _ in range(5):
        near = [commit(objects, STRUCTURE, {"w": Tensor.of(values)}, near).id, *near]
        values = np.where(RNG.random(9000) < 0.01, 2 * values, values)
    last = next(id_ for id_ in near if shorten(objects, id_))
    old = objects.get(reference_key(last, 0))
    gc(objects, {last}, 0)
    objects.delete(reference_key(last, 1))
    objects.put(reference_key(last, 0), old)
    packs = sorted(objects.list("params/packs"))
    with pytest.raises(
        IntegrityError, match=r"need object .* which is missing; nothing was removed"
    ):
        gc(objects, {last}, 0)
    assert sorted(objects.list("params/packs")) == packs


def test_a_pack_that_came_after_the_listing_is_not_missing(objects, monkeypatch):
    first = commit(objects, STRUCTURE, {"a": A})
    made, real = [], leases.live_leases

    def and_another_commits(objects, now):
        if not made:
            made.append(commit(objects, STRUCTURE, {"b": B}))
        return real(objects, now)

    monkeypatch.setattr("tidegate.params.gc.live_leases", and_another_commits)
    assert gc(objects, {first.id}, 60) == Freed()
    assert load(objects, made[0]) == {"b": B}


STRAYS = [
    "params/packs/notes~",
    "params/packs/.DS_Store",
    "params/packs/README",
    "params/packs/w/.nfs0001",
    "params/packs/a b",
    "params/leases/a b/1",
    "params/leases/notes",
    "params/versions/x y/00000000",
    "params/versions/x/00000000",
    "params/versions/README",
    "params/diffs/x y",
]


@pytest.mark.parametrize("stray", STRAYS)
def test_what_others_put_into_the_folders_stays_and_hinders_nothing(tmp_path, stray):
    objects = Objects.open(str(tmp_path))
    live, dead = (commit(objects, STRUCTURE, {"a": t}) for t in (A, B))
    (tmp_path / stray).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stray).write_bytes(b"hello" * 10)
    assert gc(objects, {live.id}, 0).packs == 1
    assert (tmp_path / stray).read_bytes() == b"hello" * 10
    assert load(objects, commit(objects, STRUCTURE, {"a": C}, [live.id])) == {"a": C}
    assert fsck(objects, [("m@1", live.id)]) == []
    with pytest.raises(IntegrityError):
        load(objects, dead)


@pytest.mark.parametrize("name", ["5", "000000005", "\u0665", "-1", "x"])
def test_a_sheet_under_no_true_number_counts_for_nothing(tmp_path, name):
    objects = Objects.open(str(tmp_path))
    manifest = commit(objects, STRUCTURE, {"a": A})
    sheet = tmp_path / reference_key(manifest.id, 0)
    (sheet.parent / name).write_bytes(b"gone\n")
    assert load(objects, manifest) == {"a": A}
    assert fsck(objects, [("m@1", manifest.id)]) == []


def test_a_commit_that_slept_is_told_so_where_a_collector_passed(tmp_path, monkeypatch):
    """Its sheet comes when the collector has read the sheets, and its packs go after that."""
    objects = Objects.open(str(tmp_path))
    real_publish, real_remove = commit_module.publish, gc_module._remove
    asleep, awake, published = threading.Event(), threading.Event(), threading.Event()

    def publish(*given, **options):
        for path in (p for p in tmp_path.rglob("*") if p.is_file()):
            os.utime(path, (0, 0))  # the machine slept
        asleep.set()
        awake.wait()
        try:
            return real_publish(*given, **options)
        finally:
            published.set()

    def remove(*given):
        awake.set()
        published.wait()
        return real_remove(*given)

    monkeypatch.setattr(commit_module, "publish", publish)
    monkeypatch.setattr(gc_module, "_remove", remove)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(commit, objects, STRUCTURE, {"a": A})
        asleep.wait()
        assert gc(objects, set(), 3600).packs == 1
        with pytest.raises(StorageError, match="took its packs for abandoned"):
            writing.result()
    assert [reference.gone for reference in references(objects)] == [False, True]
    monkeypatch.undo()
    assert load(objects, commit(objects, STRUCTURE, {"a": A})) == {"a": A}


def test_a_commit_that_slept_takes_back_what_names_no_pack_of_its_own(tmp_path, monkeypatch):
    objects = Objects.open(str(tmp_path))
    base = commit(objects, STRUCTURE, {"a": A, "b": B})
    monkeypatch.setattr(Lease, "held", lambda lease: False)
    with pytest.raises(StorageError, match="took its packs for abandoned"):
        commit(objects, STRUCTURE, {"a": A}, [base.id])
    withdrawn = [found for found in references(objects) if found.version != base.id]
    assert [reference.gone for reference in withdrawn] == [False, True]
    assert load(objects, base) == {"a": A, "b": B}
