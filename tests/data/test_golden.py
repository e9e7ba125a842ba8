"""Golden requests: which rows, kept exactly, and compared to the bit or within a tolerance."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.golden import (
    PREDICTION,
    ROWS,
    Golden,
    answers_of,
    chosen,
    differences,
    keep,
    kept,
    verify_golden,
)
from tidegate.domain.errors import IntegrityError, Missing
from tidegate.domain.predictor import Predictions


def table(count, seed=0):
    """Numbers with gaps and two extremes, and a text that occurs once."""
    rng = np.random.default_rng(seed)
    number, text = rng.normal(size=count).tolist(), rng.choice(["a", "b"], count).tolist()
    number[count // 3], number[count // 2], number[count // 5] = None, 1e9, -1e9
    text[count // 7] = "rare"
    return pl.DataFrame({"number": number, "text": text, "whole": list(range(count))})


def batches(frame, size):
    return (frame[at : at + size] for at in range(0, frame.height, size))


@pytest.mark.parametrize("size", [400, 700, 5000])
def test_what_is_odd_is_among_them_and_the_same_rows_are_chosen_again(size):
    frame = table(5000)
    rows = chosen(batches(frame, size))
    assert rows.equals(chosen(batches(frame, size)))
    assert rows.height == ROWS
    assert rows["number"].null_count() == 1
    assert rows["text"].to_list().count("rare") == 1
    assert (rows["number"].min(), rows["number"].max()) == (-1e9, 1e9)
    assert rows["whole"].is_unique().all()
    assert rows["whole"].max() - rows["whole"].min() > 0.9 * frame.height


@given(rows=st.integers(1, 90), columns=st.integers(1, 40), seed=st.integers(0, 99))
def test_as_many_as_there_are_up_to_the_limit(rows, columns, seed):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {f"c{n}": rng.choice([None, "x", "y", f"z{n}"], rows).tolist() for n in range(columns)},
        schema=dict.fromkeys((f"c{n}" for n in range(columns)), pl.String),
    ).with_row_index("row")
    taken = chosen([frame])
    assert taken.height == min(rows, ROWS)
    assert taken["row"].is_unique().all()


EXACT = pl.DataFrame(
    {
        "a": [0.1, -0.0, float("inf"), None],
        "b": ["", "é", None, "x"],
        "row.c": [1, 2**62, -5, None],
        "v": pl.Series([[1.0, 0.1], None, [0.0, -0.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
    }
)


def test_they_come_back_exactly_and_are_named_by_their_content(objects):
    answers = pl.DataFrame(
        {PREDICTION: ['"a"', "1", "true", "1"], "share of 1": [0.1, 1, 0, 5e-324]}
    )
    digest = keep(objects, Golden(EXACT, answers))
    found = kept(objects, digest)
    assert found.rows.equals(EXACT)
    assert found.rows.schema == EXACT.schema
    assert differences(answers, found.answers, 0.0) == []
    assert keep(objects, Golden(EXACT, answers)) == digest
    assert verify_golden(objects, digest) is None


def test_those_that_are_gone_or_altered_are_told(objects):
    digest = keep(objects, Golden(EXACT, pl.DataFrame({PREDICTION: [1.0, 2, 3, 4]})))
    key = f"golden/{digest}.parquet"
    held = objects.get(key)
    objects.delete(key)
    assert "gone" in verify_golden(objects, digest).text()
    with pytest.raises(Missing):
        kept(objects, digest)
    objects.put(key, held[:-1] + bytes([held[-1] ^ 1]))
    assert "altered" in verify_golden(objects, digest).text()
    with pytest.raises(IntegrityError):
        kept(objects, digest)


def shares(*ones):
    """Answers of two classes with these shares of the second."""
    array = np.array(ones)
    labels = np.array([int(one > 0.5) for one in ones], dtype=object)
    return answers_of(Predictions(labels, [0, 1], np.stack([1 - array, array], axis=1)))


def test_the_last_bit_counts_unless_there_is_a_tolerance():
    was, now = shares(0.25, 0.75), shares(0.25, np.nextafter(0.75, 1))
    found = [(one.row, one.column, one.was) for one in differences(was, now, 0.0)]
    assert (1, "share of 1", "0.75") in found
    assert {row for row, _, _ in found} == {1}
    assert differences(was, now, 1e-9) == []
    assert differences(was, shares(0.25, 0.7501), 1e-9) != []
    zeros = [answers_of(Predictions(np.array([zero]))) for zero in (0.0, -0.0)]
    assert len(differences(*zeros, 0.0)) == 1
    nothing = answers_of(Predictions(np.array([np.nan])))
    assert differences(nothing, nothing, 0.0) == []


def test_another_label_is_another_answer_but_for_a_tie():
    tied, other = shares(0.5), shares(0.5 + 1e-12)
    assert {one.column for one in differences(tied, other, 0.0)} >= {PREDICTION}
    assert differences(tied, other, 1e-9) == []
    assert PREDICTION in {one.column for one in differences(shares(0.2), shares(0.8), 1e-9)}
    labels = [pl.DataFrame({PREDICTION: [label]}) for label in ('"a"', '"b"')]
    assert len(differences(*labels, 1e-9)) == 1, "there are no shares to tell a tie by"


def test_other_classes_are_told_as_a_whole():
    two = shares(0.2)
    three = two.with_columns(pl.lit(0.0).alias("share of 2"))
    (one,) = differences(two, three, 1e-9)
    assert "share of 2" in one.now
    assert "share of 2" not in one.was
