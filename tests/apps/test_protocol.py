"""The Open Inference Protocol: what a request holds, in JSON and as bytes, and what is refused."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apps.gateway.requests import request_of
from tidegate.apps.gateway.responses import response_of
from tidegate.apps.gateway.rows import rows_of
from tidegate.domain.answer import Answer
from tidegate.domain.errors import DataError, WrongUsage


def tensor(name="v", shape=(1,), data=(1.0,), datatype="FP64", **more):
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data), **more}


def read(*tensors, inputs=None, tail=b"", **told):
    head = json.dumps({"inputs": list(tensors), **told}).encode()
    return request_of(head + tail, len(head) if tail else None, inputs)


def frame(*tensors):
    return read(*tensors).asked.frame()


def test_a_column_of_vectors_is_flat_or_a_list_a_row():
    flat = frame(tensor(shape=[2, 3], data=[1, 2, 3, 4, None, 6]))["v"]
    assert flat.dtype == pl.Array(pl.Float64, 3)
    assert flat.to_list() == [[1, 2, 3], [4, None, 6]]
    nested = frame(tensor(shape=[2, 3], data=[[1, 2, 3], [4, None, 6]]))["v"]
    assert nested.to_list() == flat.to_list()
    gone = frame(tensor(shape=[2, 2], data=[[1, 2], None]))["v"]
    assert gone.to_list() == [[1, 2], [None, None]]


def test_a_column_of_one_number_a_row_is_no_vector():
    for shape, data in (([2], [1, None]), ([2, 1], [1, None]), ([2, 1], [[1], None])):
        asked = read(tensor(shape=shape, data=data)).asked
        assert asked.frame()["v"].to_list() == [1, None]
        assert asked.numbers(("v",)).tolist() == [[1.0], [pytest.approx(np.nan, nan_ok=True)]]


@pytest.mark.parametrize(
    ("shape", "data"),
    [([2, 2], [1, 2, 3]), ([2, 0], []), ([1, 2, 2], [1, 2, 3, 4]), ([2, 2], [[1, 2], [3]]),
     ([2], [1.0]), ([1], []), ([-1], [1.0]), ([], [1.0])],
)  # fmt: skip
def test_what_does_not_fit_its_shape_is_refused(shape, data):
    with pytest.raises(DataError, match="has shape"):
        read(tensor(shape=shape, data=data), tensor("w", [shape[0] if shape else 1], [1.0]))


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("FP64", "1.5"), ("FP64", True), ("INT64", 1.5), ("BOOL", 1), ("BYTES", 3), ("FP32", {}),
     ("FP64", [1.0]), ([], 1.0), ({}, 1.0)],
)  # fmt: skip
def test_what_is_not_of_its_datatype_is_refused(datatype, value):
    with pytest.raises(DataError):
        read(tensor(data=[value], datatype=datatype), tensor("w"))


@pytest.mark.parametrize(
    "told",
    [b"", b"[]", b"{", b'{"inputs": 3}', b'{"inputs": []}', b'{"inputs": [3]}',
     b'{"inputs": [{"shape": [1], "datatype": "FP64", "data": [1.0]}]}',
     b'{"inputs": [{"name": "v", "shape": [1], "datatype": "FP64", "data": [1.0]}],'
     b' "outputs": [7]}',
     b'{"inputs": [{"name": "v", "shape": [1], "datatype": "FP64", "data": [1.0]}],'
     b' "parameters": 7}'],
)  # fmt: skip
def test_what_is_no_request_is_refused(told):
    with pytest.raises(WrongUsage):
        request_of(told, None, None)


def test_a_column_twice_is_refused():
    for tensors in ([tensor(), tensor()], [tensor(datatype="BYTES", data=["a"])] * 2):
        with pytest.raises(DataError, match="given twice"):
            read(*tensors)


def test_one_tensor_of_all_columns_is_read_in_the_models_order():
    asked = read(tensor("input-0", [2, 2], [[1, 2], [3, None]]), inputs=("a", "b")).asked
    assert asked.names == ("a", "b")
    assert asked.record(0) == {"a": 1.0, "b": 2.0}
    assert np.isnan(asked.record(1)["b"])
    assert asked.numbers(("b", "a"))[0].tolist() == [2.0, 1.0]
    # A column of that name is itself, and other widths are refused.
    assert read(tensor("a", [1, 2], [1, 2]), inputs=("a", "b")).asked.names == ("a",)
    with pytest.raises(DataError, match="holds 3 values a row, not 2"):
        read(tensor("x", [1, 3], [1, 2, 3]), inputs=("a", "b"))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_bytes_say_what_json_says(values):
    raw = np.array(values, "<f8").tobytes()
    told = {"name": "v", "shape": [len(values)], "datatype": "FP64",
            "parameters": {"binary_data_size": len(raw)}}  # fmt: skip
    assert read(told, tail=raw).asked.numbers(("v",))[:, 0].tolist() == values


def in_bytes(values, datatype, name="v", shape=None):
    """A tensor whose values lie behind the JSON, and these bytes."""
    raw = np.array(values, {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2"}[datatype]).tobytes()
    told = {"name": name, "shape": shape or [len(values)], "datatype": datatype,
            "parameters": {"binary_data_size": len(raw)}}  # fmt: skip
    return told, raw


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16"])
@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_infinity_as_bytes_is_refused_by_column_and_row_and_nan_is_missing(datatype, infinite):
    first, raw = in_bytes([1.0, np.nan], datatype, "a")
    second, more = in_bytes([1.0, infinite], datatype, "b")
    assert np.isnan(read(first, tail=raw).asked.numbers(("a",))[1, 0])
    with pytest.raises(DataError, match="'b' holds an infinite value in row 1"):
        read(first, second, tail=raw + more)
    block, raw = in_bytes([1.0, 2.0, np.nan, infinite], datatype, "all", [2, 2])
    with pytest.raises(DataError, match="'y' holds an infinite value in row 1"):
        read(block, inputs=("x", "y"), tail=raw)
    with pytest.raises(DataError, match="'all' holds an infinite value in row 1"):
        read(block, tail=raw)  # a column of vectors


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "NaN"])
def test_json_has_no_infinity(number):
    told = b'{"inputs":[{"name":"v","shape":[1],"datatype":"FP64","data":[%s]}]}' % number.encode()
    with pytest.raises(WrongUsage, match="no JSON"):
        request_of(told, None, None)


def test_texts_and_truth_values_as_bytes():
    texts = b"".join(len(one).to_bytes(4, "little") + one for one in (b"ab", "价".encode()))
    told = [
        {"name": "t", "shape": [2], "datatype": "BYTES",
         "parameters": {"binary_data_size": len(texts)}},
        {"name": "b", "shape": [2], "datatype": "BOOL", "parameters": {"binary_data_size": 2}},
    ]  # fmt: skip
    found = read(*told, tail=texts + b"\x01\x00").asked.frame()
    assert found.to_dict(as_series=False) == {"t": ["ab", "价"], "b": [True, False]}


@pytest.mark.parametrize(
    ("size", "tail"),
    [(8, b"1234567"), (7, b"1234567"), (-1, b"1"), ("8", b"12345678"), (8, b"123456789")],
)
def test_bytes_that_do_not_fit_are_refused(size, tail):
    told = {"name": "v", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": size}}
    with pytest.raises(DataError):
        read(told, tail=tail)


def test_rows_by_name_may_miss_columns_and_hold_texts():
    asked, keys = rows_of({"rows": [{"a": 1, "b": 2.5}, {"a": 3}], "keys": ["x", "y"]})
    assert keys == ["x", "y"]
    assert asked.record(1) == {"a": 3, "b": None}
    assert asked.numbers(("a", "b"))[0].tolist() == [1.0, 2.5]
    texts, _ = rows_of({"rows": [{"a": "x"}]})
    assert texts.numbers(("a",)) is None
    for bad in ({}, {"rows": []}, {"rows": [3]}, {"rows": [{"a": 1}], "keys": "x"}):
        with pytest.raises(WrongUsage):
            rows_of(bad)


def answer(**changed):
    facts = {
        "request_id": "r", "model": "m", "version": 2, "arm": "candidate", "prediction": "yes",
        "classes": ["no", "yes"], "shares": [0.25, 0.75], "key": None, "update_id": "m-2",
        "step": 0, "failed": False, "latency_ms": 1.0, "params": "p", "epoch": 3,
    }  # fmt: skip
    return Answer(**(facts | changed))


def test_a_response_says_who_answered():
    request = read(tensor(), id="7")
    body, head = response_of("m", request, [answer(), answer(version=1, arm="champion")])
    told = json.loads(body)
    assert head is None
    assert (told["id"], told["model_version"]) == ("7", "1,2")
    assert told["parameters"]["arms"] == ["candidate", "champion"]
    assert (told["parameters"]["params"], told["parameters"]["epoch"]) == (["p"], 3)
    assert told["outputs"][1]["data"] == [0.25, 0.75] * 2


def test_outputs_as_bytes_lie_behind_the_json():
    request = read(
        tensor(), outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}]
    )
    body, head = response_of("m", request, [answer()])
    told = json.loads(body[:head])
    assert [one["name"] for one in told["outputs"]] == ["probabilities"]
    assert told["outputs"][0]["parameters"]["binary_data_size"] == 16
    assert np.frombuffer(body[head:], "<f8").tolist() == [0.25, 0.75]


NAMES = st.sampled_from(["a", "b", "c"])
ODD = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=2), st.just([1.0]),
    st.just({"x": 1}),
)  # fmt: skip


@st.composite
def nearly_plain(draw):
    """Tensors a client sends, with one thing about them that is as it should not be, or none."""
    rows, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["FP64", "FP32"]))
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-9, 9)
    tensors = [
        tensor("abc"[at], [rows], draw(st.lists(numbers, min_size=rows, max_size=rows)), kind)
        for at in range(width)
    ]
    if draw(st.booleans()) and tensors:
        data = [value for row in zip(*(t["data"] for t in tensors), strict=True) for value in row]
        tensors = [tensor("all", [rows, width], data, kind)]
    if draw(st.booleans()):
        changed = draw(st.sampled_from(tensors))
        what = draw(st.sampled_from(["name", "shape", "datatype", "data", "value"]))
        if what == "value":
            changed["data"][0] = draw(ODD)
        elif what == "shape":
            changed["shape"] = draw(st.lists(st.integers(-1, 4) | st.just(1.5), max_size=3))
        else:
            changed[what] = draw(ODD | st.just("a") | st.just("INT64"))
    return tensors


def told_of(tensors, inputs, tail=b""):
    """What a request is read as, in comparable form, or how it is refused."""
    try:
        asked = read(*tensors, inputs=inputs, tail=tail).asked
    except (DataError, WrongUsage) as error:
        return str(error)
    # As text, in which NaN is like NaN.
    return asked.names, str(asked.frame().to_dict(as_series=False)), str(
        None if asked.block is None else asked.block.tolist()
    )  # fmt: skip


def compared(monkeypatch, *given):
    """Both readings: with what reads the commonest forms at once, and without."""
    quick = told_of(*given)
    for name in ("plain_row", "plain_block", "plain_bytes"):
        monkeypatch.setattr(f"tidegate.apps.gateway.requests.{name}", lambda *_: None)
    slow = told_of(*given)
    monkeypatch.undo()
    return quick, slow


@given(nearly_plain(), st.integers(1, 3))
def test_what_is_read_at_once_is_read_as_any_other(tensors, columns):
    with pytest.MonkeyPatch.context() as patch:
        quick, slow = compared(patch, tensors, ("a", "b", "c")[:columns])
    assert quick == slow


@given(
    st.integers(1, 4), st.integers(1, 3), st.sampled_from(["<f8", "<f4"]), st.integers(-1, 1),
    st.sampled_from([None, "name", "size", "kind", "data", "infinite", "nan"]),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_bytes_that_are_read_at_once_are_read_as_any_others(
    rows, width, dtype, more, spoilt, random
):
    block = np.array([[random.uniform(-9, 9) for _ in range(rows)] for _ in range(width)], dtype)
    kind = {"<f8": "FP64", "<f4": "FP32"}[dtype]
    if spoilt in ("infinite", "nan"):
        odd = {"infinite": [np.inf, -np.inf], "nan": [np.nan]}[spoilt]
        block[random.randrange(width), random.randrange(rows)] = random.choice(odd)
    tensors = [
        {"name": "abc"[at], "shape": [rows], "datatype": kind,
         "parameters": {"binary_data_size": block[at].nbytes}}
        for at in range(width)
    ]  # fmt: skip
    changes = {"name": {"name": "a"}, "size": {"parameters": {"binary_data_size": 4}},
               "kind": {"datatype": "INT64"}, "data": {"data": [1.0] * rows}}  # fmt: skip
    tensors[-1] |= changes.get(spoilt, {})
    tail = block.tobytes() + b"\0" * more if more >= 0 else block.tobytes()[:-1]
    with pytest.MonkeyPatch.context() as patch:
        quick, slow = compared(patch, tensors, ("a", "b", "c"), tail)
    assert quick == slow
