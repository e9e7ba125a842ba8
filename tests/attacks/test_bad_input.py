"""Bad input: a clear word on what, where and what to do; the exit code; the workspace as it was."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

MODEL = """\
model: m
task: binary
target: y
adapter: sklearn.logistic_regression
"""
GOOD = "a,b,y\n" + "".join(f"{n % 7},{(n * 3) % 5},{n % 2}\n" for n in range(120))


@pytest.fixture
def shop(tidegate, tmp_path):
    assert tidegate("init --as ada").code == 0
    (tmp_path / "m.yaml").write_text(MODEL)
    (tmp_path / "t.yaml").write_text("model: t\nadapter: tensors\n")
    (tmp_path / "good.csv").write_text(GOOD)
    for name in "mt":
        assert tidegate(f"model apply {name}.yaml").code == 0
    assert tidegate("people add wei --team business --role approver").code == 0
    return tidegate


def state(folder):
    """Every document, event and object of the workspace, as one digest."""
    import sqlite3

    with sqlite3.connect(folder / ".tidegate" / "tidegate.sqlite") as raw:
        rows = [
            raw.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("documents", "evidence", "events", "ledger_head", "predictions", "labels")
        ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def refused(shop, tmp_path, line, code, *says):
    """The command fails with ``code``, says all of ``says``, and changes nothing."""
    before = state(tmp_path)
    told = shop(line)
    assert told.code == code, told
    for words in says:
        assert words in told.err, told
    assert "Traceback" not in told.err
    assert state(tmp_path) == before
    assert shop("audit verify").code == 0


FILES = {
    "missing target": (b"a,b\n1,2\n", ("'y'",)),
    "near target": (b"a,b,Y\n1,2,0\n", ("'y'", "nearest are: Y")),
    "empty": (b"", ("empty",)),
    "header only": (b"a,b,y\n", ("no rows",)),
    "ragged": (b"a,b,y\n1,2,0\n1,2\n3,4,1\n", ("line 3",)),
    "too wide": (b"a,b,y\n1,2,0\n1,2,0,9\n", ("line 3",)),
    "encoding": ("a,b,y\n1,é,0\n".encode("latin-1"), ("UTF-8", "line 2")),
    "NUL": (b"a,b,y\n1,2,0\n1,\x00,1\n", ("NUL", "line 3")),
    "twice": (b"a,a,y\n1,2,0\n", ("'a'",)),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_read(shop, tmp_path, name):
    content, says = FILES[name]
    (tmp_path / "bad.csv").write_bytes(content)
    refused(shop, tmp_path, "data add m bad.csv", 1, "bad.csv", *says)


def test_a_file_that_only_calls_itself_parquet(shop, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really PAR1")
    refused(shop, tmp_path, "data add m bad.parquet", 1, "bad.parquet")


def test_a_folder_and_a_file_that_is_not_there(shop, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    refused(shop, tmp_path, "data add m folder.csv", 1, "folder.csv")
    refused(shop, tmp_path, "data add m gone.csv", 1, "gone.csv")


def first_version(shop):
    snapshot = shop("data add m good.csv --json").json["snapshot"]
    shop(f"update start m --data {snapshot} --reason first")
    assert shop("approve m-1 --as wei --json").json["outcome"] == "completed"


def test_a_column_of_another_type_than_before(shop, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    pl.DataFrame({"a": rng.normal(2 * y, 1), "b": rng.normal(size=400), "y": y}).write_csv(
        tmp_path / "good.csv"
    )
    first_version(shop)
    changed = pl.read_csv(tmp_path / "good.csv").with_columns(pl.lit("low").alias("b"))
    changed.write_csv(tmp_path / "changed.csv")
    added = shop("data add m changed.csv --json").json
    assert added["quality"]["passed"] is False
    told = shop(f"update start m --data {added['snapshot']} --reason next --json")
    assert (told.code, told.json["outcome"]) == (3, "rejected")
    assert "'b'" in told.json["reason"]
    assert shop("params log m --json").json["versions"][0]["version"] == 1


def test_one_class_only(shop, tmp_path):
    (tmp_path / "one.csv").write_text("a,b,y\n" + "1,2,1\n" * 10 + "".join(
        f"{n},{n % 3},1\n" for n in range(100)
    ))  # fmt: skip
    snapshot = shop("data add m one.csv --json").json["snapshot"]
    told = shop(f"update start m --data {snapshot} --reason first --json")
    assert (told.code, told.json["outcome"]) == (3, "rejected")
    assert "one class only" in told.json["reason"]
    assert shop("audit verify").code == 0


def test_rows_without_labels_are_counted_and_never_trained_on(shop, tmp_path):
    (tmp_path / "none.csv").write_text("a,b,y\n" + "1,2,\n" * 200)
    added = shop("data add m none.csv --json").json
    assert (added["rows"], added["labelled_rows"]) == (200, 0)
    told = shop(f"update start m --data {added['snapshot']} --reason x --json")
    assert (told.code, told.json["outcome"]) == (3, "rejected")
    assert "0 labelled rows" in told.json["reason"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MODEL.replace("logistic", "logistics"), ("sklearn.logistic_regression",)),
        (
            MODEL.replace("sklearn.logistic_regression", "sklern.mlp_classifer"),
            ("sklearn.mlp_classifier",),
        ),
        (MODEL + "policy: {validaton: {margin: 0.1}}\n", ("policy.validaton", "'validation'")),
        (MODEL + "policy: {rollout: {alfa: 0.1}}\n", ("policy.rollout.alfa", "'alpha'")),
        (MODEL + "policy: {preset: fastt}\n", ("policy.preset", "'fast'")),
        (MODEL + "policy: {rollout: {alpha: 7}}\n", ("policy.rollout.alpha",)),
        (MODEL + "tarjet: x\n", ("'tarjet'", "'target'")),
        (MODEL + "policy: {training: {settings: {max_itr: 5}}}\n", ("max_itr", "max_iter")),
        ("model: m\nadapter: sklearn.mlp_classifier\n", ("task", "target")),
        (MODEL.replace("binary", "binry"), ("task",)),
        ("model: [\n", ("YAML", "line")),
        ("- a\n- b\n", ("declares no model",)),
        ("a: " + "[" * 5000, ("nested too deeply",)),
        ("a: &a [*a]\n", ("model",)),
        ("model: ../m\nadapter: tensors\n", ("model",)),
        ("!!python/object/apply:os.system ['touch hacked']\n", ("YAML",)),
    ],
)
def test_model_files(shop, tmp_path, text, says):
    (tmp_path / "bad.yaml").write_text(text)
    refused(shop, tmp_path, "model apply bad.yaml", 2, *says)
    assert not (tmp_path / "hacked").exists()


def header(document, data=b""):
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(raw)) + raw + data


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
LIES = {
    "empty file": b"",
    "length beyond the file": struct.pack("<Q", 2**40) + b"{}",
    "length beyond all": struct.pack("<Q", 2**64 - 1) + b"{}",
    "no json": header(b"not json"),
    "no object": header([1, 2]),
    "offsets beyond the file": header({"w": TENSOR}, bytes(4)),
    "more than it says": header({"w": TENSOR}, bytes(12)),
    "shape and offsets disagree": header({"w": {**TENSOR, "shape": [3]}}, bytes(8)),
    "offsets backwards": header({"w": {**TENSOR, "data_offsets": [8, 0]}}, bytes(8)),
    "overlap": header({"w": TENSOR, "v": TENSOR}, bytes(8)),
    "hole": header({"w": {**TENSOR, "data_offsets": [8, 16]}}, bytes(16)),
    "negative shape": header({"w": {**TENSOR, "shape": [-2]}}, bytes(8)),
    "shape that overflows": header({"w": {**TENSOR, "shape": [2**62, 8]}}, bytes(8)),
    "unknown dtype": header({"w": {**TENSOR, "dtype": "F33"}}, bytes(8)),
    "dtype missing": header({"w": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    "name twice": header(
        b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
    "deep json": header(b"[" * 100_000),
    "a pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93",
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_parameter_files_that_lie(shop, tmp_path, name):
    (tmp_path / "w.safetensors").write_bytes(LIES[name])
    refused(shop, tmp_path, "params import t w.safetensors --reason x", 1, "w.safetensors")


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_parameters_that_are_no_numbers(shop, tmp_path, bad):
    save_file({"w": np.array([1.0, float(bad)])}, tmp_path / "w.safetensors")
    refused(shop, tmp_path, "params import t w.safetensors --reason x", 1, "'w'")


def test_a_newer_workspace_is_left_alone(shop, tmp_path):
    path = tmp_path / ".tidegate" / "workspace.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"format": config["format"] + 1}))
    told = shop("update list")
    assert told.code == 1
    assert "newer Tidegate" in told.err
    assert "upgrade" in told.err
    path.write_text(json.dumps(config | {"format": 1}))
    assert "before the first release" in shop("update list").err
    path.write_text("{")
    assert "cannot be read" in shop("update list").err
    path.write_text(json.dumps(config | {"format": "x"}))
    assert "cannot be read" in shop("update list").err


def test_two_commands_writing_at_once(shop, tmp_path):
    import subprocess
    import sys

    rows = [GOOD + f"{n},{n},1\n" for n in range(4)]
    for number, text in enumerate(rows):
        (tmp_path / f"{number}.csv").write_text(text)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tidegate.apps.cli", "data", "add", "m", f"{number}.csv"],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]  # fmt: skip
    for process in running:
        _, err = process.communicate()
        assert process.returncode == 0, err.decode()
    assert shop("audit verify").code == 0


def test_a_full_disk_leaves_the_workspace_as_it_was(tidegate, small_disk, tmp_path):
    """Filled to the brim, every command says so; emptied again, it goes on."""
    ws = f"--workspace {small_disk / 'ws'}"
    assert tidegate(f"init --as ada {ws}").code == 0
    (tmp_path / "t.yaml").write_text("model: t\nadapter: tensors\n")
    assert tidegate(f"model apply t.yaml {ws}").code == 0
    save_file({"w": np.arange(50_000, dtype="f4")}, tmp_path / "w.safetensors")
    filler = Path(small_disk / "filler")
    with filler.open("wb", buffering=0) as file:
        try:
            for _ in range(4096):
                file.write(bytes(1024))
        except OSError:
            pass
    told = tidegate(f"params import t w.safetensors --reason x {ws}")
    assert told.code == 1
    assert "no space left" in told.err or "full" in told.err
    assert "Traceback" not in told.err
    for line in ("params log t", "params fsck", "audit verify", "model list"):
        assert tidegate(f"{line} {ws}").code == 0  # nothing is written for it
    told = tidegate(f"params gc {ws}")
    assert told.code == 1
    assert "free some kilobytes" in told.err
    filler.unlink()
    assert tidegate(f"audit verify {ws}").code == 0
    assert tidegate(f"update list {ws} --json").json == {"updates": []}
    assert tidegate(f"params import t w.safetensors --reason x {ws}").code == 0
    assert tidegate(f"audit verify {ws}").code == 0


def test_no_text_from_elsewhere_commands_the_terminal(shop, tmp_path):
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    save_file({"w" + evil: np.ones(2)}, tmp_path / "w.safetensors")
    told = ""
    for words in (
        ["people", "add", evil, "--team", "data"],
        ["params", "import", "t", "w.safetensors", "--reason", "x" + evil],
        ["params", "show", "t@1"],
        ["params", "log", "t"],
        ["update", "list"],
        ["update", "show", "t-1"],
        ["params", "checkout", "t@1", "-o", "out", "--tensor", evil],
    ):
        done = shop(words)
        told += done.out + done.err
    assert told.count("owned") >= 6
    assert not set(told) & {"\x1b", "\x07", "\u202e"}
