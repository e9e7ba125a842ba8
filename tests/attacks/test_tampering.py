"""A changed byte of a parameter, of evidence or of the ledger is found by ``audit verify``."""

import random
import sqlite3
from contextlib import closing

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import Workspace
from tidegate.domain.errors import IntegrityError
from tidegate.domain.people import Role
from tidegate.domain.stage import Team

MODEL = {"model": "m", "task": "binary", "target": "y", "adapter": "sklearn.logistic_regression"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A workspace in which a first version walked through all eight gates."""
    at = tmp_path_factory.mktemp("tampered")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 150)
    rows = pl.DataFrame({"a": rng.normal(2 * y, 1), "b": rng.normal(-2 * y, 1), "y": y})
    rows.write_csv(at / "rows.csv")
    with Workspace.init(at / "ws", actor="ada") as ws:
        ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        ws.apply_model(MODEL)
        snapshot = ws.add_data("m", [at / "rows.csv"]).snapshot
        update = ws.start_update("m", data=snapshot.id, reason="first")
        with ws.acting_as("wei") as wei:
            assert wei.approve(update.id).outcome == "completed"
        assert ws.verify().ok
    with closing(sqlite3.connect(at / "ws" / "tidegate.sqlite")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return at / "ws"


def found(folder):
    """Whether ``audit verify`` doubts the record."""
    with Workspace(folder) as ws:
        try:
            return not ws.verify().ok
        except IntegrityError:
            return True


def flipped(raw, pick):
    at = pick.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << pick.randrange(8))]) + raw[at + 1 :]


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9))
def test_any_byte_of_any_stored_object(folder, seed):
    """Parameters, manifests and snapshots alike."""
    pick = random.Random(seed)
    path = pick.choice(sorted(p for p in (folder / "objects").rglob("*") if p.is_file()))
    whole = path.read_bytes()
    if not whole:
        return
    path.write_bytes(flipped(whole, pick))
    try:
        assert found(folder), path
    finally:
        path.write_bytes(whole)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), table=st.sampled_from(["evidence", "events", "documents"]))
def test_any_byte_of_any_text_in_the_record(folder, seed, table):
    """The bytes are written past SQLite's text, as a hex editor would."""
    pick = random.Random(seed)
    with closing(sqlite3.connect(folder / "tidegate.sqlite")) as raw:
        count = raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        row = raw.execute(
            f"SELECT rowid, CAST(body AS BLOB) FROM {table} LIMIT 1 OFFSET ?",
            (pick.randrange(count),),
        ).fetchone()
        other = flipped(row[1], pick)
        update = f"UPDATE {table} SET body = CAST(? AS TEXT) WHERE rowid = ?"
        raw.execute(update, (other, row[0]))
        raw.commit()
        try:
            assert found(folder), (table, row)
        finally:
            raw.execute(update, (row[1], row[0]))
            raw.commit()
    assert not found(folder)


@pytest.mark.parametrize("table", ["documents", "evidence", "events", "ledger_head"])
def test_any_row_taken_away(folder, table):
    with closing(sqlite3.connect(folder / "tidegate.sqlite")) as raw:
        rowids = [rowid for (rowid,) in raw.execute(f"SELECT rowid FROM {table}")]
        for rowid in rowids:
            row = raw.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,)).fetchone()
            raw.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
            raw.commit()
            try:
                assert found(folder), row
            finally:
                marks = ", ".join("?" * len(row))
                raw.execute(f"INSERT INTO {table} VALUES ({marks})", row)
                raw.commit()
    assert not found(folder)


def test_any_object_taken_away(folder):
    for path in sorted(p for p in (folder / "objects").rglob("*") if p.is_file()):
        whole = path.read_bytes()
        path.unlink()
        try:
            assert found(folder), path
        finally:
            path.write_bytes(whole)
    assert not found(folder)


def test_the_command_says_where_and_leaves_with_three(folder, tidegate):
    path = next(
        p for p in sorted((folder / "objects" / "params" / "packs").rglob("*")) if p.is_file()
    )
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, random.Random(0)))
    try:
        told = tidegate(f"audit verify --workspace {folder} --json")
        assert told.code == 3
        assert "m@1" in str(told.json["problems"])
        assert tidegate(f"params fsck --workspace {folder}").code == 3
    finally:
        path.write_bytes(whole)
    assert tidegate(f"audit verify --workspace {folder}").code == 0
