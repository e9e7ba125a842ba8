import io

import polars as pl
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.digest import FORMAT, rows_digest, rows_digest_1
from tidegate.data.read import read_files
from tidegate.data.snapshot import (
    SnapshotSource,
    add_snapshot,
    load_snapshot,
    snapshot_batches,
    snapshot_key,
    verify_snapshot,
)
from tidegate.data.sources.frames import FrameSource
from tidegate.data.table import canonical
from tidegate.domain.errors import DataError, IntegrityError
from tidegate.domain.snapshot import Snapshot, snapshot_id
from tidegate.store.objects import Objects

FRAME = pl.DataFrame(
    {"when": ["2011-01-02", "2011-01-01"], "x": [1.5, None], "n": [1, None], "y": ["b", "ä"]}
)


def _add(objects, frame=FRAME, **changed):
    asked = {"model": "m", "target": "n", "time": ["when"], "sources": ["a.csv"]}
    return add_snapshot(
        objects, frame, **{**asked, **changed}, at="2020-01-01T00:00:00+00:00", by="ann"
    )


@pytest.fixture
def objects(tmp_path):
    return Objects.open(str(tmp_path / "objects"))


class _Replaced:
    """A store in which one object is not what it was."""

    def __init__(self, objects, content):
        self._objects, self._content = objects, content

    def opened(self, key):
        return io.BytesIO(self._content)

    def stream(self):
        return self._objects.stream()


def test_a_snapshot_says_what_it_holds(objects):
    snapshot = _add(objects)
    assert snapshot.id == snapshot_id(snapshot.model, snapshot.digest)
    assert (snapshot.rows, snapshot.labelled_rows) == (2, 1)
    assert (snapshot.time_from, snapshot.time_to) == ("2011-01-01T00:00:00", "2011-01-02T00:00:00")
    assert [column.missing for column in snapshot.columns] == [0, 1, 1, 0]
    assert load_snapshot(objects, snapshot).equals(FRAME)
    assert verify_snapshot(objects, snapshot) is None
    assert _add(objects, target=None, time=[]).labelled_rows == 0


def test_the_same_rows_are_the_same_snapshot_from_csv_and_parquet(objects, tmp_path):
    FRAME.write_csv(tmp_path / "a.csv")
    FRAME.write_parquet(tmp_path / "a.parquet", row_group_size=1, compression="snappy")
    kept = [_add(objects, read_files([tmp_path / name])) for name in ("a.csv", "a.parquet")]
    assert kept[0] == kept[1]


def test_other_parquet_bytes_of_the_same_rows_are_kept(objects):
    buffer = io.BytesIO()
    FRAME.write_parquet(buffer, compression="snappy")
    objects.put(snapshot_key(rows_digest(FRAME)), buffer.getvalue())
    snapshot = _add(objects)
    assert snapshot.size_bytes == len(buffer.getvalue())
    assert verify_snapshot(objects, snapshot) is None


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_changed_byte_is_found(tmp_path_factory, data):
    objects = Objects.open(str(tmp_path_factory.mktemp("o")))
    snapshot = _add(objects)
    content = bytearray(objects.get(snapshot_key(snapshot.digest)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    altered = _Replaced(objects, bytes(content))
    with pytest.raises(IntegrityError, match="altered"):
        load_snapshot(altered, snapshot)
    assert "altered" in str(verify_snapshot(altered, snapshot))


def test_rows_that_are_not_there_or_not_these(objects):
    snapshot = _add(objects)
    elsewhere = snapshot.model_copy(update={"digest": "0" * 64, "id": "s-" + "0" * 24})
    assert verify_snapshot(objects, elsewhere) is not None
    with pytest.raises(IntegrityError):
        load_snapshot(objects, elsewhere)
    misnamed = snapshot.model_copy(update={"id": "s-" + "1" * 24})
    assert "named for" in str(verify_snapshot(objects, misnamed))


@pytest.mark.parametrize("content", [b"", b"PAR1 no", None])
def test_adding_rows_whose_stored_bytes_were_altered_is_refused(objects, content):
    if content is None:
        buffer = io.BytesIO()
        FRAME.reverse().write_parquet(buffer)
        content = buffer.getvalue()
    _add(objects)
    with pytest.raises(IntegrityError, match="altered"):
        _add(_Replaced(objects, content))


def test_times_that_are_none_are_refused_before_anything_is_stored(objects):
    with pytest.raises(DataError, match="'y'"):
        _add(objects, time=["y"])
    assert not objects.exists(snapshot_key(rows_digest(FRAME)))


_COLUMN = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4),
    st.lists(st.none() | st.floats(allow_nan=False), min_size=4, max_size=4),
    st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=4, max_size=4),
)
_DIGESTS: dict[str, tuple] = {}


@given(_COLUMN, _COLUMN)
@settings(max_examples=150, deadline=None)
def test_the_digest_is_of_the_rows_and_nothing_else(a, b):
    frame = canonical(pl.DataFrame({"a": a, "b": b}))
    digest = rows_digest(frame)
    chunked = pl.concat([frame[:1], frame[1:3], frame[3:]], rechunk=False)
    assert rows_digest(chunked) == digest
    assert rows_digest(pl.concat([frame, frame])[4:]) == digest
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert rows_digest(pl.read_parquet(io.BytesIO(buffer.getvalue()))) == digest
    content = (repr(a), repr(b), str(frame.dtypes))
    assert _DIGESTS.setdefault(digest, content) == content


@given(st.permutations(range(4)))
def test_order_and_names_count(order):
    frame = pl.DataFrame({"a": [0, 1, 2, 3], "b": ["0", "1", "2", "3"]})
    moved = frame[list(order)]
    assert (rows_digest(moved) == rows_digest(frame)) == (list(order) == [0, 1, 2, 3])
    assert rows_digest(frame.rename({"a": "c"})) != rows_digest(frame)
    assert rows_digest(frame.select("b", "a")) != rows_digest(frame)


def test_what_lies_under_a_missing_value_does_not_count():
    hidden = pl.Series("a", [1.0, 2.0]).set(pl.Series([False, True]), None)
    assert rows_digest(hidden.to_frame()) == rows_digest(pl.DataFrame({"a": [1.0, None]}))
    empty, gone = pl.DataFrame({"a": [""]}), pl.DataFrame({"a": [None]}, schema={"a": pl.String})
    assert rows_digest(empty) != rows_digest(gone)
    assert rows_digest(pl.DataFrame({"a": [0]})) != rows_digest(pl.DataFrame({"a": [0.0]}))


def test_the_definition_has_not_moved():
    # Ids of snapshots stand in ledgers: if this fails, old ones no longer verify.
    assert rows_digest(FRAME) == (
        "b58f23f15682fba656170f9a616085f6a930cca2cff7ed4e6656ab42bcdda41d"
    )
    assert rows_digest_1(FRAME) == (
        "d70c50bbeb4363aa19c9888b1f766f3f10ff326fe1d0b6280e4e2c277666fb81"
    )


def test_rows_come_in_batches_that_are_checked(objects):
    frame = pl.DataFrame({"a": range(200_000), "b": [f"x{n}" for n in range(200_000)]})
    heard = []
    source = FrameSource(frame)
    snapshot = _add(objects, source, time=[], target="b", progress=lambda *told: heard.append(told))
    assert heard[-1] == (200_000, 200_000)
    batches = list(snapshot_batches(objects, snapshot))
    assert max(batch.height for batch in batches) <= 65_536
    assert pl.concat(batches).equals(frame)
    assert load_snapshot(objects, snapshot).equals(frame)
    assert pl.concat(snapshot_batches(objects, snapshot, ["b"])).equals(frame.select("b"))
    stored = SnapshotSource(objects, snapshot)
    assert (stored.columns, stored.rows) == (["a", "b"], 200_000)
    assert pl.concat(stored.batches(["a"])).equals(frame.select("a"))
    with pytest.raises(IntegrityError, match="altered"):
        next(snapshot_batches(_Replaced(objects, b"PAR1"), snapshot))


def test_embeddings_are_stored_as_they_are(objects):
    values = pl.Series("v", [[1.0, 2.0], None, [3.0, float("nan")]], dtype=pl.Array(pl.Float64, 2))
    frame = pl.DataFrame([values, pl.Series("n", [1, 2, None])])
    snapshot = _add(objects, frame, time=[])
    assert [column.kind for column in snapshot.columns] == ["embedding", "numeric"]
    assert load_snapshot(objects, snapshot).equals(frame)
    assert verify_snapshot(objects, snapshot) is None


def test_long_texts_end_a_row_group(objects, monkeypatch):
    monkeypatch.setattr("tidegate.data.snapshot_writer.GROUP_BYTES", 1000)
    rows = FrameSource(pl.DataFrame({"n": [1] * 70_000, "t": ["x" * 10] * 70_000}))
    snapshot = _add(objects, rows, time=[])
    with objects.opened(snapshot_key(snapshot.digest)) as file:
        assert pq.ParquetFile(file).num_row_groups == 2


def test_a_snapshot_of_the_first_format_still_verifies(objects):
    digest = rows_digest_1(FRAME)
    buffer = io.BytesIO()
    FRAME.write_parquet(buffer)
    objects.put(snapshot_key(digest), buffer.getvalue())
    now = _add(objects).model_dump(exclude={"format", "licence", "sensitivity", "parents"})
    old = Snapshot.model_validate(
        {
            **now,
            "digest": digest,
            "id": snapshot_id("m", digest),
            "object_digest": blake3(buffer.getvalue()).hexdigest(),
        }
    )
    assert old.format == "tidegate/rows/1"
    assert verify_snapshot(objects, old) is None
    assert load_snapshot(objects, old).equals(FRAME)
    assert "named for" in str(verify_snapshot(objects, old.model_copy(update={"format": FORMAT})))


def test_a_fault_on_the_way_leaves_nothing(objects, tmp_path):
    class Breaking(FrameSource):
        def batches(self, columns=None):
            yield from super().batches(columns)
            raise DataError("{file} is gone", do="wait", file="x")

    with pytest.raises(DataError, match="is gone"):
        _add(objects, Breaking(pl.DataFrame({"n": range(300_000)})), time=[])
    assert list(objects.list("")) == []
    assert not list((tmp_path / "objects" / ".staging").iterdir())
