import numpy as np
import polars as pl
import pytest

from tidegate.data.profile.json_file import from_json, to_json
from tidegate.data.profile.profile import merged, profile, profile_of
from tidegate.data.profile.sample import ROWS, alike
from tidegate.domain.errors import DataError
from tidegate.domain.schema import Kind


def _frame(seed, rows):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": random.normal(size=rows),
            "count": random.poisson(3, rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.lognormal(0, 1, rows)),
            "city": random.choice(["Rome", "Oslo", "Bonn"], rows, p=[0.5, 0.3, 0.2]),
            "user": [f"u{n}" for n in random.integers(0, 10**9, rows)],
            "day": (np.datetime64("2024-01-01") + random.integers(0, 99, rows)).astype(str),
            "paid": random.choice(["true", "false"], rows),
            "said": [f"we were told that it was number {n}" for n in range(rows)],
            "vector": pl.Series(random.normal(size=(rows, 4)), dtype=pl.Array(pl.Float64, 4)),
        },
        nan_to_null=True,
    )  # fmt: skip


def test_each_kind_of_column_is_told():
    found = profile_of(_frame(0, 3000), "week 1")
    kinds = {column.name: column.kind for column in found.columns}
    assert kinds == {
        "x": Kind.NUMERIC, "count": Kind.NUMERIC, "gaps": Kind.NUMERIC, "city": Kind.CATEGORICAL,
        "user": Kind.CATEGORICAL, "day": Kind.DATE, "paid": Kind.BOOLEAN, "said": Kind.TEXT,
        "vector": Kind.EMBEDDING,
    }  # fmt: skip
    assert (found.rows, found.sample.shape) == (3000, (3000, 9))
    assert set(found.column("vector").numbers) == {
        "length",
        *(f"direction {n}" for n in range(1, 9)),
    }
    assert found.column("nobody") is None


def test_a_column_that_begins_as_dates_and_goes_on_as_text():
    texts = ["2024-01-01", "2024-02-02", "soon", "2024-03-03"]
    batches = [pl.DataFrame({"when": texts[:2]}), pl.DataFrame({"when": texts[2:]})]
    [column] = profile(batches, "x").columns
    assert (column.kind, column.tally.names) == (Kind.CATEGORICAL, sorted(texts))


def test_what_is_missing_is_not_a_value():
    frame = pl.DataFrame(
        {
            "x": [1.0, None, float("inf"), float("-inf")],
            "c": ["a", None, "", " "],
            "none": pl.Series([None] * 4, dtype=pl.Float64),
            "v": pl.Series([[1, 2], None, [1, None], [3, 4]], dtype=pl.Array(pl.Float64, 2)),
        }
    )  # fmt: skip
    missing = [column.missing for column in profile_of(frame, "x").columns]
    assert missing == [3, 3, 4, 2]


@pytest.mark.parametrize("size", [7, 1000, 1999, 2000])
def test_counts_do_not_depend_on_how_rows_are_cut(size):
    frame = _frame(0, 2000).drop("vector")
    whole, cut = profile_of(frame, "t"), profile(frame.iter_slices(size), "t")
    for a, b in zip(whole.columns, cut.columns, strict=True):
        assert (a.kind, a.rows, a.missing, a.dtype) == (b.kind, b.rows, b.missing, b.dtype)
        if a.tally is not None:
            assert a.tally.names == b.tally.names
            assert a.tally.counts.tolist() == b.tally.counts.tolist()
        if a.value is not None:
            assert a.value.summary.rows == b.value.summary.rows


def test_the_same_rows_have_the_same_profile():
    frame = _frame(0, 9000)
    assert to_json(profile_of(frame, "t")) == to_json(profile_of(frame, "t"))


@pytest.mark.parametrize("parts", [2, 5])
def test_profiles_of_parts_make_the_profile_of_all(parts):
    frame = _frame(3, 30_000)
    size = 30_000 // parts
    found = [profile_of(frame[at : at + size], f"part {at}") for at in range(0, 30_000, size)]
    together, whole = found[0], profile_of(frame, "all")
    for part in found[1:]:
        together = merged(together, part)
    assert (together.rows, together.sample.height) == (30_000, ROWS)
    for a, b in zip(together.columns, whole.columns, strict=True):
        assert (a.name, a.kind, a.rows, a.missing) == (b.name, b.kind, b.rows, b.missing)
        if a.tally is not None:
            for counts in ("groups", "lengths", "hashes"):
                assert getattr(a.tally.beyond, counts).tolist() == (
                    getattr(b.tally.beyond, counts).tolist()
                )
        for side, brief in a.numbers.items():
            exact = b.numbers[side]
            assert brief.summary.rows == exact.summary.rows
            assert brief.moments.mean == pytest.approx(exact.moments.mean, rel=1e-9, abs=1e-9)
            assert brief.moments.minimum == exact.moments.minimum
            at = np.linspace(brief.moments.minimum, brief.moments.maximum, 99)
            shares = [
                np.append(0, np.cumsum(s.counts))[np.searchsorted(s.values, at, side="right")]
                / s.rows
                for s in (brief.summary, exact.summary)
            ]
            bound = brief.summary.error + exact.summary.error
            assert np.max(np.abs(shares[0] - shares[1])) <= bound + 1e-12


def test_every_row_has_the_same_chance_to_be_kept():
    # 20,000 rows of which 5,000 are kept: of each tenth of them about 500, whatever the cut.
    frame = pl.DataFrame({"row": np.arange(20_000)})
    for name, size in (("a", 65_536), ("b", 1000), ("c", 37)):
        kept = profile(frame.iter_slices(size), name).sample["row"].to_numpy()
        assert len(kept) == len(np.unique(kept)) == ROWS
        tenths = np.bincount(kept // 2000, minlength=10)
        assert np.all(np.abs(tenths - 500) < 100)  # five standard deviations


def test_many_small_profiles_keep_as_many_rows_as_a_large_one():
    together = profile_of(pl.DataFrame({"x": [0.0]}), "0")
    for number in range(1, 700):
        together = merged(together, profile_of(pl.DataFrame({"x": [float(number)]}), "n"))
    assert sorted(together.sample["x"]) == list(range(700))
    assert to_json(from_json(to_json(together))) == to_json(together)


def test_a_wide_table_keeps_fewer_rows():
    frame = pl.DataFrame({f"x{n}": np.zeros(2000) for n in range(1000)})
    assert profile_of(frame, "wide").sample.height == 1000


def test_progress_is_told_and_nothing_is_an_error():
    heard = []
    frame = _frame(0, 100)
    profile(frame.iter_slices(40), "x", rows=100, progress=lambda *told: heard.append(told))
    assert heard == [(40, 100), (80, 100), (100, 100)]
    with pytest.raises(DataError, match="week 9 holds no rows"):
        profile([], "week 9")


def test_numbers_and_texts_are_not_taken_together():
    a, b = (profile_of(pl.DataFrame({"x": values}), "t") for values in ([1.0], ["one"]))
    with pytest.raises(DataError, match="'x' holds numbers on one side and text on the other"):
        merged(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (["2024-01-01", "2024-01-02"], [None, None]),
        ([None, None], ["2024-01-01", None]),
        (["a", "b", " "], []),
        ([1, 2], [0.5]),
        ([1, None], ["x"]),
        ([1.5], [None]),
        ([[1.0, 2.0]], [None]),
    ],
    ids=str,
)
def test_a_side_without_values_fits_any_other(a, b):
    kinds = {str: pl.String, int: pl.Int64, float: pl.Float64, list: pl.Array(pl.Float64, 2)}

    def column(values):
        kind = next((type(value) for value in values if value is not None), float)
        return pl.DataFrame({"x": pl.Series(values, dtype=kinds[kind])})

    if not b:
        b = [None]
    sides = [column(values) for values in (a, b)]
    if a == [1, None]:
        with pytest.raises(DataError, match="'x' holds numbers on one side"):
            merged(*(profile_of(side, "t") for side in sides))
        return
    together = merged(*(profile_of(side, "t") for side in sides)).column("x")
    whole = profile_of(
        pl.DataFrame({"x": pl.concat(alike(*(side["x"] for side in sides)))}), "t"
    ).column("x")
    assert (together.kind, together.rows, together.missing) == (
        whole.kind, whole.rows, whole.missing
    )  # fmt: skip


def test_vectors_of_different_widths_are_not_taken_together():
    a, b = (
        profile_of(pl.DataFrame({"v": pl.Series([[1.0] * n], dtype=pl.Array(pl.Float64, n))}), "t")
        for n in (2, 3)
    )
    with pytest.raises(DataError, match=r"'v' is of type Array.* on the other"):
        merged(a, b)


def test_an_error_while_reading_is_the_readers():
    def batches():
        yield _frame(0, 10)
        raise DataError("line 11 is broken", do="mend it")

    with pytest.raises(DataError, match="line 11"):
        profile(batches(), "x")
