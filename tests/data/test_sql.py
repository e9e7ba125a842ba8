import datetime
import gc
import os
import sqlite3
import uuid
from decimal import Decimal

import polars as pl
import pytest
import sqlalchemy as sa

from tidegate.data.source import sql_source
from tidegate.data.sources import rows, sql
from tidegate.domain.errors import DataError, NotFound, WrongUsage


@pytest.fixture
def url(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE sales (n, price, name, gone)")
        told = [(n, None if n % 3 else n / 2, f"x{n}", None) for n in range(1000)]
        shop.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", told)
        shop.execute("CREATE TABLE mixed (a)")
        shop.executemany("INSERT INTO mixed VALUES (?)", [(1,), (2.5,), (None,), ("x",)])
    return f"sqlite:///{tmp_path}/shop.db"


def test_the_rows_of_a_query_come_in_batches_again_and_again(url, monkeypatch):
    monkeypatch.setattr(rows, "BATCH_ROWS", 64)
    heard = []
    source = sql_source(url, "SELECT * FROM sales ORDER BY n", lambda *told: heard.append(told))
    assert source.rows == 1000
    assert dict(source.schema) == {
        "n": pl.Int64(), "price": pl.Float64(), "name": pl.String(), "gone": pl.Float64(),
    }  # fmt: skip
    for _ in range(2):
        batches = list(source.batches(["name", "price"]))
        assert max(batch.height for batch in batches) <= 64
        assert pl.concat(batches).rows()[6] == ("x6", 3.0)
    assert heard[0] == (64, 0)
    assert heard[-1] == (1000, 1000)


def test_what_is_read_stays_though_the_database_moves_on(url, tmp_path):
    source = sql_source(url, "SELECT n FROM sales")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("DELETE FROM sales")
    assert sum(batch.height for batch in source.batches()) == 1000


def test_nothing_is_left_on_disk(url, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    source = sql_source(url, "SELECT n FROM sales")
    assert os.listdir(tmp_path / "tmp") == []
    del source
    gc.collect()
    with pytest.raises(DataError):
        sql_source(url, "SELECT a FROM mixed")
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("query", "kind", "says"),
    [
        ("SELECT a FROM mixed", DataError, ["row 4", "'a'", "'x'"]),
        ("SELECT x'00' AS b", DataError, ["row 1", "'b'"]),
        ("SELECT 1 AS a, 2 AS a", DataError, ["columns 1 and 2", "'a'"]),
        ("SELECT * FROM nowhere", DataError, ["no such table"]),
        ("SELECT n FROM sales WHERE 0", DataError, ["gives no rows"]),
        ("DELETE FROM sales", DataError, ["readonly"]),
        ("DELETE FROM sales RETURNING n", DataError, ["readonly"]),
        ("SELECT 1; DROP TABLE sales", DataError, ["one statement"]),
        ("ATTACH 'new.db' AS n", DataError, ["not authorized"]),
        ("PRAGMA query_only = OFF", WrongUsage, ["gives no rows", "SELECT"]),
    ],
)
def test_queries_that_are_refused(url, tmp_path, monkeypatch, query, kind, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        sql_source(url, query)
    for words in says:
        assert words in str(caught.value)
    assert not (tmp_path / "new.db").exists()
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("SELECT count(*) FROM sales").fetchone() == (1000,)


def test_a_change_of_type_is_found_across_batches(url, monkeypatch):
    monkeypatch.setattr(rows, "BATCH_ROWS", 2)
    with pytest.raises(DataError, match="row 4: column 'a' holds 'x'"):
        sql_source(url, "SELECT a FROM mixed")


def test_a_colon_and_a_per_cent_sign_are_no_parameters(url):
    source = sql_source(url, "SELECT ':a' AS a, '5%' AS b, 'x' LIKE '%' AS c")
    assert pl.concat(source.batches()).rows() == [(":a", "5%", 1)]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:s3cr%40t@127.0.0.1:1/x?password=hush5",
        "oracle://me:s3cr%40t@127.0.0.1/x?wallet=hush5",
        "nosuch://me:s3cr%40t@127.0.0.1/x?k=hush5",
        "sqlite:///nowhere/me:s3cr%40t",
        "postgresql://me:s3cr%40t@[::1/x?password=hush5",
    ],
)
def test_the_password_is_never_told(address):
    with pytest.raises((DataError, WrongUsage, NotFound)) as caught:
        sql_source(address, "SELECT 1")
    if "sqlite" not in address:
        for told in (str(caught.value), caught.value.text("zh"), repr(caught.value.values)):
            assert "s3cr" not in told
            assert "hush5" not in told
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_driver_s_own_words_lose_the_password():
    url = sa.make_url("postgresql://me:s3cr%40t@h/x?password=hush5")
    told = sql._without_secret("could not log in with s3cr@t, s3cr%40t or hush5", url)
    assert told == "could not log in with ***, *** or ***"


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(NotFound, match=r"gone\.db"):
        sql_source(f"sqlite:///{tmp_path}/gone.db", "SELECT 1")
    assert not (tmp_path / "gone.db").exists()


def test_postgresql_reads_only_and_every_type(postgres):
    query = (
        "SELECT n, n::numeric / 2 AS half, n > 1 AS more, date '2011-01-02' AS day, "
        "timestamptz '2011-01-02 03:04:05+02' AS at, NULL AS gone, "
        "'00000000-0000-0000-0000-00000000000a'::uuid AS id FROM generate_series(1, 3) n"
    )
    frame = pl.concat(sql_source(postgres, query).batches())
    assert frame.rows()[0] == (
        1, 0.5, "false", "2011-01-02", "2011-01-02T01:04:05Z", None,
        "00000000-0000-0000-0000-00000000000a",
    )  # fmt: skip
    with pytest.raises(DataError, match="the query failed"):
        sql_source(postgres, "CREATE TABLE made_here (a int)")
    with pytest.raises(DataError, match="read-only"):
        sql_source(postgres, "SELECT lo_create(0)")
    with pytest.raises(DataError, match="row 1: column 'a'"):
        sql_source(postgres, "SELECT '{\"x\": 1}'::jsonb AS a")


def test_kinds_of_values():
    for value in (True, "x", datetime.date(2011, 1, 2), datetime.time(1), uuid.uuid4()):
        assert sql._kind(value) == "text"
    assert {sql._kind(value) for value in (1, 0.5, Decimal("1.5"))} == {"number"}
    assert sql._kind(b"x") is None
