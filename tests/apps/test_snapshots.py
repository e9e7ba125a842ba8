"""``data add``, ``list`` and ``show``: rows from anywhere, and what is known of them."""

import sqlite3

import polars as pl
import pytest
from rich.console import Console

from tidegate.apps.cli import progress
from tidegate.domain.messages import say
from tidegate.process.workspace import Workspace

MODEL = """\
model: m
task: binary
target: y
time: t
adapter: sklearn.logistic_regression
"""
ROWS = pl.DataFrame(
    {
        "t": [f"2011-01-{day:02}" for day in range(1, 31)],
        "a": [n % 7 / 2 for n in range(30)],
        "y": [n % 2 for n in range(30)],
    }
)


@pytest.fixture
def shop(tidegate, tmp_path):
    assert tidegate("init --as ada").code == 0
    (tmp_path / "m.yaml").write_text(MODEL)
    assert tidegate("model apply m.yaml").code == 0
    ROWS.write_csv(tmp_path / "a.csv")
    return tidegate


def test_the_same_rows_from_everywhere_are_one_snapshot(shop, tmp_path):
    ROWS.write_csv(tmp_path / "a.tsv", separator="\t")
    ROWS.write_ndjson(tmp_path / "a.jsonl")
    (tmp_path / "rows").mkdir()
    ROWS[:10].write_parquet(tmp_path / "rows" / "1.parquet")
    ROWS[10:].write_csv(tmp_path / "rows" / "2.csv")
    with sqlite3.connect(tmp_path / "shop.db") as shop_:
        shop_.execute("CREATE TABLE r (t TEXT, a REAL, y INTEGER)")
        shop_.executemany("INSERT INTO r VALUES (?, ?, ?)", ROWS.rows())
    first = shop("data add m a.csv --json").json
    assert (first["new"], first["rows"], first["labelled_rows"]) == (True, 30, 30)
    for given in ("a.tsv", "a.jsonl", "rows", "--sql sqlite:///shop.db --query 'SELECT * FROM r'"):
        again = shop(f"data add m {given} --json").json
        assert (again["snapshot"], again["new"]) == (first["snapshot"], False), given
    with Workspace(tmp_path / ".tidegate") as ws:
        for table in (ROWS, ROWS.to_arrow()):
            assert ws.add_data("m", table).snapshot.id == first["snapshot"]
    assert len(shop("data list m --json").json["snapshots"]) == 1
    assert shop("audit verify").code == 0


def test_what_is_known_of_a_snapshot_is_told(shop, tmp_path):
    first = shop("data add m a.csv --licence CC-BY-4.0 --sensitivity personal --json").json
    ROWS[:20].write_csv(tmp_path / "b.csv")
    second = shop(f"data add m b.csv --from {first['snapshot']} --json").json
    shown = shop(f"data show {first['snapshot']} --json").json
    assert (shown["licence"], shown["sensitivity"], shown["parents"]) == (
        "CC-BY-4.0", "personal", [],
    )  # fmt: skip
    assert (shown["time_from"], shown["time_to"]) == ("2011-01-01T00:00:00", "2011-01-30T00:00:00")
    assert [column["name"] for column in shown["columns"]] == ["t", "a", "y"]
    assert shown["sources"] == ["a.csv"]
    assert shop(f"data show {second['snapshot']} --json").json["parents"] == [first["snapshot"]]
    told = shop(f"data show {second['snapshot']}").out
    for words in (second["snapshot"], f"Follows: {first['snapshot']}", "b.csv", "Float64", "ada"):
        assert words in told
    assert "许可: CC-BY-4.0" in shop(f"data show {first['snapshot']} --lang zh").out
    listed = shop("data list m").out
    assert listed.index(first["snapshot"]) < listed.index(second["snapshot"])


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("data add m a.csv --sensitivity secret", 2, "public, internal, confidential, personal"),
        ("data add m a.csv --from s-none", 1, "there is no snapshot 's-none'"),
        ("data add m", 2, "no file was named"),
        ("data add m a.csv --sql sqlite:///x.db --query x", 2, "without files"),
        ("data add m --sql sqlite:///x.db", 2, "--query"),
        ("data add m --query x", 2, "--sql"),
        ("data add m --sql sqlite:///x.db --query x", 1, "there is no file x.db"),
        ("data show s-none", 1, "there is no snapshot 's-none'"),
        ("data list none", 1, "there is no model 'none'"),
    ],
)
def test_what_cannot_be(shop, line, code, says):
    told = shop(line)
    assert told.code == code, told
    assert says in told.err


def test_what_was_said_of_rows_first_stands(shop):
    snapshot = shop("data add m a.csv --licence CC0-1.0 --json").json["snapshot"]
    assert shop("data add m a.csv --licence CC0-1.0").code == 0
    assert shop("data add m a.csv").code == 0
    told = shop("data add m a.csv --licence MIT")
    assert told.code == 1
    assert "with licence CC0-1.0 and not MIT" in told.err
    assert shop(f"data show {snapshot} --json").json["licence"] == "CC0-1.0"


def test_a_bar_that_counts_rows_tells_how_many_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    console = Console(force_terminal=True, width=120, record=True)
    bars = progress.Bars(console, "en")
    for done in range(0, 90_000, 30_000):
        bars(say("reading", unit="rows"), done, 100_000)
        now[0] += 2
    task = bars._live.tasks[0]
    assert (task.completed, task.total, task.fields["unit"]) == (60_000, 100_000, "rows")
    rate = progress.Rate("en")

    class Fast:
        fields = {"unit": "rows"}
        speed = 12345.6

    assert rate.render(Fast()).plain == "12,346 rows/s"
    Fast.fields = {"unit": None}
    assert rate.render(Fast()).plain == ""
    bars.stop()
