import csv
import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.read import read_files
from tidegate.data.table import MISSING
from tidegate.domain.errors import DataError, NotFound, WrongUsage


def _csv(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _read(tmp_path, content):
    return read_files([_csv(tmp_path, content)])


def test_types_follow_every_value(tmp_path):
    rows = "\n".join(f"{n},{n},x" for n in range(5000))
    frame = _read(tmp_path, f"whole,late,text\n{rows}\n5000,0.5,y\n")
    assert dict(frame.schema) == {"whole": pl.Int64, "late": pl.Float64, "text": pl.String}
    assert frame["late"][-1] == 0.5


@pytest.mark.parametrize("word", MISSING)
def test_missing_words_are_missing_in_numbers_and_text(tmp_path, word):
    frame = _read(tmp_path, f"a,b\n1,x\n{word},{word}\n")
    assert frame.to_dict(as_series=False) == {"a": [1, None], "b": ["x", None]}
    assert frame.dtypes == [pl.Int64, pl.String]


def test_words_that_may_be_answers_stay(tmp_path):
    assert _read(tmp_path, "a\nNone\nunknown\n-\n")["a"].to_list() == ["None", "unknown", "-"]


def test_a_column_without_values_is_numeric(tmp_path):
    frame = _read(tmp_path, "a,b\n1,\n2,\n")
    assert frame["b"].dtype == pl.Float64
    assert frame["b"].null_count() == 2


def test_blanks_bom_quotes_and_line_ends(tmp_path):
    text = '\ufeff a ,"b,c"\r\n 1 ,"say ""yes""\r\nor no"\r\n\r\n2,x\r\n'
    frame = _read(tmp_path, text)
    assert frame.columns == ["a", "b,c"]
    assert frame["a"].to_list() == [1, 2]
    assert frame["b,c"].to_list() == ['say "yes"\r\nor no', "x"]


def test_whole_numbers_beyond_64_bits_become_floats(tmp_path):
    frame = _read(tmp_path, "a\n9223372036854775807\n9223372036854775808\n")
    assert frame["a"].dtype == pl.Float64


def test_infinity_that_was_written_stays(tmp_path):
    assert _read(tmp_path, "a\n1\n-inf\nInfinity\n")["a"].to_list() == [
        1,
        -float("inf"),
        float("inf"),
    ]


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
                lambda text: text.strip() and text.strip() not in MISSING
            ),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_what_is_read(tmp_path_factory, rows):
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["f", "i", "s"])
    writer.writerows([*rows, (0.5, 0, "text")])  # so that no column of texts reads as numbers
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(out.getvalue().encode())
    frame = read_files([path])
    read = list(frame.iter_rows())[:-1]
    assert [tuple(map(repr, row)) for row in read] == [tuple(map(repr, row)) for row in rows]


BAD = {
    "empty": (b"", ["is empty"]),
    "blank": (b" \n\n", ["is empty"]),
    "header only": (b"a,b\n", ["no rows"]),
    "header without newline": (b"a,b", ["no rows"]),
    "too few": (b"a,b,c\n1,2,3\n4,5\n", ["line 3", "2 fields", "3"]),
    "too many": (b"a,b\n1,2\n3,4,5\n", ["line 3", "3 fields", "2"]),
    "ragged after a quoted line break": (b'a,b\n"x\ny",2\n3\n', ["line 4", "1 fields"]),
    "ragged after blank lines": (b"a,b\n\n\n1\n", ["line 4"]),
    "one column too many throughout": (b"a\n1,2\n3,4\n", ["line 2", "2 fields"]),
    "latin-1": ("a,b\n1,2\n3,é\n".encode("latin-1"), ["line 3", "byte 10", "0xe9", "UTF-8"]),
    "latin-1 after a BOM": (b"\xef\xbb\xbfa\n\xe9\n", ["line 2", "byte 5"]),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), ["UTF-16"]),
    "nul": (b"a,b\n1,2\n3,\x004\n", ["line 3", "NUL", "byte 10"]),
    "gzip": (b"\x1f\x8b\x08\x00aaaa", ["gzip"]),
    "spreadsheet": (b"PK\x03\x04aaaa", ["spreadsheet"]),
    "duplicate names": (b"a,b,a\n1,2,3\n", ["columns 1 and 3", "'a'"]),
    "duplicate after blanks": (b"a, a\n1,2\n", ["columns 1 and 2"]),
    "no name": (b"a,,c\n1,2,3\n", ["column 2 has no name"]),
    "open quote": (b'a,b\n1,"x\n3,4\n', ["line 2", "never closed"]),
    "open quote in the header": (b'a,"b\n1,2\n', ["line 1", "never closed"]),
    "open quote in a long file": (b'a,b\n1,"x\n' + b"3,4\n" * 50000, ["line 2", "never closed"]),
    "text after a quote": (b'a,b\n1,"x"y\n', ["line 2", "closing double quote"]),
    "too large": (b"a,b\n1,2\n1e999,4\n", ["row 2", "'a'", "1e999"]),
    "thousands of digits": (b"a\n" + b"9" * 2000 + b"\n", ["row 1", "too large"]),
    "cut Parquet": (b"PAR1aaaaPAR1", ["Parquet", "cannot be read"]),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_each_bad_file_is_told_apart(tmp_path, content, says):
    with pytest.raises(DataError) as caught:
        _read(tmp_path, content)
    for part in ["a.csv", *says]:
        assert part in str(caught.value)
    assert caught.value.text("zh")


def test_files_that_are_none(tmp_path):
    with pytest.raises(NotFound, match=r"gone\.csv"):
        read_files([tmp_path / "gone.csv"])
    with pytest.raises(DataError, match="holds no file of rows"):
        read_files([tmp_path])
    with pytest.raises(WrongUsage):
        read_files([])
    with pytest.raises(DataError, match="named like Parquet"):
        read_files([_csv(tmp_path, "a\n1\n", "a.parquet")])


def test_files_are_stacked_in_order_by_column_name(tmp_path):
    heard = []
    frame = read_files(
        [_csv(tmp_path, "a,b\n1,x\n"), _csv(tmp_path, "b,a\n,2.5\n", "b.csv")],
        lambda done, total: heard.append((done, total)),
    )
    assert frame.to_dict(as_series=False) == {"a": [1.0, 2.5], "b": ["x", None]}
    assert heard[-1][0] == heard[-1][1] > heard[0][0]


def test_files_that_do_not_fit_together(tmp_path):
    one = _csv(tmp_path, "a,b\n1,2\n")
    with pytest.raises(DataError, match=r"missing: b; extra: c"):
        read_files([one, _csv(tmp_path, "a,c\n1,2\n", "b.csv")])
    with pytest.raises(DataError, match=r"'b' holds numbers in .*a\.csv and text in .*b\.csv"):
        read_files([one, _csv(tmp_path, "a,b\n1,x\n", "b.csv")])


def test_a_parquet_is_known_by_its_content(tmp_path):
    path = tmp_path / "rows.csv"
    pl.DataFrame({"a": [1, None], "b": [True, False], "c": [float("nan"), 1.0]}).write_parquet(path)
    frame = read_files([path])
    assert frame.to_dict(as_series=False) == {
        "a": [1, None],
        "b": ["true", "false"],
        "c": [None, 1.0],
    }


@pytest.mark.parametrize(
    "column",
    [pa.array([[1]]), pa.array([{"x": 1}]), pa.array([b"x"]), pa.array([1], pa.duration("s"))],
    ids=["list", "struct", "bytes", "duration"],
)
def test_a_parquet_column_that_is_not_plain_is_named(tmp_path, column):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"good": [1], "odd": column}), path)
    with pytest.raises(DataError, match="'odd' is of type"):
        read_files([path])


def test_a_parquet_with_bad_names_or_no_rows(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(DataError, match="columns 1 and 2"):
        read_files([path])
    pa.parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(DataError, match="no rows"):
        read_files([path])


def test_a_parquet_with_a_damaged_page(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": list(range(10000))}).write_parquet(path, compression="zstd")
    damaged = bytearray(path.read_bytes())
    damaged[100:400] = b"\xff" * 300
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="cannot be read"):
        read_files([path])
