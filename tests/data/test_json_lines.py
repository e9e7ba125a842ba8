import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.source import open_source
from tidegate.data.sources import blocks
from tidegate.domain.errors import DataError


def _read(path, text):
    path.write_text(text, encoding="utf-8")
    return pl.concat(open_source(path).batches())


def test_keys_are_columns_and_what_is_not_there_is_missing(tmp_path):
    frame = _read(tmp_path / "a.jsonl", '{"a":1}\n\n{"b":"x","a":null}\r\n{"c":true,"a":2.5}')
    assert frame.to_dicts() == [
        {"a": 1.0, "b": None, "c": None},
        {"a": None, "b": "x", "c": None},
        {"a": 2.5, "b": None, "c": "true"},
    ]


def test_texts_stay_what_they_are(tmp_path):
    text = '{"a":"007","b":"2011-01-02","c":""}\n{"a":"NA","b":"2011-01-03","c":"[{"}\n'
    frame = _read(tmp_path / "a.ndjson", text)
    assert frame.rows() == [("007", "2011-01-02", ""), ("NA", "2011-01-03", "[{")]


@pytest.mark.parametrize("size", [20, 60, 1 << 22])
@pytest.mark.parametrize("last", ["2011-12-01T00:00:00Z", "2011-12-01 01:02:03.5", "x", None])
def test_times_stay_text_wherever_blocks_end(tmp_path, monkeypatch, size, last):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", size)
    times = ["2011-12-01", None, "2011-12-02", last]
    text = "".join(json.dumps({"t": time, "n": 1}) + "\n" for time in times)
    assert _read(tmp_path / "a.jsonl", text)["t"].to_list() == times


def test_a_file_is_known_by_its_first_letter(tmp_path):
    assert _read(tmp_path / "rows.txt", '\ufeff {"a": 1}\n').rows() == [(1,)]


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "i": st.integers(-(2**63), 2**63 - 1),
                "f": st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.5),
                "s": st.text(st.characters(codec="utf-8", exclude_characters="\0")),
                "b": st.booleans(),
            },
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(10, 200),
)
def test_what_is_written_is_what_is_read(tmp_path_factory, objects, size):
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [*objects, {"i": 1, "f": 0.5}]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "BLOCK_BYTES", size)
        rows = pl.concat(open_source(path).batches()).to_dicts()
    for told, read in zip(objects, rows, strict=False):
        want = {name: str(v).lower() if name == "b" else v for name, v in told.items()}
        assert {name: value for name, value in read.items() if value is not None} == want


BAD = {
    "array": ("[1]\n", ["line 1", "no object"]),
    "pretty": ('{\n"a": 1\n}\n', ["line 1", "not one JSON object"]),
    "two a line": ('{"a":1}\n{"a":2} {"a":3}\n', ["line 2"]),
    "number too large": ('{"a":1}\n{"a":1e999}\n', ["cannot be read as JSON lines", "big"]),
    "list": ('{"a":1}\n{"a":[1]}\n', ["line 2", "'a'", "nested"]),
    "truth and number": ('{"a":true}\n{"a":1}\n', ["line 2", "'a'", "number", "truth value"]),
    "no keys": ("{}\n{}\n", ["no object holds a key"]),
    "empty": ("", ["is empty"]),
    "two dates": ('{"d":"2011-01-02"}\n{"d":"31.1.2011"}\n', ["row 2", "'d'"]),
    "nul": ('{"a":1}\n{"a":"\0"}\n', ["line 2", "NUL"]),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_each_bad_file_is_told_apart(tmp_path, text, says):
    with pytest.raises(DataError) as caught:
        _read(tmp_path / "a.jsonl", text)
    for part in ["a.jsonl", *says]:
        assert part in str(caught.value)
    assert caught.value.text("zh")


def test_a_key_that_changes_its_type_is_found_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 50)
    lines = [f'{{"a": {n}}}' for n in range(100)] + ['{"a": "x"}']
    with pytest.raises(DataError, match="line 101: key 'a' holds a text, and a number above"):
        _read(tmp_path / "a.jsonl", "\n".join(lines))
