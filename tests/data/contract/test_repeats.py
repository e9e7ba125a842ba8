import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.contract import repeats as module
from tidegate.data.contract.repeats import Repeats
from tidegate.domain.errors import StorageError

_ROWS = st.lists(
    st.tuples(st.none() | st.integers(-2, 2), st.sampled_from(["a", "b", "c", None])), max_size=60
)


def _first_repeats(rows):
    seen, again = set(), []
    for row, values in enumerate(rows):
        if None not in values:
            again += [row] if values in seen else []
            seen.add(values)
    return len(again), again[:5]


@given(_ROWS, st.integers(1, 7), st.sampled_from([0, 100, 10**6]))
@settings(max_examples=100, deadline=None)
def test_in_memory_and_on_disk_the_same_rows_repeat(rows, size, held_bytes):
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.String}, orient="row")
    with Repeats(["a", "b"], held_bytes) as repeats:
        for start in range(0, frame.height, size):
            repeats.add(frame[start : start + size], start)
        tally = repeats.tally()
    assert (tally.count, tally.rows) == _first_repeats(rows)


def test_zero_is_zero_with_either_sign():
    with Repeats(["x"], held_bytes=0) as repeats:
        repeats.add(pl.DataFrame({"x": [0.0]}), 0)
        repeats.add(pl.DataFrame({"x": [-0.0]}), 1)
        assert repeats.tally().rows == [1]


def test_alike_hashes_are_no_proof(monkeypatch):
    monkeypatch.setattr(
        pl.DataFrame,
        "hash_rows",
        lambda self, *_: pl.repeat(7, self.height, dtype=pl.UInt64, eager=True),
    )
    with Repeats(["x"], held_bytes=0) as repeats:
        repeats.add(pl.DataFrame({"x": [1, 2, 3]}), 0)
        repeats.add(pl.DataFrame({"x": [4, 2]}), 3)
        tally = repeats.tally()
    assert (tally.count, tally.rows, tally.examples) == (1, [4], ["2"])


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    with Repeats(["x"], held_bytes=0) as repeats:
        repeats.add(pl.DataFrame({"x": [1, 2, 2]}), 0)
        assert list(tmp_path.iterdir())
        assert repeats.tally().count == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_ipc", full)
    with (
        Repeats(["x"], held_bytes=0) as repeats,
        pytest.raises(StorageError, match="No space left on device"),
    ):
        repeats.add(pl.DataFrame({"x": [1]}), 0)
