"""Bad rows: a message that names file, row and column, and nothing half-added."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MODEL = "model: m\ntask: binary\ntarget: y\nadapter: sklearn.logistic_regression\n"
ROWS = "".join(f"{n % 7},{n / 4},{n % 2}\n" for n in range(400))
GOOD = "a,b,y\n" + ROWS


@pytest.fixture
def shop(tidegate, tmp_path):
    assert tidegate("init --as ada").code == 0
    (tmp_path / "m.yaml").write_text(MODEL)
    assert tidegate("model apply m.yaml").code == 0
    return tidegate


def state(folder):
    """Every document and event of the workspace, and every file in it, as one digest."""
    import sqlite3

    with sqlite3.connect(folder / ".tidegate" / "tidegate.sqlite") as raw:
        rows = [
            raw.execute(f"SELECT * FROM {table}").fetchall() for table in ("documents", "events")
        ]
    objects = folder / ".tidegate" / "objects"
    files = sorted(str(p.relative_to(objects)) for p in objects.rglob("*") if p.is_file())
    return hashlib.sha256(json.dumps([rows, files]).encode()).hexdigest()


def refused(shop, tmp_path, line, *says, code=1):
    before = state(tmp_path)
    told = shop(line)
    assert told.code == code, told
    for words in says:
        assert words in told.err, told
    assert "Traceback" not in told.err
    assert state(tmp_path) == before


def halves(first, second, rows=40):
    """A CSV whose column b holds one kind of value above and another below."""
    above = [f"1,{first.format(n)},0\n" for n in range(rows)]
    below = [f"1,{second.format(n)},1\n" for n in range(rows)]
    return "a,b,y\n" + "".join(above + below)


BAD = {
    "cut.csv": (GOOD[: GOOD.index("\n", 3000) - 4], ("line", "2 fields")),
    "cut-in-a-quote.csv": (GOOD + '1,"2', ("line 402", "never closed")),
    "cut-in-a-letter.csv": (
        GOOD.encode() + "1,x,ä".encode()[:-1],
        ("line 402", "column 'y'", "UTF-8"),
    ),
    "cut.tsv": (GOOD.replace(",", "\t")[:-40].rpartition("\t")[0], ("line", "2 fields")),
    "cut.jsonl": ('{"a": 1, "y": 0}\n{"a": 2, "y": 1}\n{"a": 3, "y"', ("line 3", "cut short")),
    "mixed-encodings.csv": (
        GOOD.encode() + "1,ä,0\n".encode() + "1,ä,0\n".encode("latin-1"),
        ("line 403", "column 'b'", "0xe4"),
    ),
    "mixed-encodings.jsonl": (
        '{"a": "ä"}\n'.encode() + '{"a": "ä"}\n'.encode("latin-1"),
        ("line 2", "0xe4"),
    ),
    "twice.csv": ("a,b,a\n1,2,3\n", ("columns 1 and 3", "'a'")),
    "twice.jsonl": ('{"a": 1, "a": 2}\n', ("line 1", "'a'")),
    "unnamed.csv": ("a,,y\n1,2,3\n", ("column 2 has no name",)),
    "unnamed.jsonl": ('{"a": 1, "": 2}\n', ("column 2 has no name",)),
    "numbers-then-text.csv": (halves("{}", "x{}"), ("row 41", "'b'", "x0")),
    "text-then-numbers.csv": (halves("x{}", "{}"), ("row 41", "'b'", "only numbers")),
    "numbers-then-text.jsonl": ('{"b": 1}\n{"b": "x"}\n', ("line 2", "'b'", "text")),
    "three-dates.csv": (
        "a,b,y\n1,2011-12-31,0\n1,12/31/2011,1\n1,31.12.2011,0\n",
        ("row 2", "'b'", "12/31/2011", "2011-12-31"),
    ),
    "day-and-month-first.csv": (
        "a,b,y\n1,1/2/2011,0\n1,13/2/2011,1\n1,2/13/2011,0\n",
        ("row 3", "'b'", "13/2/2011"),
    ),
    "two-decimals.csv": ("a;b;y\n1;3,14;0\n2;2.5;1\n", ("row 2", "'b'", "3,14", "2.5")),
    "two-decimals-quoted.csv": ('a,b,y\n1,2.5,0\n2,"3,14",1\n', ("row 2", "'b'", "3,14", "2.5")),
    "a-group-or-a-decimal.csv": ("a;b;y\n1;3,14;0\n2;1.234;1\n", ("row 2", "'b'", "1.234")),
    "nested.jsonl": ('{"a": 1}\n{"a": {"x": 1}}\n', ("line 2", "'a'", "nested")),
    "deep.jsonl": ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}\n", ("line 1",)),
}


@pytest.mark.parametrize("name", BAD)
def test_text_that_is_no_table(shop, tmp_path, name):
    content, says = BAD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(shop, tmp_path, f"data add m {name}", name, *says)


def test_a_fault_far_down_is_told_by_its_line(shop, tmp_path):
    # Beyond the first blocks that are read, where lines must still be counted from the top.
    (tmp_path / "long.csv").write_text("a,b,y\n" + ROWS * 2000 + "1,2\n")
    refused(shop, tmp_path, "data add m long.csv", "line 800002", "2 fields")
    quoted = ROWS.replace(",0.25,", ',"0,25\n",')
    (tmp_path / "long.csv").write_text("a,b,y\n" + quoted * 2000 + '1,"2"x,0\n')
    refused(shop, tmp_path, "data add m long.csv", "line 802002", "closing double quote")


def test_excel_s_errors_and_decimal_commas_are_read(shop, tmp_path):
    words = ["#N/A", "#N/A N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"]
    rows = "".join(f"1.234,56;{word};{n % 2}\n" for n, word in enumerate(words))
    (tmp_path / "excel.csv").write_text("a;b;y\n" + rows + "3,14;2;1\n")
    added = shop("data add m excel.csv --json").json
    assert [(c["name"], c["dtype"], c["missing"]) for c in added["columns"]] == [
        ("a", "Float64", 0),
        ("b", "Int64", 8),
        ("y", "Int64", 0),
    ]


def test_parquet_cut_in_the_middle_or_damaged(shop, tmp_path):
    frame = pl.DataFrame({"a": range(90_000), "b": [f"x{n}" for n in range(90_000)], "y": 0})
    pq.write_table(frame.to_arrow(), tmp_path / "whole.parquet", row_group_size=30_000)
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    refused(shop, tmp_path, "data add m cut.parquet", "cut.parquet", "cut short")
    chunk = pq.ParquetFile(tmp_path / "whole.parquet").metadata.row_group(1).column(1)
    at = chunk.data_page_offset + 500
    damaged = whole[:at] + b"\xff" * 500 + whole[at + 500 :]
    (tmp_path / "damaged.parquet").write_bytes(damaged)
    refused(shop, tmp_path, "data add m damaged.parquet", "damaged.parquet", "'b'", "after row")


def test_parquet_with_bad_names(shop, tmp_path):
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "a.parquet")
    refused(shop, tmp_path, "data add m a.parquet", "columns 1 and 2", "'a'")
    pq.write_table(table.rename_columns(["a", " "]), tmp_path / "a.parquet")
    refused(shop, tmp_path, "data add m a.parquet", "column 2 has no name")


def test_ten_thousand_columns(shop, tmp_path):
    names = [f"c{n}" for n in range(9_999)]
    line = ",".join("1.5" if n % 9 else "x" for n in range(9_999))
    (tmp_path / "wide.csv").write_text(",".join([*names, "c7"]) + "\n" + f"{line},1\n")
    refused(shop, tmp_path, "data add m wide.csv", "columns 8 and 10000", "'c7'")
    (tmp_path / "wide.csv").write_text(",".join([*names, "y"]) + "\n" + f"{line},1\n{line}\n")
    refused(shop, tmp_path, "data add m wide.csv", "line 3", "9999 fields", "10000")


#: Reads a file in a process of its own; prints by how much its memory grew, and what was said.
READER = """
import json, resource, sys
import polars, pyarrow.csv, pyarrow.json, pyarrow.parquet
from tidegate.data.source import open_source
from tidegate.domain.errors import DataError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
try:
    for _ in open_source(sys.argv[1]).batches():
        pass
    said = "nothing"
except DataError as error:
    said = str(error)
print(json.dumps([peak() - before, said]))
"""


def read_apart(path):
    told = subprocess.run(
        [sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout)


@pytest.mark.parametrize(
    ("name", "head", "says"),
    [
        ("line.csv", b"a,b,y\n1,2,0\n", "line 3: the line is longer"),
        ("header.csv", b"", "line 1: the line is longer"),
        ("quote.csv", b'a,b,y\n1,2,0\n1,"', "line 3: the line is longer"),
        ("line.jsonl", b'{"a": 1}\n{"a": "', "line 2: the line is longer"),
    ],
)
def test_a_line_of_300_mb_is_not_held(tmp_path, name, head, says):
    with (tmp_path / name).open("wb") as file:
        file.write(head)
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    grown_mib, said = read_apart(tmp_path / name)
    assert says in said
    assert name in said
    assert grown_mib < 150


def test_a_quote_that_opens_early_in_a_large_file_is_found(tmp_path):
    with (tmp_path / "open.csv").open("wb") as file:
        file.write(b'a,b,y\n1,2,0\n1,"2,0\n')
        for _ in range(60):
            file.write(b"1,2,0\n" * 100_000)
    grown_mib, said = read_apart(tmp_path / "open.csv")
    assert "line 3: a double quote opens here" in said
    assert grown_mib < 250


def test_one_long_text_in_every_row(tmp_path):
    """A dictionary of one text, which each of many rows names: 50 GB in some hundred kilobytes."""
    text = pa.array(["x" * 500_000])
    rows = pa.table({"t": pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, "i4")), text)})
    with pq.ParquetWriter(tmp_path / "bomb.parquet", rows.schema, compression="zstd") as out:
        for _ in range(100):
            out.write_table(rows)
    assert (tmp_path / "bomb.parquet").stat().st_size < 1_000_000
    grown_mib, said = read_apart(tmp_path / "bomb.parquet")
    assert "bomb.parquet unpacks to more than" in said
    assert grown_mib < 1500


def test_a_page_that_unpacks_to_too_much(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("tidegate.data.sources.pages.PAGE_BYTES", 1 << 20)
    table = pa.table({"t": ["x" * 5_000_000], "y": [1]})
    pq.write_table(table, tmp_path / "page.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "page.parquet").stat().st_size < 10_000
    refused(shop, tmp_path, "data add m page.parquet", "page.parquet", "'t'", "unpacks to 5,000")


def test_more_rows_than_a_file_can_hold(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("tidegate.data.sources.pages.LARGE_BYTES", 1 << 20)
    monkeypatch.setattr("tidegate.data.sources.pages.LARGEST_RATIO", 100)
    table = pa.table({"a": pa.nulls(40_000_000, pa.int64())})
    pq.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    refused(shop, tmp_path, "data add m rows.parquet", "declares 40,000,000 rows", "1 columns")


def test_a_folder_does_not_reach_outside_itself(shop, tmp_path):
    inside, outside = tmp_path / "rows", tmp_path / "secret"
    inside.mkdir()
    outside.mkdir()
    (outside / "b.csv").write_text(GOOD)
    (inside / "a.csv").write_text(GOOD)
    link = inside / "b.csv"
    link.symlink_to(outside / "b.csv")
    refused(shop, tmp_path, "data add m rows", "b.csv", "leads out of its folder")
    link.unlink()
    link.symlink_to("../secret/b.csv")
    refused(shop, tmp_path, "data add m rows", "b.csv", "leads out of its folder")
    link.unlink()
    (inside / "more").symlink_to(outside, target_is_directory=True)
    refused(shop, tmp_path, "data add m rows", "more", "leads out of its folder")


def test_a_pipe_in_a_folder_is_not_waited_for(shop, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text(GOOD)
    os.mkfifo(tmp_path / "rows" / "b.csv")
    refused(shop, tmp_path, "data add m rows", "b.csv", "is a pipe")


def test_a_profile_and_its_page_are_two_files(shop, tmp_path):
    (tmp_path / "a.csv").write_text(GOOD)
    line = "data profile a.csv -o told.json --html ./told.json"
    refused(shop, tmp_path, line, "told.json", "for the page", code=2)
    assert not (tmp_path / "told.json").exists()


def test_what_explains_a_folder_is_no_data(shop, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "README.md").write_text("# Rows\n\nof 2024\n")
    refused(shop, tmp_path, "data add m rows", "holds no file of rows")
    (tmp_path / "rows" / "a.csv").write_text(GOOD)
    assert shop("data add m rows").code == 0


def test_two_files_of_nothing_in_common_are_not_compared(shop, tmp_path):
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text(GOOD.replace("a,b,y", "d,e,f"))
    refused(shop, tmp_path, "data compare a.csv b.csv", "no column in common", "a, b, y")


def test_a_bad_row_ends_the_program_in_peace(shop, tmp_path):
    """Threads that read on after a bad row would abort a process that ends (exit 134)."""
    (tmp_path / "a.csv").write_text(GOOD + "1,2\n" + ROWS * 20)
    program = [sys.executable, "-m", "tidegate.apps.cli", "data", "profile", "a.csv"]
    ran = [
        subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [one.wait(120) for one in ran] == [1] * 4


@pytest.mark.parametrize("name", ["k=..", "k=%2e%2e%2fsecret", "k=a%2Fb", "=1", "a%2Fb=1"])
def test_the_name_of_a_folder_is_no_path(shop, tmp_path, name):
    (tmp_path / "rows" / name).mkdir(parents=True)
    (tmp_path / "rows" / name / "a.csv").write_text(GOOD)
    refused(shop, tmp_path, "data add m rows", name, "is no key and value")


def test_a_fault_while_rows_are_stored_leaves_nothing(shop, tmp_path):
    """A time that is none, in the last row: half of the rows were written aside by then."""
    (tmp_path / "m.yaml").write_text(MODEL + "time: t\n")
    assert shop("model apply m.yaml").code == 0
    rows = "".join(f"2011-01-01,{n % 2}\n" for n in range(200_000))
    (tmp_path / "late.csv").write_text("t,y\n" + rows + "soon,1\n")
    refused(shop, tmp_path, "data add m late.csv", "'t'", "soon", "200000")
    assert not list((tmp_path / ".tidegate" / "objects" / ".staging").iterdir())
