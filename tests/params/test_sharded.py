"""A model in several files is the same version as in one; an index that lies is refused."""

import json
import os
import resource

import pytest

from tidegate.domain.errors import NotFound, ParamsError
from tidegate.domain.tensor import Tensor
from tidegate.params.checkout import load
from tidegate.params.files.import_file import import_file
from tidegate.params.files.safetensors_writer import write_safetensors
from tidegate.params.files.sharded import open_parameters

A, B, C = (Tensor("U8", (3,), text) for text in (b"abc", b"def", b"ghi"))
MAP = {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}


@pytest.fixture
def folder(tmp_path):
    write_safetensors(tmp_path / "1.safetensors", {"a": A, "b": B}, {"format": "pt", "part": "1"})
    write_safetensors(tmp_path / "2.safetensors", {"c": C}, {"format": "pt", "part": "2"})
    return tmp_path


def index(folder, told):
    path = folder / "model.safetensors.index.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return path


def test_several_files_are_the_version_that_one_is(objects, folder):
    path = index(folder, {"metadata": {"total_size": 9}, "weight_map": MAP})
    write_safetensors(folder / "whole", {"a": A, "b": B, "c": C}, {"format": "pt"})
    assert import_file(objects, path) == import_file(objects, folder / "whole")


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ("{", "weight_map"),
        ("[]", "weight_map"),
        ({}, "weight_map"),
        ({"weight_map": {}}, "weight_map"),
        ({"weight_map": ["a"]}, "weight_map"),
        ("[" * 100_000, "weight_map"),
        ("[" + "[]," * 2_000_000 + "1]", "weight_map"),
        ('{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}', "names 'a' twice"),
        ({"weight_map": MAP | {"a": 1}}, "'a'"),
        ({"weight_map": MAP | {"a": "../1.safetensors"}}, "'a'"),
        ({"weight_map": MAP | {"a": "/etc/passwd"}}, "'a'"),
        ({"weight_map": MAP | {"a": ".."}}, "'a'"),
        ({"weight_map": MAP | {"d": "1.safetensors"}}, "do not agree on tensor 'd'"),
        ({"weight_map": {k: v for k, v in MAP.items() if k != "b"}}, "tensor 'b'"),
        ({"weight_map": MAP | {"a": "2.safetensors"}}, "do not agree on tensor"),
    ],
)
def test_an_index_that_lies_is_refused(folder, told, what):
    with pytest.raises(ParamsError, match=what):
        open_parameters(index(folder, told))


def test_what_is_missing_is_named(folder):
    with pytest.raises(NotFound, match=r"9\.safetensors', which index '.*index\.json' names"):
        open_parameters(index(folder, {"weight_map": MAP | {"a": "9.safetensors"}}))
    with pytest.raises(NotFound, match=r"none\.json"):
        open_parameters(folder / "none.json")
    with pytest.raises(ParamsError, match=r"is a folder: name .* model\.safetensors\.index\.json"):
        open_parameters(folder)
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")  # opening it would wait for its writer
    for name in ("folder.json", "pipe.json"):
        with pytest.raises(ParamsError, match=r"not a regular file|is a folder"):
            open_parameters(folder / name)


def test_more_files_than_a_process_may_open(objects, tmp_path):
    """1,100 shards, and 1,024 descriptors at most: the usual limit."""
    tensors = {
        f"t{number}": Tensor("U8", (3,), b"%03d" % (number % 1000)) for number in range(1100)
    }
    placed = {name: f"{name}.safetensors" for name in tensors}
    for name, tensor in tensors.items():
        write_safetensors(tmp_path / placed[name], {name: tensor})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        manifest = import_file(objects, index(tmp_path, {"weight_map": placed}))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert load(objects, manifest) == tensors


def test_a_file_of_very_many_that_changes_meanwhile_is_refused(folder, monkeypatch):
    monkeypatch.setattr("tidegate.params.files.sharded._KEPT_OPEN", 1)
    with open_parameters(index(folder, {"weight_map": MAP})) as opened:
        assert bytes(opened.read_part("c", 1, memoryview(bytearray(2)))) == b"hi"
        write_safetensors(folder / "2.safetensors", {"c": A})
        with pytest.raises(ParamsError, match="was changed while it was read"):
            opened.read_part("c", 0, memoryview(bytearray(3)))
        with pytest.raises(ParamsError, match="was changed while it was read"):
            opened.check()
