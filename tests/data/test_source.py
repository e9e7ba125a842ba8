from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.digest import RowsDigest
from tidegate.data.source import open_source
from tidegate.data.sources import blocks, rows
from tidegate.domain.errors import DataError, WrongUsage

FRAME = pl.DataFrame(
    {
        "when": ["2011-01-02", "2011-01-01", None],
        "x": [1.5, None, -3.0],
        "n": [1, None, 3],
        "y": ["b", "ä,;", "c\nd"],
        "flag": ["true", "false", "true"],
    }
)


def _all(source, columns=None):
    return pl.concat(source.batches(columns))


def _digest(source):
    digest = RowsDigest()
    for batch in source.batches():
        digest.add(batch)
    return digest.hexdigest()


def _pandas_like(frame):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({name: frame[name].to_list() for name in frame.columns})


def _kept(frame, folder):
    """The same rows in every form."""
    bools = frame.with_columns(flag=pl.col("flag") == "true")
    frame.write_csv(folder / "a.csv")
    frame.write_csv(folder / "a.tsv", separator="\t")
    frame.write_csv(folder / "b.csv", separator=";", include_bom=True)
    frame.write_csv(folder / "c.csv", separator="|", line_terminator="\r\n")
    bools.write_ndjson(folder / "a.jsonl")
    bools.write_parquet(folder / "a.parquet", row_group_size=2)
    pq.write_table(bools.to_arrow(), folder / "b.parquet", use_dictionary=["y"])
    paths = [path for path in folder.iterdir() if path.is_file()]
    return [*paths, bools, bools.to_arrow(), frame.with_columns(pl.col("y").cast(pl.Categorical))]


def test_the_same_rows_are_the_same_from_everywhere(tmp_path):
    sources = [open_source(rows_) for rows_ in _kept(FRAME, tmp_path)]
    assert len(sources) == 10
    for source in sources:
        assert source.columns == FRAME.columns, source.name
        assert source.rows == 3
        assert source.size_bytes > 0
        assert _all(source).equals(FRAME), source.name
        assert _all(source, ["y", "x"]).equals(FRAME.select("y", "x")), source.name
    assert len({_digest(source) for source in sources}) == 1


def test_a_pandas_frame_is_taken_without_its_index():
    frame = _pandas_like(FRAME)
    assert _all(open_source(frame.set_index("n", drop=False))).equals(FRAME)


def test_batches_are_small_and_of_one_type(tmp_path):
    frame = pl.DataFrame({"a": range(150_000), "b": ["1"] * 149_999 + ["x"]})
    frame.write_csv(tmp_path / "a.csv")
    pq.write_table(frame.to_arrow(), tmp_path / "a.parquet", row_group_size=100_000)
    for rows_ in (tmp_path / "a.csv", tmp_path / "a.parquet", frame):
        source = open_source(rows_)
        batches = list(source.batches())
        assert {tuple(batch.dtypes) for batch in batches} == {(pl.Int64(), pl.String())}
        assert max(batch.height for batch in batches) <= rows.BATCH_ROWS
        assert pl.concat(batches).equals(frame)
        assert pl.concat(source.batches()).equals(frame), "a second pass gives the same"


@pytest.mark.parametrize(("width", "height"), [(10, 1 << 16), (1000, 8388), (10_000_000, 1)])
def test_wide_batches_are_short(width, height):
    assert rows.batch_rows({"v": pl.Array(pl.Float64, width)}) == height


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "1", " 2 ", "x", 'a"b', "a\nb", "a,b", '"', "ä", "1,5", "\r\n"]),
            st.sampled_from(["", "7", "1e3", "NA", ' "q" ', "5' 3\""]),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(7, 60),
)
@settings(max_examples=150)
def test_where_blocks_end_does_not_matter(tmp_path_factory, fields, size):
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    pl.DataFrame([*fields, ("text", "0.5")], schema=["a", "b"], orient="row").write_csv(
        path, quote_style="necessary"
    )
    whole = _all(open_source(path))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "BLOCK_BYTES", size)
        assert _all(open_source(path)).equals(whole)


def test_quotes_within_a_field_are_part_of_it(tmp_path):
    (tmp_path / "a.csv").write_text('size,name\n5" pipe,"a ""b"""\n3" x,"c\nd"\n')
    frame = _all(open_source(tmp_path / "a.csv"))
    assert frame.rows() == [('5" pipe', 'a "b"'), ('3" x', "c\nd")]


@pytest.mark.parametrize("around", ['{0}"q,1', '"a""{0}",q"q', '"{0}\n{0}",q"q'])
def test_a_field_may_be_a_whole_document(tmp_path, around):
    path, text = tmp_path / "a.csv", "x" * 200_000
    path.write_text("a,b\n" + around.format(text) + "\n")
    assert len(_all(open_source(path))["a"][0]) >= 200_000
    path.write_text(f'b,"{text}"\n1,2\n')
    assert open_source(path).columns == ["b", text]


@pytest.mark.parametrize(("inside", "told"), [("", "longer than 16 MiB"), ("\n", "never closed")])
def test_a_field_larger_than_a_record_is_no_open_quote_unless_lines_end(tmp_path, inside, told):
    text = "x" * (blocks.RECORD_BYTES // 2 + 1)
    (tmp_path / "a.csv").write_text(f'a,b\n1,2\n"{text}{inside}{text}",q"q\n')
    with pytest.raises(DataError, match=rf"a\.csv, line 3: .*{told}"):
        open_source(tmp_path / "a.csv")


def test_numbers_that_only_the_parser_takes_for_such_are_text(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n0x10,1\n12,2\n")
    assert _all(open_source(tmp_path / "a.csv")).rows() == [("0x10", 1), ("12", 2)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a;b\n1;1.234,56\n2;3,14\n3;-7\n", [1234.56, 3.14, -7.0]),
        ("a\tb\n1\t1.234.567\n2\t+1.000,5\n3\t1.234\n", [1234567.0, 1000.5, 1234.0]),
        ("a;b\n1;,5\n2;NA\n3;2\n", [0.5, None, 2.0]),
        ('a,b\n1,"3,14"\n2,"1,5"\n3,"2"\n', ["3,14", "1,5", "2"]),
        ("a;b\n1;3,14\n2;1,5e3\n3;2\n", ["3,14", "1,5e3", "2"]),
        ("a;b\n1;1.5\n2;2.25\n3;3.125\n", [1.5, 2.25, 3.125]),
    ],
)
def test_decimal_commas(tmp_path, text, values):
    (tmp_path / "a.csv").write_text(text)
    assert _all(open_source(tmp_path / "a.csv"))["b"].to_list() == values


@pytest.mark.parametrize(
    "values",
    [
        ["1"] * 20 + ["x"] * 9,
        ["1", "x"] * 20,
        ["1"] * 20 + ["x"] * 20 + ["1"],
        ["01/02/2011", "13/02/2011", "31/12/2011"],
        ["2011-12-31", "2011-12-31 10:00"],
        ["2011-12-31", "12/31/2011", "then"],
    ],
)
def test_texts_that_change_nothing(tmp_path, values):
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "".join(f"{value}\n" for value in values))
    assert _all(open_source(path))["a"].to_list() == values


def test_a_change_of_type_is_found_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    path = tmp_path / "a.csv"
    for above, below in (("{}.5", "x{}"), ("x{}", "{}.5"), ("{}", "x{}")):
        told = [above.format(n) for n in range(90)] + [below.format(n) for n in range(90)]
        path.write_text("a,b\n" + "".join(f"{value},z\n" for value in told))
        with pytest.raises(DataError, match=r"row (91|9\d|8\d): column 'a'"):
            open_source(path)


def test_a_folder_is_its_files_by_name_and_its_keys(tmp_path):
    folder = tmp_path / "sales"
    for year, month in (("2011", "1"), ("2012", "__HIVE_DEFAULT_PARTITION__")):
        part = folder / f"year={year}" / f"m%20n={month}"
        part.mkdir(parents=True)
        pl.DataFrame({"a": [int(year)]}).write_parquet(part / "x.parquet")
        pl.DataFrame({"a": [0.5]}).write_csv(part / "y.csv")
        (part / "_SUCCESS").write_text("")
        (part / ".x.crc").write_bytes(b"\0")
    source = open_source(folder)
    assert _all(source).rows() == [
        (2011.0, 2011, 1), (0.5, 2011, 1), (2012.0, 2012, None), (0.5, 2012, None),
    ]  # fmt: skip
    assert source.columns == ["a", "year", "m n"]
    assert source.rows == 4
    assert _all(source, ["year"]).rows() == [(2011,), (2011,), (2012,), (2012,)]


def test_folders_that_do_not_fit_together(tmp_path):
    for name in ("k=1", "j=2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="has not the keys of"):
        open_source(tmp_path)
    with pytest.raises(DataError, match="'a' is in the file and in the name"):
        (tmp_path / "other" / "a=1").mkdir(parents=True)
        (tmp_path / "other" / "a=1" / "x.csv").write_text("a\n1\n")
        open_source(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file of rows"):
        open_source(tmp_path / "empty")


def test_a_link_to_itself_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").symlink_to("b.csv")
    with pytest.raises(DataError, match=r"b\.csv cannot be read"):
        open_source(tmp_path)


def test_a_link_within_the_folder_is_followed(tmp_path):
    (tmp_path / "rows" / ".now").mkdir(parents=True)
    (tmp_path / "rows" / ".now" / "a.csv").write_text("a\n1\n")
    (tmp_path / "rows" / "a.csv").symlink_to(".now/a.csv")
    assert open_source(tmp_path / "rows").rows == 1


def test_vectors_of_one_length_are_a_column(tmp_path):
    fixed = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2))
    lists = pa.array([None, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    table = pa.table({"fixed": fixed, "lists": lists})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    wanted = {"fixed": pl.Array(pl.Float64, 2), "lists": pl.Array(pl.Float64, 3)}
    for rows_ in (tmp_path / "a.parquet", table, pl.DataFrame(pl.from_arrow(table))):
        source = open_source(rows_)
        assert dict(source.schema) == wanted
        assert _all(source)["lists"].to_list() == [None, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert len({_digest(open_source(rows_)) for rows_ in (tmp_path / "a.parquet", table)}) == 1


@pytest.mark.parametrize("odd", [[1.0], [1.0, None], []])
def test_vectors_that_do_not_fit_are_told_by_row(tmp_path, odd):
    table = pa.table({"v": pa.array([[1.0, 2.0]] * 70_000 + [odd])})
    pq.write_table(table, tmp_path / "a.parquet")
    for rows_, name in ((tmp_path / "a.parquet", r"a\.parquet"), (table, "the Arrow table")):
        with pytest.raises(DataError, match=rf"{name}: column 'v' holds vectors.*rows 70000"):
            _all(open_source(rows_))


def test_a_day_beyond_all_years_is_told_by_file_row_and_column(tmp_path):
    days = pa.array([0] * 70_000 + [2**31 - 1], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"day": days}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: column 'day' .*rows 70000"):
        _all(open_source(tmp_path / "a.parquet"))


def test_large_whole_numbers_become_floats_in_all_batches(tmp_path):
    values = pa.array([1] * 70_000 + [2**63], pa.uint64())
    pq.write_table(pa.table({"a": values, "b": values.slice(0, 70_001)}), tmp_path / "a.parquet")
    assert {batch.dtypes[0] for batch in open_source(tmp_path / "a.parquet").batches()} == {
        pl.Float64()
    }
    small = pa.table({"a": values.slice(0, 10)})
    assert open_source(small).schema["a"] == pl.Int64


def test_what_is_no_source(tmp_path):
    for rows_ in (5, {"a": [1]}, np.ones(3)):
        with pytest.raises(WrongUsage, match="is no table"):
            open_source(rows_)
    with pytest.raises(DataError, match="holds no rows"):
        open_source(pl.DataFrame({"a": []}))
    with pytest.raises(DataError, match="the polars frame: column 'a' is of type"):
        open_source(pl.DataFrame({"a": [{"x": 1}]}))


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n2\n")
    source = open_source(path)
    path.write_text("a\n1\nx\n")
    with pytest.raises(DataError, match="changed while it was read"):
        _all(source)
    path.write_text("a\n1\n2\n3\n")
    with pytest.raises(DataError, match="changed while it was read"):
        _all(source)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_that_is_gone_at_a_second_reading_is_told(tmp_path, name):
    table = pl.DataFrame({"a": [1, 2]})
    write = {"a.csv": table.write_csv, "a.jsonl": table.write_ndjson}
    write.get(name, table.write_parquet)(tmp_path / name)
    source = open_source(tmp_path / name)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=rf"{name}.* cannot be read.*No such file"):
        _all(source)


@pytest.mark.parametrize("more", [{}, {"v": [[1.0, 2.0]]}, {"day": [date(2011, 1, 2)]}])
@pytest.mark.parametrize("now", [["x"], [1.5], [[1.0]]])
def test_parquet_whose_types_change_between_two_readings_is_told(tmp_path, more, now):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": [1], **more}).write_parquet(path)
    source = open_source(path)
    for changed in ({"a": now, **more}, {"b": [1]}):
        pl.DataFrame(changed).write_parquet(path)
        with pytest.raises(DataError, match=r"a\.parquet"):
            _all(source)


def test_progress_hears_rows_and_ends_at_the_total(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 128)
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 500)
    heard = []
    open_source(tmp_path / "a.csv", lambda done, total: heard.append((done, total)))
    assert heard[-1] == (500, 500)
    assert len(heard) > 5
    assert all(450 < total < 550 for _, total in heard), "an estimate from the bytes read so far"
